"""The addresses of servers' names, looked up in threads again and again while everybody else goes on.

Owns the lookups and what is said when they fail. A lookup that fails or hangs changes nothing: resolvers fail
more often than servers do.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import trio

from trivet_common.config.addresses import Server as Place

EVERY = 10.0  # seconds between two looks
# resolv.conf(5) gives a name server 5 s: where the first is dead, the second still answers.
_TIMEOUT = 12.0
_THREADS = 8  # beside those that hang
_MOST = 64  # addresses of one name

Address = tuple[socket.AddressFamily, Any]
Take = Callable[[Place, Sequence[Address]], None]


class Names:
    """`take` hears the addresses of a place, once they are known and each time that they have changed."""

    def __init__(self, places: Iterable[Place], take: Take, warn: Callable[[str], None]) -> None:
        self._places = list(dict.fromkeys(places))
        self._take = take
        self._warn = warn
        self._known: dict[Place, list[Address]] = {}
        self._problems: dict[Place, str] = {}
        self._limiter = trio.CapacityLimiter(_THREADS)
        self._asked: set[Place] = set()  # now, in a thread
        self._first = trio.Event()
        self._is_begun = False

    def __repr__(self) -> str:
        return f"<Names {len(self._known)} of {len(self._places)} known>"

    async def run(self) -> None:
        """For as long as it is wanted."""
        while self._places:
            await self.look_up()
            await trio.sleep(EVERY)

    async def wait_until_known(self) -> None:
        """Until the first look is over, whatever it has found. Who asks first looks."""
        if not self._is_begun:
            await self.look_up()
        await self._first.wait()

    async def look_up(self) -> None:
        """All names at once; returns when all are answered or given up."""
        self._is_begun = True
        # A resolver that hangs keeps its thread until the system gives up: one for each name, and none of
        # those that others need.
        self._limiter.total_tokens = _THREADS + len(self._asked)
        try:
            async with trio.open_nursery() as nursery:
                for place in [place for place in self._places if place not in self._asked]:
                    nursery.start_soon(self._look_up, place)
        finally:
            self._first.set()

    async def _look_up(self, place: Place) -> None:
        problem, found = "it takes too long", None
        with trio.move_on_after(_TIMEOUT):
            try:
                found = await trio.to_thread.run_sync(
                    self._ask, place, abandon_on_cancel=True, limiter=self._limiter
                )
            except Exception as error:  # a boundary: it may be no address, no name, or no thread
                problem = getattr(error, "strerror", None) or str(error)
        if not found:
            self._note_problem(place, problem)
            return
        if self._problems.pop(place, None) is not None:
            self._warn(f"{place.host} resolves again")
        addresses = _in_order((family, address) for family, _, _, _, address in found)
        if addresses != self._known.get(place):
            self._known[place] = addresses
            self._take(place, addresses)

    def _ask(self, place: Place) -> list[Any]:
        """In a thread; nobody may be waiting for it any more."""
        self._asked.add(place)
        try:
            flags = socket.AI_ADDRCONFIG
            return socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=flags)
        finally:
            self._asked.discard(place)

    def _note_problem(self, place: Place, problem: str) -> None:
        """Said once, until it resolves again."""
        if place in self._problems:
            return
        self._problems[place] = problem
        known = len(self._known.get(place, ()))
        rest = f"its last {known} addresses are kept" if known else "it is not asked until it does"
        self._warn(f"{place.host} does not resolve ({problem}); {rest}")


def _in_order(found: Iterable[Address]) -> list[Address]:
    """Resolvers turn them round each time: the same ones are to look the same."""
    return sorted(set(found))[:_MOST]
