"""A client at the other end of a socket pair, and a process that is just large enough."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from trivet_common.http1.request import HeadLimits, RequestHead, RequestReader
from trivet_proxy.spool import Spool
from trivet_proxy.wire import Wire

TIME = 5.0  # seconds any test may wait for something


class Peer:
    """The other side of a wire, by trio's own sockets."""

    def __init__(self, sock: socket.socket) -> None:
        self.raw = sock
        self.sock = trio.socket.from_stdlib_socket(sock)

    async def send(self, data: bytes) -> None:
        while data:
            data = data[await self.sock.send(data) :]

    async def receive(self, limit: int = 65536) -> bytes:
        with trio.fail_after(TIME):
            return await self.sock.recv(limit)

    async def receive_exactly(self, count: int) -> bytes:
        data = b""
        with trio.fail_after(TIME):
            while len(data) < count:
                more = await self.sock.recv(count - len(data))
                assert more, f"the end came after {data!r}"
                data += more
        return data

    async def receive_until_end(self) -> bytes:
        data = b""
        with trio.fail_after(TIME):
            while more := await self.sock.recv(1 << 20):
                data += more
        return data

    async def receive_head(self) -> bytes:
        """A response head and nothing after it."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await self.receive_exactly(1)
        return head

    async def receive_answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """A counted answer: status, fields, body."""
        lines = (await self.receive_head()).split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines[1:-2])
        return (
            int(lines[0].split()[1]),
            fields,
            await self.receive_exactly(int(fields.get(b"content-length", b"0"))),
        )

    def close(self) -> None:
        self.sock.close()


NewPair = Callable[..., tuple[Wire, Peer]]


def pair(buffer: int | None = None) -> tuple[Wire, Peer]:
    """`buffer`: bytes the kernel takes before it says no (roughly)."""
    ours, theirs = socket.socketpair()
    if buffer is not None:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    theirs.setblocking(False)
    return Wire(ours, "192.0.2.7"), Peer(theirs)


@dataclass
class FakeProcess:
    """What a writer asks of the process."""

    spool: Spool
    is_draining: bool = False
    write_timeout: float = 30.0
    write_rate: int | None = 256


@dataclass
class FakeLimits:
    body_timeout: float = 30.0
    body_rate: float | None = 1024.0


@dataclass
class Target:
    """Something with a deadline."""

    ended: list[str] = field(default_factory=list)

    def expire(self, why: str) -> None:
        self.ended.append(why)


def new_spool(directory: Path, memory: int = 65536, limit: int = 1 << 30) -> Spool:
    return Spool(directory, memory, limit)


def parse(head: bytes) -> tuple[RequestHead, bytes]:
    """A head and what came with it."""
    reader = RequestReader(HeadLimits(32768, 100))
    found = reader.feed(head)
    assert found is not None
    return found, reader.take_rest()
