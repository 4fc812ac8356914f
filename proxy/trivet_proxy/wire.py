"""Bytes to and from one peer over a non-blocking socket: try first, wait only when the kernel says so.

Owns the socket, the fairness budget and the one translation of its errors. Knows no HTTP and no deadline:
a wait ends early only because another task closes the wire, or wakes who waits to look again.
"""

import contextlib
import fcntl
import os
import select
import socket
import struct
import sys
import termios
from collections.abc import Iterable, Sequence

import trio
from trio.lowlevel import checkpoint, notify_closing, wait_readable, wait_writable

PIECE = 65536

# A peer that never lets us wait starves every other task (a pipelining client did, for 2 s): a task yields
# after 256 KiB without a wait, and a turn counts for 16 KiB, so after 16 small replies as well. So does what
# is received in crumbs: 1 KiB each at least.
_BUDGET = 256 * 1024
_TURN = 16 * 1024
_READ = 1024

# One sendfile takes at most this much, all of it in memory already (disk.py), while every other task stands
# still (0.1 ms): with a quarter of it a large file cost a quarter more.
_FILE_PIECE = 1024 * 1024

_LOOK_AGAIN = 0.01
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: the close is a reset


class WireClosed(Exception):
    """Nothing more can be sent or received: `why` is what our side gave to close(), or "peer"."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Wire:
    """One peer. At most one task receives and one sends; anyone may close at any time."""

    __slots__ = ("_party", "_sock", "_spent", "ended_by", "fd", "given", "peer", "was_reset")

    # What an encrypted wire may see otherwise (tls_wire.py). Attributes, so that asking costs no call.
    is_ready_inside = False  # received already, though the kernel has nothing
    reads_on = select.EPOLLIN
    writes_on = select.EPOLLOUT

    def __init__(self, sock: socket.socket, peer: str | None = None) -> None:
        sock.setblocking(False)
        self._sock = sock
        self.fd = sock.fileno()  # -1 once closed
        self.peer = peer  # the address of the other side as text; None for a Unix socket
        self.ended_by: str | None = None
        self.was_reset = False  # the other side's end was no orderly one
        self.given = 0  # bytes the kernel has taken so far
        self._spent = 0
        self._party = -1  # the epoll of the wait_either() this wire stands in

    def __repr__(self) -> str:
        state = f"fd {self.fd}" if self.fd >= 0 else f"ended by {self.ended_by!r}"
        return f"<Wire {self.peer or 'unix'} {state}>"

    # Receiving.

    def try_receive(self, limit: int = PIECE) -> bytes | None:
        """What is there now; None if nothing is, b"" at the end (a reset is an end, see `was_reset`)."""
        try:
            data = self._sock.recv(limit)
        except BlockingIOError:
            return None
        except OSError:
            if self.fd < 0:
                raise self._closed() from None
            self.was_reset = True
            return b""
        self._spent += len(data) + _READ
        return data

    async def receive(self, limit: int = PIECE) -> bytes:
        """The next bytes, b"" at the end."""
        while (data := self.try_receive(limit)) is None:
            await self.wait_until_readable()
        if self._spent >= _BUDGET:
            await self.give_way()
        return data

    async def wait_until_readable(self) -> None:
        """Returns for nothing after wake()."""
        if self.fd < 0:
            raise self._closed()
        self._spent = 0
        try:
            await wait_readable(self.fd)
        except OSError:
            raise self._unwatched() from None
        except trio.ClosedResourceError:
            if self.fd < 0:
                raise self._closed() from None

    # Sending.

    def try_send(self, data: bytes | memoryview, more: bool = False) -> int:
        """How much of `data` the kernel took. `more`: hold a small piece back, the rest follows at once."""
        try:
            sent = self._sock.send(data, socket.MSG_MORE) if more else self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            raise self._closed() from None
        self.given += sent
        self._spent += sent + _TURN
        return sent

    def try_send_parts(self, parts: Sequence[bytes | memoryview]) -> int:
        """As try_send, several pieces in one system call: a large one need not be copied for its framing."""
        try:
            sent = self._sock.sendmsg(parts)
        except BlockingIOError:
            return 0
        except OSError:
            raise self._closed() from None
        self.given += sent
        self._spent += sent + _TURN
        return sent

    def try_send_file(self, fd: int, offset: int, count: int) -> int | None:
        """How much the kernel took from the file; 0 where the file ends, None when there is no room."""
        try:
            sent = os.sendfile(self.fd, fd, offset, min(count, _FILE_PIECE))
        except BlockingIOError:
            return None
        except (ConnectionError, TimeoutError):
            raise self._closed() from None
        except OSError:
            if self.fd < 0:
                raise self._closed() from None
            return 0  # EIO and its like: it is the file that has no more to give
        self.given += sent
        self._spent += sent // 4 + _TURN  # nothing is copied
        return sent

    async def send(self, data: bytes | memoryview) -> None:
        """All of it."""
        sent = self.try_send(data)
        if sent < len(data):
            rest = memoryview(data)[sent:]
            while rest:
                await self.wait_until_writable()
                rest = rest[self.try_send(rest) :]
        if self._spent >= _BUDGET:
            await self.give_way()

    async def send_file(self, fd: int, offset: int, count: int) -> int:
        """Send `count` bytes of a file and return how many there were: fewer if it has become shorter."""
        left = count
        while left:
            sent = self.try_send_file(fd, offset, left)
            if sent is None:
                await self.wait_until_writable()
            elif sent == 0:
                break
            else:
                offset += sent
                left -= sent
            await self.give_way()
        return count - left

    async def wait_until_writable(self) -> None:
        """Returns for nothing after wake()."""
        if self.fd < 0:
            raise self._closed()
        self._spent = 0
        try:
            await wait_writable(self.fd)
        except OSError:
            raise self._unwatched() from None
        except trio.ClosedResourceError:
            if self.fd < 0:
                raise self._closed() from None

    async def give_way(self) -> None:
        """Let other tasks run if this one has not had to wait for too long; for who tries in a loop."""
        if self._spent >= _BUDGET:
            self._spent = 0
            await checkpoint()

    # The end.

    def close(self, why: str = "") -> None:
        """End it, from any task, any number of times; the first `why` stays and the waiting task gets it."""
        if self.fd < 0:
            return
        self.ended_by = why
        fd, self.fd = self.fd, -1
        notify_closing(fd)
        if self._party >= 0:
            notify_closing(self._party)
        with contextlib.suppress(
            OSError
        ):  # close(2) may report an earlier error; the descriptor is gone all the same
            self._sock.close()

    expire = close  # what a deadline does

    def wake(self) -> None:
        """Have whoever waits for this peer look again: something other than its socket has changed."""
        if self.fd >= 0:
            notify_closing(self.fd)

    def abort(self, why: str = "") -> None:
        """Close with a reset: the one way to tell a peer that reads to the end that this is not the end."""
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.close(why)

    def end_sending(self) -> None:
        """The peer reads the end after what was sent; receiving goes on (for a lingering close)."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def unsent(self) -> int:
        """Bytes the kernel took and the peer has not acknowledged (SIOCOUTQ)."""
        try:
            return int.from_bytes(fcntl.ioctl(self.fd, termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)
        except (OSError, ValueError):
            return 0

    def has_input(self) -> bool:
        """Bytes or the end are waiting to be received; also under TLS: what the kernel has."""
        # Peeking raises where there is nothing, which is the ordinary case: twice as dear.
        try:
            return self._polls(select.POLLIN | select.POLLRDHUP)
        except OSError:
            return True  # out of memory: of one that cannot be asked nobody knows that it is quiet

    def has_hung_up(self) -> bool:
        """The peer will send nothing more, even if unread bytes hide its end."""
        return self._polls(select.POLLRDHUP)

    def _polls(self, events: int) -> bool:
        """At once, and without a registration; True of a wire that is closed."""
        if self.fd < 0:
            return True
        poll = select.poll()
        poll.register(self.fd, events)
        return bool(poll.poll(0))

    def _join(self, party: int) -> None:
        self._spent = 0
        self._party = party

    def _unwatched(self) -> WireClosed:
        """No memory, or fs.epoll.max_user_watches is reached: who cannot be waited for is let go."""
        self.close("overloaded")
        return self._closed()

    def _closed(self) -> WireClosed:
        return WireClosed("peer" if self.ended_by is None else self.ended_by)


async def wait_either(readable: Sequence[Wire], writable: Sequence[Wire]) -> None:
    """Wait until one of `readable` can be received from or one of `writable` sent to; at times for nothing.

    A private epoll, itself readable once something is ready, so that one task waits for both directions:
    sending a body before listening to the answer deadlocks with a peer that answers while it reads.
    Raises WireClosed if one of them is closed, before or meanwhile.
    """
    wanted = {wire: wire.reads_on for wire in readable}
    for wire in writable:
        wanted[wire] = wanted.get(wire, 0) | wire.writes_on
    _raise_if_closed(wanted)
    if any(wire.is_ready_inside for wire in readable):
        await checkpoint()
        return
    try:
        party = select.epoll()
    except OSError:  # out of descriptors: look again soon, rather than fail a request that is half done
        await trio.sleep(_LOOK_AGAIN)
        return
    try:
        for wire, events in wanted.items():
            party.register(wire.fd, events)
            wire._join(party.fileno())
        await wait_readable(party.fileno())
    except trio.ClosedResourceError:
        pass  # close() of one of them; raised below
    except OSError:  # out of watches: likewise
        await trio.sleep(_LOOK_AGAIN)
    finally:
        party.close()
        for wire in wanted:
            wire._join(-1)
    _raise_if_closed(wanted)


def _raise_if_closed(wires: Iterable[Wire]) -> None:
    for wire in wires:
        if wire.fd < 0:
            raise wire._closed()
