"""The client connections of one process: how many, which are idle, and the site that answers them.

Owns their limit and the order in which idle ones make room. Knows no HTTP.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from trio.lowlevel import ParkingLot

from .wire import Wire

if TYPE_CHECKING:
    from .site import Site


class Connected(Protocol):
    """A connection, as far as it matters here."""

    @property
    def wire(self) -> Wire: ...


class Clients:
    """Connections enter and leave, and say when they begin and end to be idle."""

    __slots__ = ("_idle", "_room", "connections", "most", "requests", "site")

    def __init__(self, site: Site, most: int) -> None:
        self.site = site  # replaced by a reload; a request asks once
        self.most = most
        self.connections = 0
        self.requests = 0  # ever begun
        self._idle: OrderedDict[Connected, None] = OrderedDict()  # the longest idle first
        self._room = ParkingLot()

    def __repr__(self) -> str:
        return (
            f"<Clients {self.connections} of {self.most}, {len(self._idle)} idle, {self.requests} requests>"
        )

    def enter(self) -> None:
        self.connections += 1

    def leave(self, client: Connected) -> None:
        self.connections -= 1
        self._idle.pop(client, None)
        self._room.unpark()

    def begin_idle(self, client: Connected) -> None:
        """Between two requests: it may be closed at any moment."""
        self._idle[client] = None
        if self.connections >= self.most:
            self._room.unpark()

    def end_idle(self, client: Connected) -> None:
        self._idle.pop(client, None)

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def is_full(self) -> bool:
        return self.connections >= self.most

    def set_most(self, most: int) -> None:
        self.most = most
        self._room.unpark_all()

    async def wait_until_empty(self) -> None:
        while self.connections:
            await self._room.park()

    async def wait_for_room(self) -> None:
        """Until one more may enter: the longest idle goes first."""
        while self.is_full:
            if self.close_idle(1, "overloaded"):
                return  # its task leaves as soon as it runs
            await self._room.park()

    def close_idle(self, count: int, why: str) -> int:
        """Close so many, the longest idle first, but none that has just been asked; how many there were."""
        going = list(islice((client for client in self._idle if not client.wire.has_input()), count))
        for client in going:
            del self._idle[client]
            client.wire.close(why)
        return len(going)
