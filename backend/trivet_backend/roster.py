"""What a pool's master knows of its workers, and what it reads from their boards.

A board is read by pread (a mapping could be truncated under us) and believed for its own worker only.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from enum import Enum
from typing import Any

from trivet_common.children import Child, Pause
from trivet_common.config import Pool
from trivet_common.pool.board import (
    CLAIM_WORDS,
    HEADER_WORDS,
    ROW_WORDS,
    BoardError,
    SlotState,
    SlotView,
    read_board,
)
from trivet_common.pool.places import PoolPlaces

_BUSY = (SlotState.READING, SlotState.RUNNING)


class WorkerState(Enum):
    STARTING = "starting"
    READY = "ready"
    RETIRING = "retiring"


class PoolWorker:
    """What the master knows of one of its workers."""

    __slots__ = ("board", "child", "incarnation", "problem", "seat", "slots", "started", "state")

    def __init__(self, child: Child, incarnation: int, seat: Seat, slots: int) -> None:
        self.child = child
        self.incarnation = incarnation
        self.seat = seat
        self.slots = slots
        self.state = WorkerState.STARTING
        self.started = time.monotonic()
        self.board = -1  # its descriptor, read by pread: a mapping could be truncated under us
        self.problem = ""

    def __repr__(self) -> str:
        return f"<PoolWorker w{self.incarnation} pid={self.child.pid} {self.state.name}>"


class Seat:
    """One of the places that are to be filled. `pause` grows when its workers die at once."""

    __slots__ = ("index", "pause", "worker")

    def __init__(self, index: int) -> None:
        self.index = index
        self.pause = Pause()
        self.worker: PoolWorker | None = None

    def __repr__(self) -> str:
        return f"<Seat {self.index} {self.worker!r}>"


def last_words(worker: PoolWorker, places: PoolPlaces) -> str:
    """What a dead worker was doing, for the log; "" if nothing."""
    running = [_describe(row) for row in _slots(worker, places) if row.state in _BUSY]
    return f" while it ran {'; '.join(running[:16])}" if running else ""


def has_answered(worker: PoolWorker, places: PoolPlaces) -> bool:
    """Whether it came as far as to answer a request: an application that dies of its first one does not."""
    return any(row.done for row in _slots(worker, places))


def is_removed(fd: int) -> bool:
    """Whether an open file has lost its last name; -1 is none."""
    return fd >= 0 and os.fstat(fd).st_nlink == 0


def pool_status(pool: Pool, workers: Iterable[PoolWorker], places: PoolPlaces) -> dict[str, Any]:
    found = sorted(workers, key=lambda worker: worker.incarnation)
    return {
        "pool": pool.name,
        "app": pool.app,
        "wanted": pool.workers.min,
        "threads": pool.threads,
        "ready": sum(worker.state is WorkerState.READY for worker in found),
        "workers": [worker_status(worker, places) for worker in found],
    }


def worker_status(worker: PoolWorker, places: PoolPlaces) -> dict[str, Any]:
    now = time.monotonic_ns()
    return {
        "incarnation": worker.incarnation,
        "pid": worker.child.pid,
        "state": worker.state.value,
        "age": round(time.monotonic() - worker.started, 3),
        "slots": [_slot_status(row, now) for row in _slots(worker, places)],
    }


def claim_rows(worker: PoolWorker) -> list[tuple[int, int, memoryview]]:
    """The claim words of a ready worker's slots, copied; as many as we gave it, whatever the board says."""
    if worker.state is not WorkerState.READY or worker.board < 0:
        return []
    size = worker.slots * ROW_WORDS * 8
    try:
        raw = os.pread(worker.board, size, HEADER_WORDS * 8)
    except OSError:
        return []
    if len(raw) != size:
        return []
    words = memoryview(raw).cast("Q")
    return [
        (worker.incarnation, slot, words[slot * ROW_WORDS : slot * ROW_WORDS + CLAIM_WORDS])
        for slot in range(worker.slots)
    ]


def _slots(worker: PoolWorker, places: PoolPlaces) -> tuple[SlotView, ...]:
    try:
        return read_board(places.board(worker.incarnation)).slots[: worker.slots]
    except (OSError, BoardError):
        return ()


def _slot_status(row: SlotView, now: int) -> dict[str, Any]:
    is_busy = row.state in _BUSY
    return {
        "state": row.state.name.lower(),
        "done": row.done,
        "method": row.method if is_busy else "",
        "path": row.path if is_busy else "",
        "request_id": row.request_id if is_busy else "",
        "seconds": round(max(now - row.since, 0) / 1e9, 3) if is_busy and row.since else 0.0,
    }


def _describe(row: SlotView) -> str:
    return f"{row.method} {row.path} (request {row.request_id})"


def manner(status: int) -> str:
    """How a child ended, in words."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
