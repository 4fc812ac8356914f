"""Requests that wait for something: their tasks sleep until it is there, or their time is over.

Owns how many wait, and the one way out of the line. Knows neither order nor what is given: a pool's queue
(queue.py) and an upstream's line (../upstreams/line.py) do.
"""

from __future__ import annotations

import time
from typing import Any, Generic, Protocol, TypeVar

from trio.lowlevel import Abort, Task, current_task, reschedule

from ..deadlines import Deadlines
from .terms import QueueLimits

# RFC 9110, 10.2.3: seconds. A line that is full now is seldom empty in less.
RETRY_AFTER = ((b"retry-after", b"1"),)


class Claimant(Protocol):
    """What waits. `note_queued` is told how long it did, in seconds, also before an error that ends it."""

    def is_gone(self) -> bool: ...
    def note_queued(self, seconds: float) -> None: ...


Who = TypeVar("Who", bound=Claimant)


class Place(Generic[Who]):
    """One request's place in the line; made by the task that is about to sleep."""

    __slots__ = ("_line", "claimant", "error", "is_waiting", "since", "task")

    def __init__(self, claimant: Who, line: Waiting) -> None:
        self.claimant = claimant
        self.since = time.monotonic()
        self.task: Task = current_task()
        self.is_waiting = True
        self.error: Exception | None = None
        self._line = line

    def expire(self, why: str) -> None:
        """Its time is over (Deadlines)."""
        if self.is_waiting:
            self._line._expire(self, why)


class Waiting:
    """`waiting`: how many do."""

    def __init__(self, limits: QueueLimits, deadlines: Deadlines) -> None:
        self.limits = limits
        self.waiting = 0
        self._deadlines = deadlines

    def __repr__(self) -> str:
        return f"<{type(self).__name__} waiting={self.waiting} of {self.limits.limit}>"

    def _expire(self, place: Place[Any], why: str) -> None:
        raise NotImplementedError

    def _leave(self, place: Place[Any], error: Exception | None) -> None:
        """Wake its task, with the reason if it gets nothing."""
        if place.is_waiting:
            self._stop_waiting(place)
            place.error = error
            reschedule(place.task)

    def _abandon(self, place: Place[Any]) -> Abort:
        self._stop_waiting(place)
        return Abort.SUCCEEDED

    def _stop_waiting(self, place: Place[Any]) -> None:
        place.is_waiting = False
        self.waiting -= 1
        place.claimant.note_queued(time.monotonic() - place.since)
