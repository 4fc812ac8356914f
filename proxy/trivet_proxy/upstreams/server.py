"""One server at one address, as this process knows it: its load, its standing, its connections made and kept.

Owns every connection to it. Knows no request; what is tried again, and who is next, is others' to decide.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

import trio

from trivet_common.config.addresses import Server as Place

from ..deadlines import Deadlines
from ..dispatch.link import Link
from ..wire import Wire, WireClosed
from .ejection import Ejection, Standing
from .names import Address
from .tls_client import Wrap, open_tls, reason_of

# gunicorn closes an idle connection after 2 s, uvicorn and Node after 5: to be the first saves an unsafe
# request its 502.
KEEP_IDLE = 1.5
MOST_KEPT = 64
# Unix sockets refuse with EAGAIN while the backlog is full; a busy server is not a dead one.
_BACKLOG_PAUSE = 0.02
# Descriptors and memory. (EADDRNOTAVAIL may be a server of IPv6 on a machine without.)
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class ServerLink(Link):
    """A connection to one server; `is_kept` once it has carried a request."""

    __slots__ = ("_has_room", "_server", "is_kept", "visit")

    def __init__(self, wire: Wire, deadlines: Deadlines, server: Server) -> None:
        super().__init__(wire, deadlines, server.title)
        self._server = server
        self._has_room = True
        self.is_kept = False
        self.visit: object = None  # that it carries now

    def begin(self) -> None:
        """It carries a request, for which room was made."""
        self._has_room = True

    def release(self) -> None:
        self.is_kept = True
        self.start_clock(KEEP_IDLE)
        self._server.keep(self)
        self._leave()

    def discard(self, why: str = "discarded") -> None:
        super().discard(why)
        self._leave()

    def hand_back(self) -> None:
        """End it, and leave its room to who asked for it: another connection is to be made in its place."""
        self._has_room = False
        self.discard()

    def _leave(self) -> None:
        """Once for each request, however often it is discarded."""
        self.visit = None
        if self._has_room:
            self._has_room = False
            self._server.leave()


class Server:
    """`enter` makes room for a request; every request that has entered leaves once, most by their link."""

    def __init__(
        self,
        place: Place,
        address: Address,
        deadlines: Deadlines,
        *,
        wrap: Wrap | None = None,
        most: int | None = None,
        fall: int | None = None,
        tell_room: Callable[[Server], None] = lambda server: None,
    ) -> None:
        """`most`: connections at a time; `wrap`: over TLS; `tell_room` hears whenever a request has left."""
        self.place = place
        self.address = address
        self.title = _title(place, address)
        self.weight = place.weight
        self.is_backup = place.backup
        self.busy = 0
        self.credit = 0
        self.ejection = Ejection(fall)
        self.problem = ""  # why the last attempt to connect failed
        self.is_gone = False  # its name does not lead to it any more: what it does it may finish
        self._deadlines = deadlines
        self._wrap = wrap
        self._most = most
        self._tell_room = tell_room
        self._kept: list[ServerLink] = []

    def __repr__(self) -> str:
        return f"<Server {self.title} busy={self.busy} kept={len(self._kept)} {self.ejection!r}>"

    @property
    def has_room(self) -> bool:
        return self._most is None or self.busy < self._most

    def standing(self) -> Standing:
        return self.ejection.standing(trio.current_time())

    def enter(self) -> None:
        self.busy += 1
        self.ejection.begin(trio.current_time())

    def leave(self) -> None:
        self.busy -= 1
        self._tell_room(self)

    def try_reuse(self) -> ServerLink | None:
        """The kept connection that was used last. One with anything to read, even its end, is dropped."""
        while self._kept:
            link = self._kept.pop()
            if not link.wire.has_input():
                link.begin()
                return link
            link.discard("idle")
        return None

    def keep(self, link: ServerLink) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._kept = [one for one in self._kept if one.wire.fd >= 0]
        if self.is_gone:
            link.wire.close("gone")
        elif len(self._kept) < MOST_KEPT:
            self._kept.append(link)
        else:
            link.wire.close("surplus")

    async def connect(self, seconds: float) -> ServerLink | None:
        """A fresh connection, or None (`problem` says why) when there is none within so many seconds.

        Raises OSError where it is we who have run out of something: no server is to blame for that.
        """
        self.problem = "it takes no connection in time"
        with trio.move_on_after(seconds):
            try:
                return ServerLink(await self._open(), self._deadlines, self)
            except OSError as error:
                if error.errno in _OURS:
                    raise
                self.problem = reason_of(error)
            except WireClosed:
                self.problem = "it was closed"
        return None

    def retire(self) -> None:
        """Its address is not the name's any more, or nobody names the upstream."""
        self.is_gone = True
        self.close()

    def close(self) -> None:
        while self._kept:
            self._kept.pop().discard("closed")

    async def _open(self) -> Wire:
        sock = await _connect(*self.address)
        if self._wrap is None:
            return Wire(sock, self.title)
        return await open_tls(sock, self.title, self._wrap)


def _title(place: Place, address: Address) -> str:
    """For logs: of a name which of its addresses it is."""
    if place.path is not None:
        return place.text
    host, port = address[1][:2]
    if host == place.host:
        return place.text
    return f"{place.scheme}://[{host}]:{port}" if ":" in host else f"{place.scheme}://{host}:{port}"


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
