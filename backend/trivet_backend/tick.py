"""What a pool's master looks at five times a second: lost tokens, overdue workers, late starts, the size.

Owns no rule of these; it reads the boards once and gives each room what it needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from trivet_backend import procfs
from trivet_backend.boards import busy, claim_rows, describe, is_removed, rows, views
from trivet_backend.crew import CallLater, Crew
from trivet_backend.knock import knock
from trivet_backend.overdue import Case, Overdue
from trivet_backend.retirement import LONGEST_RETIREMENT
from trivet_backend.roster import PoolWorker, Seat, WorkerState
from trivet_backend.sizing import Flow, Sample, Sizing
from trivet_backend.standstill import Standstill
from trivet_common.logs import ErrorLog
from trivet_common.pool.board import STATE, SlotState
from trivet_common.pool.claims import Repair
from trivet_common.pool.idle import IdleFifo
from trivet_common.pool.places import PoolPlaces
from trivet_common.pool.queue_board import read_queue_board

# In seconds; the rule of the repair: docs/architecture.md, "How a request finds a slot".
TICK = 0.2
# How much longer (s) than its slots a worker may take to leave of its own accord.
_MOMENTS = 3.0
# How often, in ticks, the folder is looked through.
_SELDOM = 25
# Of workers added by hand, where the configuration names no range.
MOST = 1024


class Tick:
    """`look` once a tick."""

    def __init__(
        self, crew: Crew, fifo: IdleFifo, places: PoolPlaces, log: ErrorLog, call_later: CallLater
    ) -> None:
        self._crew = crew
        self._overdue = Overdue(
            rows, time.monotonic_ns, call_later, stuck=self._stuck, killed=self._killed, knock=self._knock
        )
        self._call_later = call_later
        self._standstill = Standstill()
        self._fifo = fifo
        self._places = places
        self._log = log
        self._repair = Repair()
        self._flow = Flow()
        self._sizing: Sizing | None = None
        self._release = 0  # for which the sizing was made
        self._ticks = 0

    def __repr__(self) -> str:
        return f"<Tick {self._repair!r} {self._overdue!r} {self._sizing!r}>"

    def are_files_gone(self) -> bool:
        """Has somebody removed the FIFO or a board? Then no proxy finds us any more."""
        return is_removed(self._fifo.fileno()) or any(
            is_removed(worker.board) for worker in self._crew.roster
        )

    def look(self) -> None:
        deaf: dict[int, list[tuple[int, int]]] = {}
        for slot, incarnation, number in self._repair.deaf:
            deaf.setdefault(incarnation, []).append((slot, number))
        for worker in self._crew.roster:
            # First whose request it is that stands still: the log names it.
            is_examined = self._overdue.look(worker, deaf.get(worker.incarnation, ()))
            if not is_examined and self._standstill.is_over_long(worker):
                name = f"worker {worker.incarnation} (pid {worker.child.pid})"
                self._log.error(f"{name} is killed: it stands still")
                worker.child.kill()
            if worker.state is WorkerState.READY and not worker.is_absent and _serves_no_more(worker):
                self._note_absence(worker)
        self._size()
        self._crew.tick()
        self._announce()
        self._ticks += 1
        if self._ticks % _SELDOM == 0:
            self._sweep()

    def worker_exited(self, worker: PoolWorker) -> None:
        self._overdue.forget(worker)
        self._standstill.forget(worker)

    def change_by_hand(self, change: int) -> None:
        """One more, or one fewer."""
        workers, size = self._crew.release.pool.workers, len(self._crew.roster.seats)
        least, most = (1, MOST) if workers.is_fixed else (workers.min, workers.max)
        wanted = min(max(size + change, least), most)
        if wanted == size:
            self._log.info(f"{size} workers: there can be no {'more' if change > 0 else 'fewer'}")
            return
        self._log.info(f"{'more' if change > 0 else 'fewer'} workers, as asked: {wanted}")
        self._crew.resize(wanted, _leaver)

    # ------------------------------------------------------------ private

    def _note_absence(self, worker: PoolWorker) -> None:
        """It retires. Of its own accord, it leaves within moments; one that does not is to be replaced.

        It may have said so when nobody could hear it (our side of the channel was full), or hang in a hook.
        """
        worker.absent_ticks += 1
        if worker.tired or worker.absent_ticks * TICK > LONGEST_RETIREMENT + _MOMENTS:
            worker.is_absent = True
            self._crew.worker_tired(worker, "timeout")

    def _announce(self) -> None:
        found = [row for worker in self._crew.roster for row in claim_rows(worker)]
        for token in self._repair.tick(self._fifo.is_empty(), found):
            self._fifo.try_write(token)

    def _sweep(self) -> None:
        """What nobody could remove when its worker ended, without a descriptor left to list the folder with.

        A dead worker's board that shows an idle slot would be taken for a live one by health checks.
        """
        for incarnation in self._places.incarnations():
            if incarnation not in self._crew.roster.workers:
                self._places.remove_incarnation(incarnation)

    def _size(self) -> None:
        release, roster = self._crew.release, self._crew.roster
        if release.pool.workers.is_fixed:
            self._sizing = None
            return
        if self._sizing is None or self._release != release.number:
            self._sizing, self._release = Sizing(release.pool.workers), release.number
        size = len(roster.seats)
        is_settled = self._crew.takeover is None and roster.ready() == size and len(roster.workers) == size
        change = self._sizing.decide(self._sample(), size, is_settled=is_settled)
        if change > 0 and not self._sizing.has_room(_memory_of_all(self._crew), size):
            return
        if change:
            self._log.info(f"{'more' if change > 0 else 'fewer'} workers: {size + change}")
            self._crew.resize(size + change, _leaver)

    def _sample(self) -> Sample:
        queues = read_queue_board(self._places.queue_board)
        claims, late, oldest = self._flow.since_last(queues, time.monotonic_ns())
        workers = list(self._crew.roster)
        slots = sum(worker.slots for worker in workers)
        return Sample(time.monotonic(), claims, late, oldest, sum(map(busy, workers)), slots)

    def _stuck(self, worker: PoolWorker) -> None:
        """Others' requests still run in it: they finish first, and its successor starts meanwhile."""
        self._crew.worker_tired(worker, "timeout")

    def _knock(self, worker: PoolWorker, slot: int, then: Callable[[bool], None]) -> None:
        knock(self._places.slot_socket(worker.incarnation, slot), self._call_later, then)

    def _killed(self, worker: PoolWorker, case: Case) -> None:
        found = views(worker, self._places)[case.slot : case.slot + 1]
        what = "a request goes" if not found else f"{describe(found[0])} goes"
        grace = worker.release.pool.kill_grace
        why = "it takes no requests" if case.is_deaf else f"{what} on {grace:g} s after its deadline"
        self._log.error(f"worker {worker.incarnation} (pid {worker.child.pid}) is killed: {why}")
        self._crew.worker_killed(worker, None if case.is_deaf else found[0].request_id if found else "")


def _serves_no_more(worker: PoolWorker) -> bool:
    found = rows(worker)
    return bool(found) and all(row[STATE] == SlotState.RETIRING for row in found)


def _leaver(seat: Seat) -> tuple[int, ...]:
    """Who goes first: nobody at all, then the largest of those that have nothing to do."""
    if seat.worker is None:
        return (0,)
    return (1 + busy(seat.worker), -(procfs.private_memory(seat.worker.child.pid) or 0))


def _memory_of_all(crew: Crew) -> int:
    return sum(procfs.private_memory(worker.child.pid) or 0 for worker in crew.roster)
