"""The line between a master and one child: whole messages both ways, and the end of file as a sign of death.

Owns the packing of messages; knows no verbs. A message is bytes: a verb, and after a space what it carries.
"""

import os
import socket
import tempfile

# Larger messages (settings with a thousand routes) travel as an unnamed file: a packet must fit the socket's
# buffer, and net.core.wmem_max is 208 KiB on a stock kernel.
_PACKET = 32 * 1024
_LARGEST = 64 * 1024 * 1024
_INLINE, _FILE = b"i", b"f"


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
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: bytes) -> None:
        """Queue a message. Raises ChannelClosed."""
        try:
            if len(message) < _PACKET:
                self._socket.send(_INLINE + message)
            else:
                self._send_file(message)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self) -> bytes | None:
        """The next message, or None when none is there. Raises ChannelClosed at the end."""
        try:
            packet, fds, _, _ = socket.recv_fds(self._socket, _PACKET + 1, 1)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        if not packet:
            raise ChannelClosed("end of file")
        if packet[:1] == _INLINE or not fds:
            return packet[1:]
        with os.fdopen(fds[0], "rb") as file:
            file.seek(0)
            return file.read(_LARGEST)

    def close(self) -> None:
        self._socket.close()

    def _send_file(self, message: bytes) -> None:
        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(message)
            socket.send_fds(self._socket, [_FILE], [file.fileno()])
