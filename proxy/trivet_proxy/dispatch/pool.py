"""One pool as one proxy process sees it: its slots, its queue, and the exchanges that await an answer.

Outlives reloads. Owns the sweep that takes requests back from slots that will not run them. Knows no request.
"""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING

import trio

from trivet_common.pool.claims import is_passed_over, is_unread
from trivet_common.pool.places import PoolPlaces
from trivet_common.pool.queue_board import QueueRow

from ..deadlines import Deadlines
from ..disk import Lane
from ..forwarded import ResponseSieve
from .queue import Queue
from .slots import SlotLink, Slots
from .tally import Tally
from .terms import Terms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_SWEEP = 0.25  # seconds
_FORGET = 1.0
_TELL_AGAIN = 3600.0
_MOST_TOLD = 16  # the application makes the names up

HELD_UP = "held_up"  # why a wire was closed: its slot will not run the request


class PoolDispatch:
    """`run()` has its tasks. An Exchange begins with `try_claim` and waits in `queue` if there is none."""

    def __init__(
        self,
        name: str,
        places: PoolPlaces,
        terms: Terms,
        deadlines: Deadlines,
        warn: Callable[[str], None],
        index: int = 0,
        processes: int = 1,
    ) -> None:
        """For process `index` of so many."""
        self.name = name
        self.terms = terms
        self.tally = Tally()
        self.slots = Slots(places, deadlines)
        self.queue = Queue(self.slots, deadlines, terms.limits, self.tally)
        self.in_flight: set[SlotLink] = set()  # sent, and nothing of the answer is here yet
        self.lane = Lane()  # for files that its workers hand over, on whatever disk
        self.sieve = ResponseSieve(self._tell_of_order)
        self._row = QueueRow(places.queue_board, index, processes)
        self._warn = warn
        self._told: dict[bytes, float] = {}

    def __repr__(self) -> str:
        return f"<PoolDispatch {self.name} in flight={len(self.in_flight)} {self.queue!r} {self.slots!r}>"

    def try_claim(self) -> SlotLink | None:
        """An idle slot, if there is one and nobody waits for it."""
        return None if self.queue.waiting else self.slots.try_claim()

    def configure(self, terms: Terms) -> None:
        """What a reload may change; those who wait already keep the timeout they came with."""
        self.terms = terms
        self.queue.limits = terms.limits

    def tell_twice(self, what: str) -> None:
        """Of each such request once: it may be what killed them, and will come again."""
        self._warn(f"pool {self.name}: two workers died in {what}; it is not tried a third time")

    def statistics(self) -> dict[str, float]:
        """For the status page and tests. `oldest_wait` in seconds."""
        since = self.queue.oldest_since
        return {
            "waiting": self.queue.waiting,
            "oldest_wait": time.monotonic() - since if since is not None else 0.0,
            "in_flight": len(self.in_flight),
            **self.tally.counts()._asdict(),
        }

    async def run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep, self.queue.run)
                nursery.start_soon(self._keep, self._sweep_on)
        finally:
            self.close()

    def close(self) -> None:
        self.slots.close()
        self._row.clear()

    async def _keep(self, task: Callable[[], Awaitable[None]]) -> None:
        """What goes wrong in one turn of a loop costs that turn; it would end the process."""
        while True:
            try:
                await task()
            except Exception:
                self._warn(f"pool {self.name}: {traceback.format_exc()}")
                await trio.sleep(_SWEEP)

    async def _sweep_on(self) -> None:
        forget_at = 0.0
        while True:
            await trio.sleep(_SWEEP)
            self.take_back()
            self.slots.announce_again()
            self.queue.drop_gone()
            self._show()
            now = time.monotonic()
            if now >= forget_at:
                self.slots.refresh()
                self._row.refresh()
                forget_at = now + _FORGET

    def _show(self) -> None:
        since = self.queue.oldest_since
        oldest = int(since * 1e9) if since is not None else 0
        self._row.show(self.queue.waiting, oldest, self.tally.counts())

    def take_back(self) -> None:
        """Requests that their slot will never run: it went on with another one, or stands still.

        Of one that went on the order of the two questions matters: a slot answers before it goes on.
        """
        now = time.monotonic_ns()
        for link in list(self.in_flight):
            if is_passed_over(link.words, link.number, link.nonce):
                is_free = not link.wire.has_input()
            elif link.is_patient or link.is_sending:
                is_free = False
            else:
                is_free = is_unread(link.words, link.number, link.sent, now) and self._is_withdrawn(link)
            if is_free:
                link.wire.close(HELD_UP)

    def _is_withdrawn(self, link: SlotLink) -> bool:
        self.slots.shun(link)
        return link.has_withdrawn()

    def _tell_of_order(self, header: bytes) -> None:
        now = time.monotonic()
        if len(self._told) >= _MOST_TOLD and header not in self._told:
            return
        if now >= self._told.get(header, 0.0):
            self._told[header] = now + _TELL_AGAIN
            name = header.decode("latin-1")
            self._warn(f"pool {self.name}: the application's {name} was dropped: no route has internal: true")
