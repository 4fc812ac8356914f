"""The workers of a pool on their seats: started, replaced, retired and missed.

Does what the deciding rooms say (renewal, takeover) and keeps count. Knows no message and no board's words.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from trivet_backend.boards import has_answered, last_words
from trivet_backend.ending import manner
from trivet_backend.release import Release
from trivet_backend.renewal import due_seats, empty_seats
from trivet_backend.roster import PoolWorker, Roster, Seat, WorkerState
from trivet_common.children import Pause
from trivet_common.logs import ErrorLog
from trivet_common.pool.places import PoolPlaces

# How long (s) fewer workers than wanted may be ready before that is said.
_SHORT = 1.0
CallLater = Callable[[float, Callable[[], None]], None]


class Births(Protocol):
    """Where workers come from. None: not now; `step` when that changes."""

    def try_start(self, release: Release, ready: str | None = None) -> PoolWorker | None: ...
    def give_up(self, worker: PoolWorker) -> None: ...


class Succession(Protocol):
    """A reload that runs: it has newcomers who have no seat yet."""

    is_adopted: bool

    def step(self) -> None: ...
    def has(self, worker: PoolWorker) -> bool: ...
    def worker_ready(self, worker: PoolWorker) -> None: ...
    def worker_exited(self, worker: PoolWorker, status: int) -> None: ...
    def end(self, problem: str | None) -> None: ...


class Crew:
    """`is_leaving`: nobody is to be started any more. `hopeless` hears why the first start failed."""

    def __init__(
        self,
        release: Release,
        births: Births,
        places: PoolPlaces,
        log: ErrorLog,
        call_later: CallLater,
        *,
        is_leaving: Callable[[], bool],
        began: Callable[[], None],
        hopeless: Callable[[str], None],
    ) -> None:
        # For the process.
        self._births = births
        self._places = places
        self._log = log
        self._call_later = call_later
        self._is_leaving = is_leaving
        self._began = began
        self._hopeless = hopeless
        self.has_begun = False  # a first worker was ready
        # What is now.
        self.release = release
        self.roster = Roster(release.pool.workers.min)
        self.takeover: Succession | None = None
        self._short_since = math.inf
        # Since the start.
        self.restarts = self.crashes = self.timeouts = 0
        self.recycled: Counter[str] = Counter(requests=0, memory=0, timeout=0)

    def __repr__(self) -> str:
        return f"<Crew release={self.release.number} {self.roster!r} restarts={self.restarts}>"

    # ------------------------------------------------------------ what happens

    def step(self) -> None:
        """Start whoever is missing or due. Cheap, and right at any time."""
        if self._is_leaving():
            return
        now, seats = time.monotonic(), self.roster.seats
        for seat in empty_seats(seats, now):
            seat.worker = self.try_start(self.release)
        is_rolling = self.takeover is not None and self.takeover.is_adopted
        for seat in due_seats(seats, now, self.roster.leaving(), is_rolling=is_rolling):
            seat.successor = self.try_start(self.release)
        if self.takeover is not None:
            self.takeover.step()

    def tick(self) -> None:
        """Look for those that are late."""
        now = time.monotonic()
        for worker in self.roster:
            if not worker.was_ready and now > worker.ready_by:
                self._births.give_up(worker)
                if worker.state is WorkerState.STARTING:
                    self._give_up(worker)
            elif worker.state is WorkerState.READY and worker.board < 0:
                worker.board = self._try_open_board(worker)  # there was no descriptor left
        is_short = self.roster.ready() < len(self.roster.seats)
        self._short_since = min(self._short_since, now) if is_short else math.inf
        self.step()

    def worker_ready(self, worker: PoolWorker) -> None:
        if worker.state is not WorkerState.STARTING:
            return
        worker.state, worker.was_ready = WorkerState.READY, True
        worker.board = self._try_open_board(worker)
        if not self.has_begun:
            self.has_begun = True
            self._began()
        seat = self.roster.seat_of(worker)
        if seat is not None and seat.successor is worker:
            self._succeed(seat)
        elif self.takeover is not None:
            self.takeover.worker_ready(worker)
        self.step()

    def worker_tired(self, worker: PoolWorker, why: str) -> None:
        """It asks for a successor: after so many requests, of so much memory, or after a timeout."""
        if worker.tired or why not in self.recycled:
            return
        worker.tired = why
        worker.is_absent = why == "timeout" and worker.slots == 1
        self.step()

    def worker_killed(self, worker: PoolWorker, request_id: str | None) -> None:
        """It stood still, in this request if any; it may have been unable to say so itself."""
        if request_id is not None:
            self.timeouts += request_id != worker.late_id
            self.worker_tired(worker, "timeout")

    def worker_late(self, worker: PoolWorker, request_id: str) -> None:
        """It interrupted a request."""
        self.timeouts += 1
        worker.late_id = request_id

    def worker_exited(self, worker: PoolWorker, status: int) -> None:
        self.roster.workers.pop(worker.incarnation, None)
        self._note_exit(worker, status)
        if worker.board >= 0:
            os.close(worker.board)
        has_served = has_answered(worker, self._places)
        self._places.remove_incarnation(worker.incarnation)
        seat = self.roster.seat_of(worker)
        if seat is not None:
            self._vacate(seat, worker, has_served)
        elif self.takeover is not None:
            self.takeover.worker_exited(worker, status)
        self.step()

    def is_degraded(self) -> bool:
        """Somebody is missing for longer than a start should take, or keeps failing."""
        now = time.monotonic()
        return self._short_since < now - _SHORT or any(seat.opens_at > now for seat in self.roster.seats)

    # ------------------------------------------------------------ what is done

    def try_start(self, release: Release, ready: str | None = None) -> PoolWorker | None:
        worker = self._births.try_start(release, ready)
        if worker is not None:
            self.roster.workers[worker.incarnation] = worker
        return worker

    def retire(self, worker: PoolWorker) -> None:
        """It finishes what it runs in its timeout (a stop: stop_timeout) and leaves, or it is killed."""
        if worker.state is WorkerState.STARTING:
            worker.child.kill(signal.SIGTERM)  # it may import for a minute, and runs nothing yet
        worker.state = WorkerState.RETIRING
        worker.child.tell(b"retire")

        def insist() -> None:
            if self.roster.workers.get(worker.incarnation) is worker:
                self._log.warning(f"worker {worker.incarnation} did not leave in {seconds:g} s: killed")
                worker.child.kill()

        settings, pool = worker.release.settings, worker.release.pool
        seconds = settings.stop_timeout if self._is_leaving() else settings.patience_with(pool)
        self._call_later(seconds, insist)

    def adopt(self, release: Release) -> None:
        """From here on every worker that is started is of this release."""
        self.release = release

    def replace_all(self, release: Release) -> None:
        """At once, the old ones first: what comes meanwhile waits for the new. For development."""
        self.adopt(release)
        for seat in self.roster.seats:
            self._clear(seat)
        self.resize(release.pool.workers.min)

    def seat(self, worker: PoolWorker) -> PoolWorker | None:
        """Give a newcomer the seat that needs it most. Returns the one that leaves for it."""
        seat = min(self.roster.seats, key=_need)
        old = seat.worker
        self._clear(seat)
        seat.worker = worker
        return old

    def resize(self, size: int, leavers: Callable[[Seat], tuple[int, ...]] | None = None) -> None:
        """Have so many seats. `leavers` sorts them, those first that go first."""
        seats = self.roster.seats
        for seat in sorted(seats, key=leavers or _need)[: max(len(seats) - size, 0)]:
            seats.remove(seat)
            self._clear(seat)
        seats += [Seat() for _ in range(size - len(seats))]
        self.step()

    # ------------------------------------------------------------ private

    def _clear(self, seat: Seat) -> None:
        leavers = [worker for worker in (seat.worker, seat.successor) if worker is not None]
        seat.worker = seat.successor = None
        seat.pause, seat.opens_at = Pause(), 0.0
        for worker in leavers:
            self.retire(worker)

    def _succeed(self, seat: Seat) -> None:
        old, seat.worker, seat.successor = seat.worker, seat.successor, None
        if old is not None:
            self.recycled[old.tired] += 1
            self.retire(old)

    def _vacate(self, seat: Seat, worker: PoolWorker, has_served: bool) -> None:
        if self._is_leaving():
            return
        if worker.problem and not self.has_begun:
            # At the start a broken application is an error to be seen, not something to try for ever.
            self._hopeless(worker.problem)
            return
        if seat.successor is worker:
            seat.successor = None
        else:
            seat.worker, seat.successor = seat.successor, None
            if worker.tired:
                self.recycled[worker.tired] += 1
                return  # it went because it was to go
            self.restarts += 1
        # One that never became ready died at once, however long its import took.
        lived = time.monotonic() - worker.started if worker.was_ready else 0.0
        pause = seat.pause.after(lived, has_served)
        if pause:
            seat.opens_at = time.monotonic() + pause
            self._call_later(pause, self.step)

    def _give_up(self, worker: PoolWorker) -> None:
        seconds = worker.release.pool.reload.timeout
        worker.problem = f"a new worker was not ready within {seconds:g} s"
        if self.takeover is not None and self.takeover.has(worker):
            self.takeover.end(worker.problem)
        else:
            self.retire(worker)

    def _try_open_board(self, worker: PoolWorker) -> int:
        """-1 where that is not possible now; nobody repairs its tokens then."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            return os.open(self._places.board(worker.incarnation), flags)
        except OSError:
            return -1

    def _note_exit(self, worker: PoolWorker, status: int) -> None:
        if not self.has_begun and (worker.problem or self._is_leaving()):
            return  # it is said once, for all of them, as the reason why the pool cannot start
        name = f"worker {worker.incarnation} (pid {worker.child.pid})"
        is_expected = worker.state is WorkerState.RETIRING or worker.tired or self._is_leaving()
        if worker.problem:
            self._log.error(f"{name} could not start: {worker.problem}")
        elif status or not is_expected:
            self.crashes += not is_expected
            self._log.error(f"{name} {manner(status)}{last_words(worker, self._places)}")


def _need(seat: Seat) -> tuple[int, ...]:
    """Which seat a newcomer takes first, and which are given up first: the empty, then the oldest code."""
    worker = seat.worker
    if worker is None:
        return (0,)
    return (worker.release.number, not worker.is_absent, worker.incarnation)
