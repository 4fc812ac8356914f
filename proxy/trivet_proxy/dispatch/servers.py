"""The servers of one upstream: turns, connections made and kept, names looked up.

Owns every connection to them in this process. Knows no request; what is tried again is the handler's to
decide.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterable
from itertools import count

import trio

from trivet_common.config.addresses import Server as Place

from ..deadlines import Deadlines
from ..forwarded import ResponseSieve
from ..wire import Wire
from .link import Link

CONNECT_TIMEOUT = 5.0
# gunicorn closes an idle connection after 2 s, uvicorn after 5: to be the first saves an unsafe request its
# 502.
KEEP_IDLE = 1.5
_MOST_KEPT = 64
_LOOKED_UP = 5.0
# Unix sockets refuse with EAGAIN while the backlog is full; a busy server is not a dead one.
_BACKLOG_PAUSE = 0.02

_Address = tuple[socket.AddressFamily, object]


class ServerLink(Link):
    """A connection to one server; `is_kept` once it has carried a request."""

    __slots__ = ("_server", "is_kept")

    def __init__(self, wire: Wire, deadlines: Deadlines, server: Server) -> None:
        super().__init__(wire, deadlines, server.text)
        self._server = server
        self.is_kept = False

    def release(self) -> None:
        self.is_kept = True
        self.start_clock(KEEP_IDLE)
        self._server.keep(self)


class Server:
    """One server as this process knows it."""

    def __init__(self, place: Place, deadlines: Deadlines) -> None:
        self.text = place.text
        self.problem = ""  # why the last attempt to connect failed
        self._place = place
        self._deadlines = deadlines
        self._kept: list[ServerLink] = []
        self._addresses: list[_Address] = [] if place.path is None else [(socket.AF_UNIX, str(place.path))]
        self._looked_up = float("-inf")

    def __repr__(self) -> str:
        return f"<Server {self.text} kept={len(self._kept)}>"

    def try_reuse(self) -> ServerLink | None:
        """The kept connection that was used last. One with anything to read, even its end, is dropped."""
        while self._kept:
            link = self._kept.pop()
            if not link.wire.has_input():
                return link
            link.discard("idle")
        return None

    def keep(self, link: ServerLink) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._kept = [one for one in self._kept if one.wire.fd >= 0]
        if len(self._kept) < _MOST_KEPT:
            self._kept.append(link)
        else:
            link.discard("surplus")

    async def connect(self) -> ServerLink | None:
        """A fresh connection, or None (`problem` says why) when there is none within CONNECT_TIMEOUT."""
        self.problem = "its name has no address"
        if self._place.path is None:
            with trio.move_on_after(CONNECT_TIMEOUT):
                await self._look_up(self._place.host, self._place.port)
        # A lookup that fails or hangs keeps the last good answer: resolvers fail more often than servers do.
        addresses = self._addresses
        for address in addresses:
            # Each address gets its share, so that a dead one does not use up the time of the others.
            self.problem = "it takes no connection in time"
            with trio.move_on_after(CONNECT_TIMEOUT / len(addresses)):
                try:
                    sock = await _connect(*address)
                except OSError as error:
                    self.problem = error.strerror or str(error)
                else:
                    return ServerLink(Wire(sock, self.text), self._deadlines, self)
        return None

    def close(self) -> None:
        while self._kept:
            self._kept.pop().discard("closed")

    async def _look_up(self, host: str | None, port: int | None) -> None:
        """The addresses of now. Once they are known, one request looks up again and the others go on."""
        now = trio.current_time()
        if now < self._looked_up + _LOOKED_UP:
            return
        if self._addresses:
            self._looked_up = now
        found = []
        with contextlib.suppress(OSError):
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self._addresses = [(family, address) for family, _, _, _, address in found] or self._addresses
        self._looked_up = now


class Servers:
    """The servers of one upstream, taken in turn."""

    def __init__(
        self, name: str, places: Iterable[Place], deadlines: Deadlines, warn: Callable[[str], None]
    ) -> None:
        self.name = name
        self._servers = [Server(place, deadlines) for place in places]
        self._turns = count()
        self._warn = warn
        self._told: set[bytes] = set()
        self.sieve = ResponseSieve(self._tell_of_order)

    def __repr__(self) -> str:
        return f"<Servers {self.name} {self._servers!r}>"

    def in_turn(self) -> list[Server]:
        """All of them, each time beginning with the next."""
        first = next(self._turns) % len(self._servers)
        return self._servers[first:] + self._servers[:first]

    def close(self) -> None:
        for server in self._servers:
            server.close()

    def _tell_of_order(self, header: bytes) -> None:
        if header not in self._told and len(self._told) < 16:
            self._told.add(header)
            name = header.decode("latin-1")
            self._warn(f"upstream {self.name}: its {name} was dropped: no route has internal: true")


async def _connect(family: socket.AddressFamily, address: object) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        while (error := sock.connect_ex(address)) == errno.EAGAIN:  # type: ignore[arg-type]
            await trio.sleep(_BACKLOG_PAUSE)
        if error == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(sock)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock
