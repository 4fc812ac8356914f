"""The line between a master and one child: whole messages both ways, and the end of file as a sign of death.

Owns the packing of messages; knows no verbs. A message is bytes: a verb, and after a space what it carries.
"""

import fcntl
import os
import select
import socket
from collections.abc import Sequence

from trivet_common.foreign import Closer, receive

# Larger messages (settings with a thousand routes) travel as a file in memory: a packet must fit the socket's
# buffer, and net.core.wmem_max is 208 KiB on a stock kernel. In memory, so that a full disk stops no reload.
_PACKET = 32 * 1024
_LARGEST = 64 * 1024 * 1024
_INLINE, _FILE, _DESCRIPTORS = b"i", b"f", b"d"
# More than a socket's buffer holds.
_MOST_UNREAD = 2048


class ChannelClosed(Exception):
    """The other side is gone, or does not read (its buffer is full): it cannot be told anything."""


class Channel:
    """One end. Sending never blocks; receiving returns None when nothing is there yet."""

    __slots__ = ("_socket",)

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end

    def __repr__(self) -> str:
        return f"<Channel fd={self._socket.fileno()}>"

    @classmethod
    def pair(cls) -> "tuple[Channel, Channel]":
        """Two connected ends. Raises OSError when no descriptors are left."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        """-1 once it is closed."""
        return self._socket.fileno()

    def send(self, message: bytes) -> None:
        """Queue a message. Raises ChannelClosed."""
        try:
            if len(message) < _PACKET:
                self._socket.send(_INLINE + message)
            elif len(message) <= _LARGEST:
                self._send_file(message)
            else:
                raise ChannelClosed(f"a message of {len(message)} bytes is too long")
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def send_fds(self, message: bytes, fds: Sequence[int]) -> None:
        """Queue a short message that carries copies of descriptors. Raises ChannelClosed."""
        try:
            socket.send_fds(self._socket, [_DESCRIPTORS + message], fds)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive_fds(self) -> tuple[bytes, list[int]]:
        """A message of `send_fds`, or any other without descriptors, once there is one.

        For a child that trusts its master. Raises ChannelClosed, also when nothing is there.
        """
        try:
            packet, fds = self._take()
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        if not packet:
            raise ChannelClosed("end of file")
        return packet[1:], fds

    def receive(self, longest: int = _LARGEST) -> bytes | None:
        """The next message, or None when none is there. Raises ChannelClosed at the end.

        A child runs other people's code, which may write here: what is no message of ours arrives empty, what
        is longer than `longest` is cut.
        """
        try:
            packet, fds = self._take()
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        try:
            if packet[:1] == _FILE and fds:
                return _read_file(fds[0], longest)
        finally:
            for fd in fds:
                _give_back(fd)
        if not packet:
            raise ChannelClosed("end of file")
        return packet[1:] if packet[:1] == _INLINE else b""

    def close(self) -> None:
        self._socket.close()

    def end(self) -> None:
        """Close it for all that hold this end: descriptors that lie unread must not be closed with it."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)  # nothing more is put in
            for _ in range(_MOST_UNREAD):
                packet, fds = self._take()
                for fd in fds:
                    _give_back(fd)
                if not packet and not fds:
                    break
        except OSError:
            pass
        self._socket.close()

    def _take(self) -> tuple[bytes, list[int]]:
        try:
            packet, fds, _ = receive(self._socket, _PACKET + 1)
        except ConnectionResetError:
            # Said once when the other side has left what we sent unread; its last words come after that.
            packet, fds, _ = receive(self._socket, _PACKET + 1)
        return packet, fds

    def _send_file(self, message: bytes) -> None:
        fd = os.memfd_create("trivet-message", os.MFD_CLOEXEC)
        try:
            with open(fd, "wb", buffering=0, closefd=False) as file:
                view = memoryview(message)
                while view:
                    view = view[file.write(view) :]
            socket.send_fds(self._socket, [_FILE], [fd])
        finally:
            os.close(fd)


def wait_readable(channel: Channel, seconds: float | None) -> bool:
    """Wait until a message (or the end) is there, for a child without a loop of its own."""
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    return bool(poll.poll(None if seconds is None else int(seconds * 1000)))


def _read_file(fd: int, longest: int) -> bytes:
    """What a file in memory holds; b"" for anything else that can be sent.

    A pipe would hold us for ever, and so would a file of a FUSE that its owner has mounted for that.
    """
    if not _is_in_memory(fd):  # before fstat, which asks that FUSE too
        return b""
    info = os.fstat(fd)
    pieces, at, size = [], 0, min(info.st_size, longest)
    while at < size:
        piece = os.pread(fd, size - at, at)
        if not piece:
            break
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)


_closers: dict[int, Closer] = {}


def _give_back(fd: int) -> None:
    """Close it. What is not ours may take any time: a socket that lingers, a file of the sender's FUSE."""
    if _is_in_memory(fd) and os.fstat(fd).st_size <= _LARGEST:
        os.close(fd)
        return
    here = os.getpid()
    if here not in _closers:  # a child has none of its parent's threads
        _closers.clear()
        _closers[here] = Closer()
    _closers[here].close(fd)


def _is_in_memory(fd: int) -> bool:
    """Only what lies there can be sealed (memfd_create(2))."""
    try:
        fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError:
        return False
    return True
