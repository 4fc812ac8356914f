"""What a pool's master reads from the boards of its workers, and what it makes of it.

By pread (a mapping could be truncated under us), and believed for its own worker only. Decides nothing.
"""

from __future__ import annotations

import os

from trivet_backend.roster import PoolWorker, WorkerState
from trivet_common.pool.board import (
    CLAIM_WORDS,
    HEADER_WORDS,
    ROW_WORDS,
    STATE,
    BoardError,
    SlotState,
    SlotView,
    read_board,
)
from trivet_common.pool.places import PoolPlaces

BUSY = (SlotState.READING, SlotState.RUNNING)


def rows(worker: PoolWorker) -> list[memoryview]:
    """The words of its slots, copied; as many as we gave it, or none, whatever the board says."""
    size = worker.slots * ROW_WORDS * 8
    try:
        raw = os.pread(worker.board, size, HEADER_WORDS * 8) if worker.board >= 0 else b""
    except OSError:
        return []
    if len(raw) != size:
        return []
    words = memoryview(raw).cast("Q")
    return [words[slot * ROW_WORDS : (slot + 1) * ROW_WORDS] for slot in range(worker.slots)]


def claim_rows(worker: PoolWorker) -> list[tuple[int, int, memoryview]]:
    """The claim words of a ready worker's slots, as the repair takes them."""
    if worker.state is not WorkerState.READY:
        return []
    return [(worker.incarnation, slot, row[:CLAIM_WORDS]) for slot, row in enumerate(rows(worker))]


def busy(worker: PoolWorker) -> int:
    """How many of its slots have a request."""
    return sum(row[STATE] in BUSY for row in rows(worker))


def views(worker: PoolWorker, places: PoolPlaces) -> tuple[SlotView, ...]:
    """Copies of its rows, for people."""
    try:
        return read_board(places.board(worker.incarnation)).slots[: worker.slots]
    except (OSError, BoardError):
        return ()


def what_runs(worker: PoolWorker, places: PoolPlaces) -> list[str]:
    """What its slots are doing, in words."""
    return [describe(row) for row in views(worker, places) if row.state in BUSY]


def last_words(worker: PoolWorker, places: PoolPlaces) -> str:
    """What a dead worker was doing, for the log; "" if nothing."""
    running = what_runs(worker, places)
    return f" while it ran {'; '.join(running[:16])}" if running else ""


def has_answered(worker: PoolWorker, places: PoolPlaces) -> bool:
    """Whether it came as far as to answer a request: an application that dies of its first one does not."""
    return any(row.done for row in views(worker, places))


def is_removed(fd: int) -> bool:
    """Whether an open file has lost its last name; -1 is none."""
    return fd >= 0 and os.fstat(fd).st_nlink == 0


def describe(row: SlotView) -> str:
    return f"{row.method} {row.path} (request {row.request_id})"
