"""Requests that wait for a slot: first in, first out, bounded in number and time.

Owns their order and the one task that reads the FIFO while somebody waits. A token nobody waits for stays
where it is, for whichever process needs it. Knows nothing of what a request does with a slot.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

import trio
from trio.lowlevel import Abort, ParkingLot, Task, current_task, reschedule, wait_task_rescheduled

from trivet_common.http1.reasons import refuse

from ..deadlines import Deadlines
from .slots import SlotLink, Slots
from .tally import Tally
from .terms import QueueLimits

# RFC 9110, 10.2.3: seconds. A queue that is full now is seldom empty in less.
_RETRY_AFTER = ((b"retry-after", b"1"),)
# Slots handed out at most before other tasks get a turn.
_BURST = 64


class Claimant(Protocol):
    """What waits: it can say whether its client is still there, and begin on a slot without waiting.

    `note_queued` comes before `begin`, and before the error that ends the waiting; in seconds.
    """

    @property
    def client_fd(self) -> int: ...
    def is_gone(self) -> bool: ...
    def note_queued(self, seconds: float) -> None: ...
    def begin(self, link: SlotLink) -> None: ...


class _Place:
    """One request's place in the line."""

    __slots__ = ("_expire", "claimant", "error", "is_waiting", "since", "task")

    def __init__(self, claimant: Claimant, expire: Callable[[_Place, str], None]) -> None:
        self.claimant = claimant
        self.since = time.monotonic()
        self.task: Task = current_task()
        self.is_waiting = True
        self.error: Exception | None = None
        self._expire = expire

    def expire(self, why: str) -> None:
        """Its time is over (Deadlines)."""
        self._expire(self, why)


class Queue:
    """`wait` returns once `begin` was called with a slot; the caller's request is then under way."""

    def __init__(self, slots: Slots, deadlines: Deadlines, limits: QueueLimits, tally: Tally) -> None:
        self.limits = limits
        self.waiting = 0
        self._slots = slots
        self._deadlines = deadlines
        self._tally = tally
        # Those that had a slot already and lost it through no fault of theirs stand before all others.
        self._again: deque[_Place] = deque()
        self._line: deque[_Place] = deque()
        self._reader = ParkingLot()

    def __repr__(self) -> str:
        return f"<Queue waiting={self.waiting} of {self.limits.limit}>"

    @property
    def oldest_since(self) -> float | None:
        """Since when (time.monotonic) the first of the line has waited."""
        place = self._first()
        return place.since if place is not None else None

    async def wait(self, claimant: Claimant, is_again: bool = False) -> None:
        """`is_again`: it had a slot already. Raises HttpError queue_full, queue_timeout or client_left."""
        if self.waiting >= self.limits.limit and not is_again:
            self._tally.full += 1
            raise refuse("queue_full", headers=_RETRY_AFTER)
        place = _Place(claimant, self._expire)
        (self._again if is_again else self._line).append(place)
        self.waiting += 1
        deadline = self._deadlines.start(self.limits.timeout, place, "queue_timeout")
        self._reader.unpark()
        try:
            await wait_task_rescheduled(lambda _: self._abandon(place))
        finally:
            deadline.stop()
            # A void deadline may stand in its heap until its time comes: it must not keep the request, its
            # body and the board of a worker that is gone.
            del place.claimant, place.task
        if place.error is not None:
            raise place.error

    async def run(self) -> None:
        """The one task that turns tokens into requests under way."""
        while True:
            while not self.waiting:
                await self._reader.park()
            if self._serve():
                await trio.lowlevel.checkpoint()
            else:
                await self._slots.wait_for_token()

    def drop_gone(self) -> None:
        """Take out everybody whose client has left, in one system call."""
        if not self.waiting:
            return
        poll, places = select.poll(), {}
        for place in self._places():
            fd = place.claimant.client_fd
            if fd < 0:
                self._leave(place, refuse("client_left"))
            else:
                places[fd] = place
                poll.register(fd, select.POLLRDHUP)
        for fd, _ in poll.poll(0):
            self._leave(places[fd], refuse("client_left"))
        self._line = deque(place for place in self._line if place.is_waiting)
        self._again = deque(place for place in self._again if place.is_waiting)

    def _serve(self) -> bool:
        """Hand slots out; whether there may be more.

        Each slot once a turn: a fast one would be idle again before the task of its last answer has run, and
        be claimed over one more connection each time. The client is asked before the token is read, so that a
        slot is never spent on one that has left.
        """
        for _ in range(min(max(self._slots.known, 1), _BURST)):
            place = self._first()
            if place is None:
                return True
            if place.claimant.is_gone():
                self._leave(place, refuse("client_left"))
                continue
            link = self._slots.try_claim()
            if link is None:
                return False
            self._start(place, link)
        return True

    def _start(self, place: _Place, link: SlotLink) -> None:
        error: Exception | None = None
        self._stop_waiting(place)
        try:
            place.claimant.begin(link)
        except Exception as problem:  # its own task is the one to fail, not the one that serves everybody
            link.discard("never sent")
            error = problem
        place.error = error
        reschedule(place.task)

    def _first(self) -> _Place | None:
        for line in (self._again, self._line):
            while line:
                if line[0].is_waiting:
                    return line[0]
                line.popleft()
        return None

    def _places(self) -> Iterator[_Place]:
        for line in (self._again, self._line):
            yield from [place for place in line if place.is_waiting]

    def _expire(self, place: _Place, why: str) -> None:
        if place.is_waiting:
            self._tally.expired += 1
            self._leave(place, refuse(why, headers=_RETRY_AFTER))

    def _leave(self, place: _Place, error: Exception) -> None:
        """Wake its task with the reason why it gets no slot."""
        if place.is_waiting:
            self._stop_waiting(place)
            place.error = error
            reschedule(place.task)

    def _abandon(self, place: _Place) -> Abort:
        self._stop_waiting(place)
        return Abort.SUCCEEDED

    def _stop_waiting(self, place: _Place) -> None:
        place.is_waiting = False
        self.waiting -= 1
        place.claimant.note_queued(time.monotonic() - place.since)
