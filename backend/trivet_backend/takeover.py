"""A release that takes over from the one that serves: worker by worker, each ready before an old one goes.

Owns the order, how many are too many, and what ends it early. Forks nothing itself: the crew does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trivet_backend.ending import manner
from trivet_backend.release import Release
from trivet_backend.roster import PoolWorker, Roster

# Once the first newcomer has proved the release, so many others may end in a row before it is given up: what
# kills one worker comes from outside, and a pool of two releases is nobody's wish.
_MOST_FAILURES = 3


class Crew(Protocol):
    """What a takeover needs of the pool's crew."""

    roster: Roster

    def try_start(self, release: Release, ready: str | None = None) -> PoolWorker | None: ...
    def seat(self, worker: PoolWorker) -> PoolWorker | None: ...
    def retire(self, worker: PoolWorker) -> None: ...
    def adopt(self, release: Release) -> None: ...
    def resize(self, size: int) -> None: ...


class Takeover:
    """`done` is called once: with None, or with the problem, and then the other seats stay as they are.

    `report` hears how far it is.
    """

    def __init__(
        self,
        crew: Crew,
        release: Release,
        done: Callable[[str | None], None],
        report: Callable[[str], None],
    ) -> None:
        self._crew = crew
        self._release = release
        self._done = done
        self._report = report
        workers = release.pool.workers
        self._size = min(max(len(crew.roster.seats), workers.min), workers.max)
        self._newcomers: list[PoolWorker] = []
        self._leaving: list[PoolWorker] = []  # those that newcomers have replaced
        self.is_adopted = False  # the first newcomer was good: there is no way back
        self._failures = 0  # in a row
        self._is_over = False

    def __repr__(self) -> str:
        return f"<Takeover by release {self._release.number}, {self._renewed()} of {self._size}>"

    def step(self) -> None:
        """Start as many newcomers as may be there now; without one left to start, that was all."""
        if self._is_over:
            return
        if self.is_adopted and not (self._newcomers or self._leaving) and self._missing() <= 0:
            self.end(None)
            return
        # The first one alone is the proof that the release is good.
        surge = self._release.pool.reload.surge if self.is_adopted else 1
        room = surge - len(self._newcomers) - len(self._leaving)
        for _ in range(min(room, self._missing())):
            newcomer = self._crew.try_start(self._release, self._release.pool.reload.ready)
            if newcomer is None:
                return
            self._newcomers.append(newcomer)

    def has(self, worker: PoolWorker) -> bool:
        """Is it a newcomer without a seat?"""
        return worker in self._newcomers

    def worker_ready(self, worker: PoolWorker) -> None:
        """A newcomer gets a seat, and whoever had it may go; its exit calls for the next."""
        if worker not in self._newcomers:
            return
        self._newcomers.remove(worker)
        self._failures = 0
        if not self.is_adopted:
            self.is_adopted = True
            self._crew.adopt(self._release)
        old = self._crew.seat(worker)
        if old is not None:
            self._leaving.append(old)
        self._report(f"{self._renewed()} of {self._size} workers")

    def worker_exited(self, worker: PoolWorker, status: int) -> None:
        if worker in self._leaving:
            self._leaving.remove(worker)
        elif worker in self._newcomers:
            self._newcomers.remove(worker)
            self._failures += 1
            if self.is_adopted and self._failures < _MOST_FAILURES:
                return  # the next step starts another
            self.end(worker.problem or f"the new worker {manner(status)} before it was ready")

    def end(self, problem: str | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        if problem is not None and self.is_adopted:
            problem += f"\n{self._renewed()} of {self._size} workers are of the new release"
        for newcomer in self._newcomers:
            # Not SIGKILL: it may have become ready, and busy, this very moment.
            self._crew.retire(newcomer)
        self._newcomers.clear()
        if problem is None:
            self._crew.resize(self._size)
        self._done(problem)

    def _renewed(self) -> int:
        seats = self._crew.roster.seats
        return sum(seat.worker is not None and self._is_new(seat.worker) for seat in seats)

    def _missing(self) -> int:
        """How many newcomers are still to be started. Seats nobody sits on are filled by the crew."""
        if not self.is_adopted:
            return 1 - len(self._newcomers)
        seats = self._crew.roster.seats
        empty = sum(seat.worker is None for seat in seats)
        return min(len(seats), self._size) - self._renewed() - empty - len(self._newcomers)

    def _is_new(self, worker: PoolWorker) -> bool:
        return worker.release.number >= self._release.number
