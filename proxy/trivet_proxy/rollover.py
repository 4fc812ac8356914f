"""One reload over all proxy processes, in two phases: all have taken the new configuration, then all switch.

Decides when it is done and what the outcome is. Knows neither sockets nor what is in a configuration.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable

from trivet_common.children import Child
from trivet_common.config import Settings

# Building a site opens folders and compiles routes; a process that needs longer has lost its loop.
PATIENCE = 10.0  # seconds


class Rollover:
    """For one reload. `done` is called once: with None, or with the problem (and all have dropped it)."""

    def __init__(
        self,
        settings: Settings,
        children: Iterable[Child],
        ask: Callable[[Child, bytes], None],
        done: Callable[[str | None], None],
    ) -> None:
        self._message = b"reload " + pickle.dumps(settings)
        self._children = list(children)
        self._waiting = set(self._children)
        self._ask = ask
        self._done = done
        self._is_over = False

    def __repr__(self) -> str:
        return f"<Rollover waits for {len(self._waiting)} of {len(self._children)}>"

    def begin(self) -> None:
        for child in self._children:
            self._ask(child, self._message)
        self._finish_if_complete()

    def joined(self, child: Child) -> None:
        """One was started meanwhile, with the old configuration."""
        self._children.append(child)
        self._waiting.add(child)
        self._ask(child, self._message)

    def heard(self, child: Child, problem: str | None) -> None:
        """Its answer: None if it could switch now."""
        if problem is not None:
            self._finish(problem)
            return
        self._waiting.discard(child)
        self._finish_if_complete()

    def lost(self, child: Child, ending: str) -> None:
        """One died, perhaps of the new configuration; the old one is known to be good."""
        if child in self._children:
            self._finish(f"{ending} during the reload")

    def expire(self) -> None:
        late = ", ".join(str(child.index) for child in self._waiting)
        self._finish(f"proxy process {late} did not take it within {PATIENCE:g} s")

    def _finish_if_complete(self) -> None:
        if not self._waiting:
            self._finish(None)

    def _finish(self, problem: str | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        for child in self._children:
            child.tell(b"switch" if problem is None else b"drop")
        self._done(problem)
