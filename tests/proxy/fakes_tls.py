"""A client that speaks TLS at the other end of a socket pair, and certificates while the tests run."""

import socket
import ssl
from functools import cache

import trio
import trustme

from tests.proxy.fakes_core import TIME, Peer
from trivet_proxy import openssl
from trivet_proxy.tls_wire import TlsWire

NAME = "a.example"


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(NAME, key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


@cache
def client_context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    context.maximum_version = version
    return context


class TlsPeer(Peer):
    """The other side, on a non-blocking SSLSocket."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.raw: ssl.SSLSocket = sock
        self.sock = self  # type: ignore[assignment]  # tests that time their waits themselves use `sock.recv`

    async def send(self, data: bytes) -> None:
        while data:
            try:
                data = data[self.raw.send(data[:16384]) :]
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self.raw)

    async def receive(self, limit: int = 65536) -> bytes:
        with trio.fail_after(TIME):
            return await self.recv(limit)

    async def recv(self, limit: int) -> bytes:
        while True:
            await trio.lowlevel.checkpoint()
            data = b""
            try:
                while len(data) < limit and (more := self.raw.recv(limit - len(data))):
                    data += more
                return data
            except ssl.SSLWantReadError:
                if data:
                    return data
                await trio.lowlevel.wait_readable(self.raw)

    async def receive_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = await self.receive(count - len(data))
            assert more, f"the end came after {data!r}"
            data += more
        return data

    async def receive_until_end(self) -> bytes:
        data = b""
        while more := await self.receive(1 << 20):
            data += more
        return data

    def close(self) -> None:
        trio.lowlevel.notify_closing(self.raw)
        self.raw.close()


def tls_pair(
    buffer: int | None = None,
    server: ssl.SSLContext | None = None,
    client: ssl.SSLContext | None = None,
    name: str | None = NAME,
) -> tuple[TlsWire, TlsPeer]:
    """Both after the handshake. `buffer`: see fakes_core.pair; more, as a record must get through whole."""
    wire, theirs = raw_pair(None if buffer is None else 8 * buffer, server)
    peer = (client or client_context()).wrap_socket(
        theirs, server_hostname=name, do_handshake_on_connect=False
    )
    wire._sock = wire._wrap(wire._sock)
    openssl.limit(wire._sock)
    wanting = {wire._sock, peer}
    for _ in range(10):
        for sock in list(wanting):
            try:
                sock.do_handshake()
                wanting.discard(sock)
            except ssl.SSLWantReadError:
                pass
    assert not wanting
    wire._is_open = True
    return wire, TlsPeer(peer)


def raw_pair(
    buffer: int | None = None, server: ssl.SSLContext | None = None
) -> tuple[TlsWire, socket.socket]:
    """A wire that waits for a handshake, and a bare client."""
    ours, theirs = socket.socketpair()
    if buffer is not None:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    ours.setblocking(False)
    theirs.setblocking(False)
    context = server or server_context()

    def wrap(sock: socket.socket) -> ssl.SSLSocket:
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)

    return TlsWire(ours, "192.0.2.7", wrap), theirs
