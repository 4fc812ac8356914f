"""From one release to the next: prepare, the takeover, what became of it; which releases' templates are kept.

Owns the numbers of releases. Knows neither who asks for a reload nor how a worker is replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from trivet_backend.crew import Crew
from trivet_backend.prepare import Preparation
from trivet_backend.release import Release
from trivet_backend.takeover import Takeover
from trivet_backend.templates import Templates
from trivet_common.config import Pool, Settings


class Changeover:
    """`report` hears how far it is, `hopeless` that the first release's template does not come up."""

    def __init__(
        self,
        crew: Crew,
        templates: Templates,
        preparation: Preparation,
        *,
        is_leaving: Callable[[], bool],
        report: Callable[[str], None],
        hopeless: Callable[[str], None],
    ) -> None:
        self._crew = crew
        self._templates = templates
        self._preparation = preparation
        self._is_leaving = is_leaving
        self._report = report
        self._hopeless = hopeless
        self._newest = crew.release.number  # tried so far
        # Of the last one, or the one that goes on.
        self._progress: str | None = None
        self._last: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<Changeover newest={self._newest} {self._progress or ''} {self._crew.takeover!r}>"

    def begin(self, pool: Pool, settings: Settings, done: Callable[[str | None], None]) -> None:
        """`done` hears None, or the problem; then the release that serves goes on."""
        began = time.time()

        def finished(problem: str | None) -> None:
            self._crew.takeover = self._progress = None
            is_ok, seconds = problem is None, round(time.time() - began, 3)
            self._last = {"at": began, "ok": is_ok, "problem": problem, "seconds": seconds}
            done(problem)

        def prepared(problem: str | None) -> None:
            problem = "the pool is stopping" if self._is_leaving() else problem
            if problem is not None:
                finished(problem)
                return
            self._newest += 1
            self._take_over(Release(self._newest, pool, settings), finished)

        self._preparation.begin(pool, prepared)

    def keep_templates(self) -> None:
        """Those of releases that have workers, or are about to; one that is missing is started."""
        crew = self._crew
        used = {worker.release.number for worker in crew.roster} | {crew.release.number}
        if crew.takeover is not None:
            used.add(self._newest)
        self._templates.tick(used)
        if crew.release.has_template:
            self._templates.try_use(crew.release)

    def template_failed(self, release: Release, problem: str) -> None:
        """One did not come up."""
        if self._crew.takeover is not None and release.number == self._newest:
            self._crew.takeover.end(problem)
        elif not self._crew.has_begun and not self._is_leaving():
            self._hopeless(problem)

    def status(self) -> dict[str, Any]:
        template = self._templates.status(self._crew.release)
        return {
            "degraded": self._crew.is_degraded() or (template or {}).get("state") == "missing",
            "reloading": self._crew.takeover is not None,
            "reload_progress": self._progress,
            "last_reload": self._last,
            "template": template,
        }

    def _take_over(self, release: Release, finished: Callable[[str | None], None]) -> None:
        if release.pool.is_development:
            self._crew.replace_all(release)
            finished(None)
            return
        self._crew.takeover = Takeover(self._crew, release, finished, self._say_progress)
        self._crew.step()

    def _say_progress(self, text: str) -> None:
        self._progress = text
        self._report(text)
