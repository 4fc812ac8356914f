"""The client connections of one process: how many, which are idle, and the site that answers them.

Owns their limits, in all and of one address, and the order in which idle ones make room. Knows no HTTP.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Iterable
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

    __slots__ = ("_idle", "_of", "_room", "connections", "most", "most_of_one", "requests", "site")

    def __init__(self, site: Site, most: int, most_of_one: int | None = None) -> None:
        self.site = site  # replaced by a reload; a request asks once
        self.most = most
        self.most_of_one = most_of_one  # connections of one address; None: as many as there are
        self._of: dict[str | bytes, dict[Connected, None]] = {}  # those of each address, the oldest first
        self.connections = 0
        self.requests = 0  # ever begun
        self._idle: OrderedDict[Connected, None] = OrderedDict()  # the longest idle first
        self._room = ParkingLot()

    def __repr__(self) -> str:
        return (
            f"<Clients {self.connections} of {self.most}, {len(self._idle)} idle, {self.requests} requests>"
        )

    def enter(self, client: Connected) -> None:
        self.connections += 1
        peer = client.wire.peer
        if peer is not None:
            self._of.setdefault(_network(peer), {})[client] = None

    def leave(self, client: Connected) -> None:
        self.connections -= 1
        self._idle.pop(client, None)
        peer = client.wire.peer
        if peer is not None:
            self._forget(_network(peer), client)
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

    def has_room_for(self, peer: str | None) -> bool:
        """Whether one more of this address may enter; the oldest of its idle ones makes room."""
        if self.most_of_one is None or peer is None:
            return True
        network = _network(peer)
        those = self._of.get(network, {})
        if len(those) < self.most_of_one:
            return True
        going = self._close((client for client in those if client in self._idle), 1, "overloaded")
        for client in going:
            self._forget(network, client)  # it has left, though its task has not run yet
        return bool(going)

    def set_most(self, most: int, most_of_one: int | None) -> None:
        self.most, self.most_of_one = most, most_of_one
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
        return len(self._close(self._idle, count, why))

    def _close(self, idle: Iterable[Connected], count: int, why: str) -> list[Connected]:
        going = list(islice((client for client in idle if not client.wire.has_input()), count))
        for client in going:
            del self._idle[client]
            client.wire.close(why)
        return going

    def _forget(self, network: str | bytes, client: Connected) -> None:
        those = self._of.get(network)
        if those is not None:
            those.pop(client, None)
            if not those:
                del self._of[network]


def _network(peer: str) -> str | bytes:
    """What counts as one client: an IPv4 address, or the /64 that an IPv6 host may choose addresses from."""
    return socket.inet_pton(socket.AF_INET6, peer)[:8] if ":" in peer else peer
