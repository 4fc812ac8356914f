"""A release that takes over from the one that serves: worker by worker, each ready before an old one goes.

Owns the order, the time limit and what ends it early. Forks nothing itself: the master is its crew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trivet_backend.roster import PoolWorker, Seat, manner
from trivet_common.children import Pause
from trivet_common.config import Pool, Settings


class Crew(Protocol):
    """What a takeover needs of the pool's master."""

    def spawn_worker(self, seat: Seat, pool: Pool, settings: Settings) -> PoolWorker: ...
    def retire_worker(self, worker: PoolWorker) -> None: ...
    def adopt(self, pool: Pool, settings: Settings) -> None: ...
    def resize(self) -> None: ...
    def call_later(self, seconds: float, callback: Callable[[], None]) -> None: ...


class Takeover:
    """`done` is called once: with None, or with the problem, and then the other seats stay as they are."""

    def __init__(
        self,
        crew: Crew,
        pool: Pool,
        settings: Settings,
        seats: list[Seat],
        done: Callable[[str | None], None],
    ) -> None:
        self._crew = crew
        self._pool = pool
        self._settings = settings
        self._seats = seats  # those still to be replaced
        self._done = done
        self._newcomer: PoolWorker | None = None
        self._leaving: PoolWorker | None = None  # whom the last newcomer replaced
        self._is_over = False

    def __repr__(self) -> str:
        return f"<Takeover of {self._pool.name}, {len(self._seats)} to go>"

    def replace_next(self) -> None:
        """Start a worker of the new release for the next seat; without one, that was all."""
        if not self._seats:
            self._crew.resize()
            self.end(None)
            return
        newcomer = self._newcomer = self._crew.spawn_worker(self._seats[0], self._pool, self._settings)
        timeout = self._pool.reload.timeout

        def insist() -> None:
            if self._newcomer is newcomer:
                self.end(f"a new worker was not ready within {timeout:g} s")

        self._crew.call_later(timeout, insist)

    def worker_ready(self, worker: PoolWorker) -> None:
        """If it is the newcomer, the seat is its own, and the old worker may go."""
        if worker is not self._newcomer:
            return
        self._newcomer = None
        self._crew.adopt(self._pool, self._settings)
        seat = self._seats.pop(0)
        old, seat.worker = seat.worker, worker
        seat.pause = Pause()
        if old is None:
            self.replace_next()
        else:
            self._leaving = old
            self._crew.retire_worker(old)  # its exit calls for the next: never more than one too many

    def worker_exited(self, worker: PoolWorker, status: int) -> None:
        if worker is self._newcomer:
            self._newcomer = None
            self.end(worker.problem or f"the new worker {manner(status)} before it was ready")
        elif worker is self._leaving:
            self._leaving = None
            self.replace_next()

    def end(self, problem: str | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        newcomer, self._newcomer = self._newcomer, None
        if newcomer is not None:
            # Not SIGKILL: it may have become ready, and busy, this very moment.
            self._crew.retire_worker(newcomer)
        self._done(problem)
