"""The templates of a pool's releases, as its master sees them: started, replaced when killed, let go.

One for each release that preloads and whose workers are wanted. Knows no seat.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from trivet_backend.ending import LONGEST_REASON, manner
from trivet_backend.release import Release
from trivet_common.channel import Channel
from trivet_common.children import Child, Pause
from trivet_common.logs import ErrorLog

TEMPLATE = "template"


class Templates:
    """`changed` hears that one is ready or may be tried again, `failed` of one that does not come up."""

    def __init__(
        self,
        start: Callable[[Release], Child],
        log: ErrorLog,
        call_later: Callable[[float, Callable[[], None]], None],
        *,
        changed: Callable[[], None],
        failed: Callable[[Release, str], None],
    ) -> None:
        self._start = start
        self._log = log
        self._call_later = call_later
        self._changed = changed
        self._failed = failed
        self._by_release: dict[int, _Held] = {}

    def __repr__(self) -> str:
        return f"<Templates {list(self._by_release.values())}>"

    def try_use(self, release: Release) -> Channel | None:
        """The line to its template; None while there is none that is ready. Starts it where it is missing."""
        held = self._by_release.setdefault(release.number, _Held(release))
        if held.child is None and time.monotonic() >= held.opens_at:
            held.child, held.started = self._start(release), time.monotonic()
            held.is_ready, held.problem = False, ""
        return held.child.channel if held.child is not None and held.is_ready else None

    def heard(self, child: Child, message: bytes) -> None:
        held = self._held_by(child)
        if held is None:
            return
        verb, _, text = message.partition(b" ")
        if verb == b"ready":
            held.is_ready = True
            self._changed()
        elif verb == b"failed":
            held.problem = text.decode("utf-8", "replace")[:LONGEST_REASON]

    def exited(self, child: Child, status: int) -> None:
        held = self._held_by(child)
        if held is None:
            return  # it was let go
        held.child = None
        pause = held.pause.after(time.monotonic() - held.started if held.is_ready else 0.0)
        held.opens_at = time.monotonic() + pause
        problem = (
            held.problem or f"the template {manner(status)}{'' if held.is_ready else ' before it was ready'}"
        )
        self._log.error(f"template of release {held.release.number} (pid {child.pid}): {problem}")
        if not held.is_ready:
            self._failed(held.release, problem)
        self._call_later(pause, self._changed)

    def tick(self, used: set[int]) -> None:
        """Let go of those whose release is not in `used`, and of those that take too long."""
        now = time.monotonic()
        for number, held in list(self._by_release.items()):
            timeout = held.release.pool.reload.timeout
            if number not in used:
                self._let_go(number)
            elif held.child is not None and not held.is_ready and now > held.started + timeout:
                held.problem = f"the template was not ready within {timeout:g} s"
                held.child.kill()

    def give_up(self, release: Release) -> None:
        """It forks nobody (stopped, or a thread of the application holds the interpreter)."""
        held = self._by_release.get(release.number)
        if held is not None and held.child is not None and held.is_ready:
            held.problem = f"the template forked no worker within {release.pool.reload.timeout:g} s"
            held.child.kill()

    def let_go_of_all(self) -> None:
        for number in list(self._by_release):
            self._let_go(number)

    def status(self, release: Release) -> dict[str, object] | None:
        held = self._by_release.get(release.number)
        if held is None:
            return None
        state = "missing" if held.child is None else "ready" if held.is_ready else "starting"
        return {"pid": held.child.pid if held.child is not None else 0, "state": state}

    def _held_by(self, child: Child) -> _Held | None:
        return next((held for held in self._by_release.values() if held.child is child), None)

    def _let_go(self, number: int) -> None:
        held = self._by_release.pop(number)
        if held.child is not None:
            held.child.kill()  # it serves nobody, and has nothing to finish


class _Held:
    """A release's template, or its absence."""

    __slots__ = ("child", "is_ready", "opens_at", "pause", "problem", "release", "started")

    def __init__(self, release: Release) -> None:
        self.release = release
        self.pause = Pause()
        self.opens_at = 0.0
        self.child: Child | None = None
        self.started = 0.0
        self.is_ready = False
        self.problem = ""

    def __repr__(self) -> str:
        return f"<_Held release={self.release.number} {self.child!r} ready={self.is_ready}>"
