"""`trivet dump`: what the threads of workers are doing, asked of them, and told when all have answered.

One that holds the interpreter for ever cannot answer; then its board says what it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from trivet_backend.roster import PoolWorker, WorkerState

# How long (s) workers may take to answer.
PATIENCE = 2.0


class Dumps:
    """Those that were asked for. `running` gives in words what a worker's board says that it runs."""

    def __init__(
        self,
        call_later: Callable[[float, Callable[[], None]], None],
        running: Callable[[PoolWorker], list[str]],
    ) -> None:
        self._call_later = call_later
        self._running = running
        self._dumps: list[_Dump] = []

    def __repr__(self) -> str:
        return f"<Dumps {self._dumps}>"

    def ask(self, workers: Iterable[PoolWorker], finish: Callable[[dict[str, Any]], None]) -> None:
        """`finish` is given the answer, once."""
        dump = _Dump({worker.incarnation: worker for worker in workers}, finish)
        self._dumps = [one for one in self._dumps if one.waiting] + [dump]
        for worker in dump.waiting.values():
            worker.child.tell(b"dump")
        self._call_later(PATIENCE, lambda: self._expire(dump))

    def heard(self, worker: PoolWorker, text: str) -> None:
        for dump in self._dumps:
            dump.heard(worker, text)

    def exited(self, worker: PoolWorker) -> None:
        self.heard(worker, "it is gone")

    def _expire(self, dump: _Dump) -> None:
        for worker in list(dump.waiting.values()):
            dump.heard(worker, self._without_answer(worker))

    def _without_answer(self, worker: PoolWorker) -> str:
        if worker.state is WorkerState.STARTING:
            return "it is still starting"
        running = "; ".join(self._running(worker)) or "no request"
        return f"no answer within {PATIENCE:g} s (its interpreter is held); it runs {running}"


class _Dump:
    """One request, and those it still waits for."""

    def __init__(self, waiting: dict[int, PoolWorker], finish: Callable[[dict[str, Any]], None]) -> None:
        self.waiting = waiting
        self._finish = finish
        self._said: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<_Dump heard={list(self._said)} waiting={list(self.waiting)}>"

    def heard(self, worker: PoolWorker, text: str) -> None:
        if self.waiting.pop(worker.incarnation, None) is None:
            return
        self._said[f"w{worker.incarnation}"] = text
        if not self.waiting:
            self._finish({"ok": True, "dumps": self._said})
