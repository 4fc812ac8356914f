"""Requests that wait until a server has room: first in, first out, bounded in number and time.

As the queue of a pool (dispatch/queue.py), but who waits may have servers it does not want: those that failed
it already. Knows no connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from trio.lowlevel import wait_task_rescheduled

from trivet_common.http1.reasons import refuse

from ..deadlines import Deadlines
from ..dispatch.terms import QueueLimits
from ..dispatch.waiting import RETRY_AFTER, Claimant, Place, Waiting
from .balance import Refusal
from .server import Server

Choose = Callable[[], Server | Refusal]


class _Place(Place[Claimant]):
    __slots__ = ("choose", "is_again", "server")

    def __init__(self, claimant: Claimant, line: Line, choose: Choose, is_again: bool) -> None:
        super().__init__(claimant, line)
        self.choose = choose
        self.is_again = is_again
        self.server: Server | None = None


class Line(Waiting):
    """`wait` returns a server that the request has entered; `serve` is called whenever one may have room."""

    def __init__(self, limits: QueueLimits, deadlines: Deadlines) -> None:
        super().__init__(limits, deadlines)
        self.newcomers = 0  # of those that wait, those that had no server yet: they take any
        self._places: deque[_Place] = deque()

    async def wait(self, claimant: Claimant, choose: Choose, *, is_again: bool) -> Server | None:
        """None: no server is left that would do. Raises HttpError queue_full, queue_timeout, client_left.

        `is_again`: it had a server already, and stands before those that had none.
        """
        if self.waiting >= self.limits.limit and not is_again:
            raise refuse(
                "queue_full", "Every connection is in use and the queue is full.", headers=RETRY_AFTER
            )
        place = _Place(claimant, self, choose, is_again)
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
                self._leave(place, refuse("client_left"))
                continue
            found = place.choose()
            if found is Refusal.FULL:
                if place.is_again:
                    continue
                break  # this one would take any server: nobody behind it finds one
            if isinstance(found, Server):
                found.enter()
                place.server = found
            self._leave(place, None)

    def drop_gone(self) -> None:
        """Take out everybody whose client has left."""
        for place in list(self._places):
            if place.is_waiting and place.claimant.is_gone():
                self._leave(place, refuse("client_left"))

    def _expire(self, place: Place[Claimant], why: str) -> None:
        detail = "No connection became free within the queue's timeout."
        self._leave(place, refuse(why, detail, headers=RETRY_AFTER))

    def _stop_waiting(self, place: Place[Claimant]) -> None:
        assert isinstance(place, _Place)
        super()._stop_waiting(place)
        self.newcomers -= not place.is_again
        self._places.remove(place)
