"""One connection to a slot: bytes with deadlines, on a socket that never blocks.

Owns the socket, who its peer is, and the reader of its heads. Knows nothing of claims or applications.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from enum import Enum

from trivet_backend.environ import Peer
from trivet_backend.response import ClientLeft
from trivet_common.http1.collector import HeadLimits
from trivet_common.http1.framing import Body
from trivet_common.http1.request import Parse, RequestReader
from trivet_common.pool.handover import MARK

_PIECE = 65536


class LinkState(Enum):
    """What the next bytes of a connection are."""

    READY = "between requests"
    HEAD = "inside a head, or before the only one"
    AWAY = "of a body nobody reads"


class Link:
    """A kept connection, or one of pool.sock and TCP, which serves one request."""

    __slots__ = (
        "_is_reset", "answer_after", "away", "deadline", "fd", "is_slots_own", "peer", "reader", "sock",
        "state", "used_at", "write_timeout",
    )  # fmt: skip

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer,
        limits: HeadLimits,
        parse: Parse,
        *,
        is_slots_own: bool,
        write_timeout: float,
    ) -> None:
        """`parse`: for what our own proxy sends."""
        # For the connection.
        sock.setblocking(False)
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = peer
        self.is_slots_own = is_slots_own
        self.write_timeout = write_timeout
        self.reader = RequestReader(limits, parse if is_slots_own and peer.is_believed else None)
        self.state = LinkState.READY
        self.used_at = 0  # CLOCK_MONOTONIC in nanoseconds
        self._is_reset = False
        # While something is awaited or thrown away.
        self.deadline = 0.0
        self.away: Body | None = None
        self.answer_after = b""

    def __repr__(self) -> str:
        return f"<Link fd={self.fd} {self.state.name} {'slot' if self.is_slots_own else 'pool'}>"

    def try_receive(self) -> bytes | None:
        """What is there: b"" at the end, None when there is nothing yet."""
        try:
            return self.sock.recv(_PIECE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def receive(self, deadline: float) -> bytes:
        """Wait for the next bytes, b"" at the end. Raises TimeoutError at `deadline` (time.monotonic)."""
        while True:
            data = self.try_receive()
            if data is not None:
                return data
            self._wait(select.POLLIN, deadline)

    def has_hung_up(self) -> bool:
        """Whether the peer has ended its side, whatever lies unread before that end."""
        poll = select.poll()
        poll.register(self.fd, select.POLLRDHUP)
        return bool(poll.poll(0))

    def send(self, data: bytes) -> None:
        """Send all of it. Raises ClientLeft."""
        try:
            sent = self.sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            raise ClientLeft(error.strerror or "closed") from None
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:])

    def send_file(self, fd: int, offset: int, count: int, is_handed: bool = False) -> int:
        """Send `count` bytes of a file; fewer only when it has become shorter. Raises ClientLeft.

        `is_handed`: the peer has been told of it by the head, asks for the file itself, and sends it on.
        """
        if is_handed:
            self._hand_over(fd)
            return count
        sent = 0
        while sent < count:
            try:
                step = os.sendfile(self.fd, fd, offset + sent, count - sent)
            except (BlockingIOError, InterruptedError):
                self._wait_to_send()
                continue
            except OSError as error:
                raise ClientLeft(error.strerror or "closed") from None
            if not step:
                break
            sent += step
        return sent

    def end(self, how: int = socket.SHUT_WR) -> None:
        """Say that no more will come; the peer may still be sending."""
        try:
            self.sock.shutdown(how)
        except OSError:
            pass  # it has left

    def reset(self) -> None:
        """Make the close look like what it is: a response that broke off, where TCP can say that."""
        if self.sock.family != socket.AF_UNIX:
            self._is_reset = True
            try:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass  # it has left

    def close(self) -> None:
        if not self._is_reset:
            # Not left to close(): a process that the application forked has a copy of the descriptor.
            self.end(socket.SHUT_RDWR)
        self.sock.close()

    def _hand_over(self, fd: int) -> None:
        # Not together with the head: received as plain bytes, a descriptor is lost (unix(7)).
        try:
            if self.receive(time.monotonic() + self.write_timeout) != MARK:
                raise ClientLeft("the file was not asked for")
            socket.send_fds(self.sock, [MARK], [fd])
        except OSError as error:  # TimeoutError and ClientLeft are
            self.end(socket.SHUT_RDWR)
            raise ClientLeft(str(error) or "closed") from None

    def _send_rest(self, rest: memoryview) -> None:
        while rest:
            self._wait_to_send()
            try:
                rest = rest[self.sock.send(rest) :]
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                raise ClientLeft(error.strerror or "closed") from None

    def _wait_to_send(self) -> None:
        try:
            self._wait(select.POLLOUT, time.monotonic() + self.write_timeout)
        except TimeoutError:
            # For good: an application that swallows this and writes on would send from the middle of a body.
            self.end(socket.SHUT_RDWR)
            raise ClientLeft(f"read nothing for {self.write_timeout:g} s") from None

    def _wait(self, events: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(self.fd, events)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError


def peer_uid(sock: socket.socket) -> int | None:
    """The uid of a Unix peer when it connected (unix(7)); None where the kernel does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return None
    uid: int = struct.unpack("3i", raw)[1]
    return uid
