"""Requests that wait until a server has room: first in, first out, bounded in number and time.

As the queue of a pool (dispatch/queue.py), but who waits may have servers it does not want: those that failed
it already. Knows no connection.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from trivet_common.http1.reasons import refuse

from ..deadlines import Deadlines
from ..dispatch.terms import QueueLimits
from .balance import Refusal
from .server import Server

# RFC 9110, 10.2.3: seconds. As a pool's.
RETRY_AFTER = ((b"retry-after", b"1"),)


class Claimant(Protocol):
    """What waits. `note_queued` is told how long it did, in seconds, also before an error that ends it."""

    def is_gone(self) -> bool: ...
    def note_queued(self, seconds: float) -> None: ...


Choose = Callable[[], Server | Refusal]


class _Place:
    __slots__ = (
        "_expire",
        "choose",
        "claimant",
        "error",
        "is_again",
        "is_waiting",
        "server",
        "since",
        "task",
    )

    def __init__(
        self, claimant: Claimant, choose: Choose, is_again: bool, expire: Callable[[_Place, str], None]
    ) -> None:
        self.claimant = claimant
        self.choose = choose
        self.is_again = is_again
        self.since = time.monotonic()
        self.task: Task = current_task()
        self.is_waiting = True
        self.server: Server | None = None
        self.error: Exception | None = None
        self._expire = expire

    def expire(self, why: str) -> None:
        """Its time is over (Deadlines)."""
        self._expire(self, why)


class Line:
    """`wait` returns a server that the request has entered; `serve` is called whenever one may have room."""

    def __init__(self, limits: QueueLimits, deadlines: Deadlines) -> None:
        self.limits = limits
        self.waiting = 0
        self.newcomers = 0  # of these, those that had no server yet: they take any
        self._deadlines = deadlines
        self._places: deque[_Place] = deque()

    def __repr__(self) -> str:
        return f"<Line waiting={self.waiting} of {self.limits.limit}>"

    async def wait(self, claimant: Claimant, choose: Choose, *, is_again: bool) -> Server | None:
        """None: no server is left that would do. Raises HttpError queue_full, queue_timeout, client_left.

        `is_again`: it had a server already, and stands before those that had none.
        """
        if self.waiting >= self.limits.limit and not is_again:
            raise refuse(
                "queue_full", "Every connection is in use and the queue is full.", headers=RETRY_AFTER
            )
        place = _Place(claimant, choose, is_again, self._expire)
        (self._places.appendleft if is_again else self._places.append)(place)
        self.waiting += 1
        self.newcomers += not is_again
        deadline = self._deadlines.start(self.limits.timeout, place, "queue_timeout")
        try:
            await wait_task_rescheduled(lambda _: self._abandon(place))
        finally:
            deadline.end()
        if place.error is not None:
            raise place.error
        return place.server

    def serve(self) -> None:
        """Give out what room there is, to the longest waiting first."""
        for place in list(self._places) if self.waiting else ():
            if not place.is_waiting:
                continue
            if place.claimant.is_gone():
                self._end(place, refuse("client_left"))
                continue
            found = place.choose()
            if found is Refusal.FULL:
                if place.is_again:
                    continue
                break  # this one would take any server: nobody behind it finds one
            if isinstance(found, Server):
                found.enter()
                place.server = found
            self._end(place, None)

    def drop_gone(self) -> None:
        """Take out everybody whose client has left."""
        for place in list(self._places):
            if place.is_waiting and place.claimant.is_gone():
                self._end(place, refuse("client_left"))

    def _expire(self, place: _Place, why: str) -> None:
        if place.is_waiting:
            self._end(
                place,
                refuse(why, "No connection became free within the queue's timeout.", headers=RETRY_AFTER),
            )

    def _end(self, place: _Place, error: Exception | None) -> None:
        self._stop_waiting(place)
        place.error = error
        reschedule(place.task)

    def _abandon(self, place: _Place) -> Abort:
        self._stop_waiting(place)
        return Abort.SUCCEEDED

    def _stop_waiting(self, place: _Place) -> None:
        place.is_waiting = False
        self.waiting -= 1
        self.newcomers -= not place.is_again
        self._places.remove(place)
        place.claimant.note_queued(time.monotonic() - place.since)
