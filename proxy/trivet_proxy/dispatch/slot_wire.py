"""The connection to a slot, whose worker runs other people's code and may send any descriptor at any time.

Takes one where one was asked for, keeps others out (Linux 6.16) or sees each of them (before), is closed in a
thread while any may lie unread: the kernel closes those with it. Knows no head.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import NamedTuple

import trio

from trivet_common.foreign import Closer, receive, refuse_descriptors

from ..wire import PIECE, Wire

_READ = 1024  # as wire.py counts one that brings little

# In the place of the socket of a wire that was closed.
_GONE = socket.socket(socket.AF_UNIX)
_GONE.close()


def _start(work: Callable[[], None]) -> None:
    trio.lowlevel.start_thread_soon(work, lambda outcome: None)


def new_closer() -> Closer:
    return Closer(_start)


class Handed(NamedTuple):
    """`fd`: -1 if nothing came that was asked for. `is_lost`: we had no descriptor left to take it."""

    fd: int
    is_lost: bool = False


class SlotWire(Wire):
    __slots__ = ("_closer", "_is_open")

    def __init__(self, sock: socket.socket, closer: Closer) -> None:
        super().__init__(sock)
        self._closer = closer
        self._is_open = False  # to descriptors

    async def receive_handed(self, mark: bytes) -> Handed:
        """The open file that comes with `mark`; ask for it after `admit(True)`."""
        while True:
            await self.wait_until_readable()
            try:
                data, descriptors, is_lost = receive(self._sock, len(mark) + 1)
                break
            except BlockingIOError:
                continue  # woken for nothing
            except OSError:
                return Handed(-1)
        if not is_lost and data == mark and len(descriptors) == 1:
            return Handed(descriptors[0])
        for fd in descriptors:
            self.give_back(fd)
        return Handed(-1, is_lost and data == mark)

    def give_back(self, fd: int) -> None:
        """Close a descriptor that came from the slot."""
        self._closer.close(fd)

    @property
    def is_choked(self) -> bool:
        """What came before is not closed yet: nothing more is to be asked for."""
        return self._closer.is_full

    def admit(self, is_admitting: bool) -> None:
        """Descriptors, from now on or no more."""
        refuse_descriptors(self._sock, not is_admitting)
        # For good: one that the kernel had let through may be put in after the door is shut.
        self._is_open = True
        self.__class__ = WatchfulWire

    def close(self, why: str = "") -> None:
        if self.fd < 0 or not self._is_open:
            return super().close(why)
        sock, self._sock = self._sock, _GONE
        super().close(why)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)  # the slot need not wait for the thread
        self._closer.close(sock.detach())

    expire = close


class WatchfulWire(SlotWire):
    """Where descriptors may come that nobody asked for; recv(2) would have the kernel close them in our loop.

    Before Linux 6.16, and once there was a handover. No slot of ours sends any, so the first one is the end.
    """

    __slots__ = ()

    def __init__(self, sock: socket.socket, closer: Closer) -> None:
        super().__init__(sock, closer)
        self._is_open = True

    def try_receive(self, limit: int = PIECE) -> bytes | None:
        try:
            data, descriptors, _ = receive(self._sock, limit)
        except BlockingIOError:
            return None
        except OSError:
            if self.fd < 0:
                raise self._closed() from None
            self.was_reset = True
            return b""
        self._spent += len(data) + _READ
        if not descriptors:
            return data
        for fd in descriptors:
            self.give_back(fd)
        self.close("upstream_bad")
        raise self._closed()


def slot_wire(sock: socket.socket, closer: Closer) -> SlotWire:
    """For a socket that is not connected yet."""
    return (SlotWire if refuse_descriptors(sock) else WatchfulWire)(sock, closer)
