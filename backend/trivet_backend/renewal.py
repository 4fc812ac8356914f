"""Which seats get a new worker now: empty ones, and those whose worker asked for a successor.

Decides only, without I/O. A release that takes over is another room's (takeover.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from trivet_backend.roster import Seat


def empty_seats(seats: Sequence[Seat], now: float) -> list[Seat]:
    """To be filled at once."""
    return [seat for seat in seats if seat.worker is None and seat.is_open(now)]


def due_seats(seats: Sequence[Seat], now: float, leaving: int, *, is_rolling: bool = False) -> list[Seat]:
    """Whose successors are to be started. `leaving` workers have been replaced and are not gone yet.

    Of workers that still serve, never more than a quarter of the pool at a time; none while a reload
    replaces all of them anyway (`is_rolling`). One that serves no more is replaced as one that died is.
    """
    due = sorted((seat for seat in seats if _is_due(seat, now)), key=_urgency)
    absent = [seat for seat in due if _is_absent(seat)]
    under_way = sum(seat.successor is not None and not _is_absent(seat) for seat in seats) + leaving
    room = 0 if is_rolling else max(at_once(len(seats)) - under_way, 0)
    return absent + due[len(absent) : len(absent) + room]


def at_once(size: int) -> int:
    """How many of a pool of this size may be renewed at the same time."""
    return max(size // 4, 1)


def _is_due(seat: Seat, now: float) -> bool:
    return seat.worker is not None and bool(seat.worker.tired) and seat.is_open(now)


def _is_absent(seat: Seat) -> bool:
    return seat.worker is not None and seat.worker.is_absent


def _urgency(seat: Seat) -> tuple[bool, bool, int]:
    """First those that serve no more, then those with a slot less, then the oldest."""
    worker = seat.worker
    assert worker is not None
    return (not worker.is_absent, worker.tired != "timeout", worker.incarnation)
