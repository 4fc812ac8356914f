"""Workers with a slot that has a request long after it was interrupted, or that is deaf to every request.

Stopped, looked at again, killed: the look again is what makes it exact, only the process that still stands at
that very claim dies. Reads boards' rows; knows no seats.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import NamedTuple

from trivet_backend import procfs
from trivet_backend.boards import BUSY
from trivet_backend.roster import PoolWorker
from trivet_common.pool.board import DEADLINE, NUMBER, STATE, SlotState

# How often (s), and for how long, we look whether a worker has stopped: one that waits for a disk does not.
_PAUSE, _LOOKS = 0.005, 100
_STOPPED = ("T", "t")
Rows = Sequence[memoryview]


class Case(NamedTuple):
    """A slot at claim `number`. `is_deaf`: it is idle and takes no request; else its request is overdue.

    `is_alone`: no other slot of the worker has a request that may still end well.
    """

    slot: int
    number: int
    is_deaf: bool
    is_alone: bool


def find_case(rows: Rows, deaf: Sequence[tuple[int, int]], now: int, grace: int) -> Case | None:
    """The first such slot. `deaf` are (slot, number); `now` and `grace` in nanoseconds."""
    late = [slot for slot, row in enumerate(rows) if _is_late(row, now, grace)]
    still = [
        slot
        for slot, number in deaf
        if slot < len(rows) and rows[slot][NUMBER] == number and rows[slot][STATE] == SlotState.IDLE
    ]
    if not late and not still:
        return None
    slot = [*late, *still][0]
    others = sum(row[STATE] in BUSY for row in rows) - len(late)
    return Case(slot, rows[slot][NUMBER], not late, others == 0)


class Overdue:
    """Cases under examination. `read` gives a worker's rows.

    `stuck` hears of one that may not be killed yet, `killed` of one that is about to be. `knock` asks a slot
    that seems deaf, and says later whether it answered.
    """

    def __init__(
        self,
        read: Callable[[PoolWorker], Rows],
        clock: Callable[[], int],
        call_later: Callable[[float, Callable[[], None]], None],
        *,
        stuck: Callable[[PoolWorker], None],
        killed: Callable[[PoolWorker, Case], None],
        knock: Callable[[PoolWorker, int, Callable[[bool], None]], None],
    ) -> None:
        self._read = read
        self._clock = clock
        self._call_later = call_later
        self._stuck = stuck
        self._killed = killed
        self._knock = knock
        self._examined: set[int] = set()  # incarnations; now, or killed and not gone yet

    def __repr__(self) -> str:
        return f"<Overdue examined={sorted(self._examined)}>"

    def look(self, worker: PoolWorker, deaf: Sequence[tuple[int, int]] = ()) -> bool:
        """Begin what is to be done about this worker; false if there is nothing. `deaf`: see find_case."""
        if worker.incarnation in self._examined:
            return True
        case = self._find(worker, deaf)
        if case is None:
            return False
        if case.is_deaf and procfs.state_of(worker.child.pid) not in _STOPPED:
            # It runs; that nobody's token came back from it may be another's doing.
            self._examined.add(worker.incarnation)
            self._knock(worker, case.slot, lambda is_there: self._heard(worker, case, deaf, is_there))
            return True
        return self._proceed(worker, case, deaf)

    def forget(self, worker: PoolWorker) -> None:
        """It is gone."""
        self._examined.discard(worker.incarnation)

    def _find(self, worker: PoolWorker, deaf: Sequence[tuple[int, int]]) -> Case | None:
        grace = int(worker.release.pool.kill_grace * 1e9)
        return find_case(self._read(worker), deaf, self._clock(), grace)

    def _heard(self, worker: PoolWorker, case: Case, deaf: Sequence[tuple[int, int]], is_there: bool) -> None:
        if worker.incarnation not in self._examined:
            return
        self._examined.discard(worker.incarnation)
        found = self._find(worker, deaf)
        if not is_there and found is not None and found[:2] == case[:2]:
            self._proceed(worker, found, deaf)

    def _proceed(self, worker: PoolWorker, case: Case, deaf: Sequence[tuple[int, int]]) -> bool:
        if not case.is_alone:
            self._stuck(worker)
            return False
        self._examined.add(worker.incarnation)
        worker.child.kill(signal.SIGSTOP)
        self._judge(worker, case, deaf, _LOOKS)
        return True

    def _judge(self, worker: PoolWorker, case: Case, deaf: Sequence[tuple[int, int]], looks: int) -> None:
        if worker.incarnation not in self._examined:
            return
        if procfs.state_of(worker.child.pid) not in _STOPPED:
            if looks:
                self._call_later(_PAUSE, lambda: self._judge(worker, case, deaf, looks - 1))
                return
        elif self._find(worker, deaf) == case:
            self._killed(worker, case)
            worker.child.kill()
            return  # it stays examined until it is gone
        self._examined.discard(worker.incarnation)
        worker.child.kill(signal.SIGCONT)


def _is_late(row: memoryview, now: int, grace: int) -> bool:
    return row[STATE] in BUSY and 0 < row[DEADLINE] < now - grace
