"""Who works in a pool: its workers, and the seats they sit on.

Data without I/O: rooms that decide read it, the crew changes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import Enum

from trivet_backend.release import Release
from trivet_common.children import Child, Pause


class WorkerState(Enum):
    """Moves forward only."""

    STARTING = "starting"
    READY = "ready"
    RETIRING = "retiring"


class PoolWorker:
    """What the master knows of one of its workers."""

    __slots__ = (
        "absent_ticks",
        "board",
        "child",
        "incarnation",
        "is_absent",
        "late_id",
        "problem",
        "ready_by",
        "release",
        "slots",
        "started",
        "state",
        "tired",
        "was_ready",
    )

    def __init__(self, child: Child, incarnation: int, release: Release) -> None:
        self.child = child
        self.incarnation = incarnation
        self.release = release
        self.slots = release.pool.threads
        self.state = WorkerState.STARTING
        self.was_ready = False
        self.started = time.monotonic()
        self.ready_by = self.started + release.pool.reload.timeout
        self.board = -1  # its descriptor, read by pread: a mapping could be truncated under us
        self.problem = ""
        self.tired = ""  # why it asked for a successor
        self.is_absent = False  # it takes no further request
        self.absent_ticks = 0  # for how long it seems to
        self.late_id = ""  # of the request that was interrupted last

    def __repr__(self) -> str:
        return f"<PoolWorker w{self.incarnation} pid={self.child.pid} {self.state.name} {self.tired}>"


class Seat:
    """One of the places that are to be filled. `successor` is starting, to sit down when it is ready.

    `pause` grows when its workers die at once; none is started on it before `opens_at` (time.monotonic).
    """

    __slots__ = ("opens_at", "pause", "successor", "worker")

    def __init__(self) -> None:
        self.pause = Pause()
        self.opens_at = 0.0
        self.worker: PoolWorker | None = None
        self.successor: PoolWorker | None = None

    def __repr__(self) -> str:
        return f"<Seat {self.worker!r} successor={self.successor!r}>"

    def is_open(self, now: float) -> bool:
        """May somebody be started for it?"""
        return self.successor is None and now >= self.opens_at


class Roster:
    """`workers` by incarnation, those that leave too."""

    __slots__ = ("seats", "workers")

    def __init__(self, size: int) -> None:
        self.seats = [Seat() for _ in range(size)]
        self.workers: dict[int, PoolWorker] = {}

    def __repr__(self) -> str:
        return f"<Roster seats={len(self.seats)} workers={len(self.workers)} ready={self.ready()}>"

    def __iter__(self) -> Iterator[PoolWorker]:
        """A copy: one may end while others are told something."""
        return iter(list(self.workers.values()))

    def ready(self) -> int:
        """How many take requests."""
        return sum(
            worker.state is WorkerState.READY and not worker.is_absent for worker in self.workers.values()
        )

    def leaving(self) -> int:
        return sum(worker.state is WorkerState.RETIRING for worker in self.workers.values())

    def seat_of(self, worker: PoolWorker) -> Seat | None:
        """The seat it sits on, or is starting for; None for one that leaves, or has none yet."""
        return next((seat for seat in self.seats if worker in (seat.worker, seat.successor)), None)
