"""`Upgrade` on a route to an upstream: WebSocket or any other protocol, byte for byte in both directions.

Only a server's 101 opens a tunnel. Owns its two directions, its ends and its idle time; knows no frame of any
protocol.
"""

from __future__ import annotations

import trio

from trivet_common.http1.response import build_response_head

from ..deadlines import Deadlines
from ..forwarded import response_headers_for_client
from ..request import Request
from ..router import Handler
from ..tls_wire import TlsWire
from ..upstreams.servers import Servers
from ..upstreams.visit import Switched, Visit
from ..wire import Wire, WireClosed
from ..writer import ResponseWriter

_WHY = "tunnel_timeout"
# Who has heard the other's end and says nothing more is not waited for as long as in a talk.
_HALF_CLOSED = 60.0


def tunnel_handler(
    ask: Handler, servers: Servers, read_timeout: float | None, tunnel_timeout: float
) -> Handler:
    """`ask` answers who asks for no other protocol. Times in seconds."""

    async def ask_or_tunnel(request: Request, writer: ResponseWriter) -> None:
        protocol = request.head.upgrade
        if protocol is None:
            return await ask(request, writer)
        lines = (b"\r\nconnection: upgrade\r\nupgrade: " + protocol,)
        switched = await Visit(servers, request, writer, read_timeout, lines, protocol).run()
        if switched is None:
            return  # it was answered like any other
        servers.tunnels += 1
        try:
            await _open(switched, servers, request, writer, tunnel_timeout)
        finally:
            servers.tunnels -= 1
            switched.link.discard("tunnel over")

    return ask_or_tunnel


async def _open(
    switched: Switched, servers: Servers, request: Request, writer: ResponseWriter, seconds: float
) -> None:
    link, head = switched.link, switched.head
    link.start_clock(None)  # a request's time is over
    fields = response_headers_for_client(head, servers.sieve)
    if writer.shape is not None:
        fields = writer.shape(fields)  # framing is beyond its reach
    fields = [*fields, (b"connection", b"upgrade"), (b"upgrade", head.get(b"upgrade") or b"")]
    await writer.switch(build_response_head(101, None, fields), link.reader.take_rest())
    tunnel = Tunnel(writer, link.wire, servers.deadlines, seconds)
    await tunnel.run(request.body.take_rest())
    if tunnel.is_late:
        request.record.why = _WHY


class Tunnel:
    """Two wires and what goes between them. Each direction has one piece on its way, no more."""

    __slots__ = ("_client", "_clock", "_scope", "_seconds", "_server", "_writer", "is_late")

    def __init__(self, writer: ResponseWriter, server: Wire, deadlines: Deadlines, seconds: float) -> None:
        self._writer = writer
        self._client = writer.wire
        self._server = server
        self._seconds = seconds
        self._clock = deadlines.start(seconds, self, _WHY)
        self._scope = trio.CancelScope()
        self.is_late = False

    def __repr__(self) -> str:
        return f"<Tunnel {self._client!r} and {self._server!r}, {self._writer.sent} bytes to the client>"

    def expire(self, why: str) -> None:
        """Silence for too long (Deadlines)."""
        self.is_late = True
        self._server.close(why)
        self._client.close(why)

    async def run(self, early: bytes) -> None:
        """Until both sides have said their last. `early`: what the client said without waiting for the 101.

        The client's wire is left to whoever reads it to the end.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._pass_on, self._client, self._server, early)
                    nursery.start_soon(self._pass_on, self._server, self._client, b"")
        finally:
            self._clock.end()

    async def _pass_on(self, source: Wire, sink: Wire, data: bytes) -> None:
        """One direction: as fast as the slower side, since nothing is read before it was sent."""
        try:
            while True:
                if data:
                    await sink.send(data)
                    if sink is self._client:
                        self._writer.sent += len(data)
                data = await source.receive()
                self._clock.move(self._seconds, _WHY)
                if not data:
                    break
        except WireClosed:
            if sink is self._client or sink.fd < 0 or source.fd < 0:
                self._scope.cancel()
            else:
                self._be_half_closed()  # it takes no more; its last words may still be on their way
            return
        except trio.BusyResourceError:
            # Both tasks wait for the same thing: only TLS that must write before it can read comes to that.
            self._scope.cancel()
            return
        if source.was_reset or isinstance(sink, TlsWire):
            # Python's TLS ends both directions at once.
            self._scope.cancel()
            return
        self._be_half_closed()
        sink.end_sending()

    def _be_half_closed(self) -> None:
        self._seconds = min(self._seconds, _HALF_CLOSED)
        self._clock.move(self._seconds, _WHY)
