"""Workers whose process somebody has stopped (SIGSTOP) and left so for longer than any request may take.

Boards do not tell them from busy ones, so that overdue.py does not find them: where such a one was stopped no
deadline may have run. Knows no slot.
"""

from __future__ import annotations

import time

from trivet_backend import procfs
from trivet_backend.roster import PoolWorker, WorkerState

# For a pool without a timeout, in seconds.
_LONGEST = 30.0


class Standstill:
    """`is_over_long` is to be asked of each worker at each tick."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: dict[int, float] = {}  # by incarnation

    def __repr__(self) -> str:
        return f"<Standstill {sorted(self._since)}>"

    def is_over_long(self, worker: PoolWorker) -> bool:
        """Not of one that starts or leaves: those have deadlines of their own."""
        # "T", not "t": one that a debugger holds is somebody's work.
        if worker.state is not WorkerState.READY or procfs.state_of(worker.child.pid) != "T":
            self.forget(worker)
            return False
        now, pool = time.monotonic(), worker.release.pool
        since = self._since.setdefault(worker.incarnation, now)
        return now - since > (pool.timeout or _LONGEST) + pool.kill_grace

    def forget(self, worker: PoolWorker) -> None:
        """It goes on, or is gone."""
        self._since.pop(worker.incarnation, None)
