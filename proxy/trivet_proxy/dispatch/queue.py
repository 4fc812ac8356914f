"""Requests that wait for a slot: first in, first out, bounded in number and time.

Owns their order and the one task that reads the FIFO while somebody waits. A token nobody waits for stays
where it is, for whichever process needs it. Knows nothing of what a request does with a slot.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Iterator
from typing import Protocol

import trio
from trio.lowlevel import ParkingLot, reschedule, wait_task_rescheduled

from trivet_common.http1.reasons import refuse

from ..deadlines import Deadlines
from . import waiting
from .slots import SlotLink, Slots
from .tally import Tally
from .terms import QueueLimits
from .waiting import RETRY_AFTER, Place, Waiting

# Slots handed out at most before other tasks get a turn.
_BURST = 64


class Claimant(waiting.Claimant, Protocol):
    """It can begin on a slot without waiting; `note_queued` comes before that."""

    @property
    def client_fd(self) -> int: ...
    def begin(self, link: SlotLink) -> None: ...


class Queue(Waiting):
    """`wait` returns once `begin` was called with a slot; the caller's request is then under way."""

    def __init__(self, slots: Slots, deadlines: Deadlines, limits: QueueLimits, tally: Tally) -> None:
        super().__init__(limits, deadlines)
        self._slots = slots
        self._tally = tally
        # Those that had a slot already and lost it through no fault of theirs stand before all others.
        self._again: deque[Place[Claimant]] = deque()
        self._line: deque[Place[Claimant]] = deque()
        self._reader = ParkingLot()

    @property
    def oldest_since(self) -> float | None:
        """Since when (time.monotonic) the first of the line has waited."""
        place = self._first()
        return place.since if place is not None else None

    async def wait(self, claimant: Claimant, is_again: bool = False) -> None:
        """`is_again`: it had a slot already. Raises HttpError queue_full, queue_timeout or client_left."""
        if self.waiting >= self.limits.limit and not is_again:
            self._tally.full += 1
            raise refuse("queue_full", headers=RETRY_AFTER)
        place = Place(claimant, self)
        (self._again if is_again else self._line).append(place)
        self.waiting += 1
        deadline = self._deadlines.start(self.limits.timeout, place, "queue_timeout")
        self._reader.unpark()
        try:
            await wait_task_rescheduled(lambda _: self._abandon(place))
        finally:
            deadline.stop()
            # The place may stand in the line, and its void deadline in a heap, until their time comes: they
            # must not keep the request, its body and the board of a worker that is gone.
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
            # Every process that waits is woken by every token, and nearly always one of them gets it.
            if not self._slots.has_token():
                return False
            if place.claimant.is_gone():
                self._leave(place, refuse("client_left"))
                continue
            link = self._slots.try_claim()
            if link is None:
                return False
            self._start(place, link)
        return True

    def _start(self, place: Place[Claimant], link: SlotLink) -> None:
        error: Exception | None = None
        self._stop_waiting(place)
        try:
            place.claimant.begin(link)
        except Exception as problem:  # its own task is the one to fail, not the one that serves everybody
            link.discard("never sent")
            error = problem
        place.error = error
        reschedule(place.task)

    def _first(self) -> Place[Claimant] | None:
        for line in (self._again, self._line):
            while line:
                if line[0].is_waiting:
                    return line[0]
                line.popleft()
        return None

    def _places(self) -> Iterator[Place[Claimant]]:
        for line in (self._again, self._line):
            yield from [place for place in line if place.is_waiting]

    def _expire(self, place: Place[Claimant], why: str) -> None:
        self._tally.expired += 1
        self._leave(place, refuse(why, headers=RETRY_AFTER))
