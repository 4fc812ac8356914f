"""A pool's state in a few words, from its boards: for a service manager's one line of status.

Owns the wording. Asks no process, and believes nothing it reads beyond counting it.
"""

from .board import BoardError, SlotState, SlotView, read_board
from .places import PoolPlaces
from .queue_board import read_queue_board

_BUSY = (SlotState.READING, SlotState.RUNNING)
_LIVE = (SlotState.IDLE, *_BUSY)


def figures(places: PoolPlaces) -> str:
    """For instance "3 of 8 slots busy, 2 waiting, 1204 served"."""
    slots = [slot for incarnation in places.incarnations() for slot in _slots(places, incarnation)]
    live = [slot for slot in slots if slot.state in _LIVE]
    if not live:
        return "no slot yet"
    busy = sum(slot.state in _BUSY for slot in live)
    rows = read_queue_board(places.queue_board)
    waiting, served = sum(row.waiting for row in rows), sum(row.counts.claims for row in rows)
    return f"{busy} of {len(live)} slots busy, {waiting} waiting, {served} served"


def _slots(places: PoolPlaces, incarnation: int) -> tuple[SlotView, ...]:
    try:
        return read_board(places.board(incarnation)).slots
    except (OSError, BoardError):
        return ()  # that worker has just left
