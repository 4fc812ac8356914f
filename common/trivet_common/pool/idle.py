"""The idle FIFO: a named pipe of 16-byte tokens, one for each time a slot became idle.

Join-Idle-Queue (Lu et al. 2011) with the kernel as the queue. A token is a hint, never a right: it may be
lost, doubled or stale, and the slot it names is the judge (claims.py).
"""

import errno
import fcntl
import os
import stat
import struct
import termios
from pathlib import Path
from typing import NamedTuple

# Magic, slot, incarnation, claim number. 16 bytes: far below PIPE_BUF, so writes are atomic (pipe(7)).
_TOKEN = struct.Struct("<HHIQ")
_MAGIC = 0x7456
TOKEN_SIZE = _TOKEN.size
# How often one reader empties a pipe somebody goes on filling with rubbish, before it does something else.
_PATIENCE = 4


class Token(NamedTuple):
    """`slot` of worker `incarnation` was idle and would run claim `number` next."""

    slot: int
    incarnation: int
    number: int


class IdleFifo:
    """The pipe, opened for reading and writing by all, so that it never reaches end of file. Never blocks."""

    __slots__ = ("_fd",)

    def __init__(self, path: Path) -> None:
        """Raises OSError; a file that is no pipe counts as one that is not there."""
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        if not stat.S_ISFIFO(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise FileNotFoundError(errno.ENOENT, "not a FIFO", os.fspath(path))

    @classmethod
    def adopt(cls, fd: int) -> "IdleFifo":
        """One that another process opened."""
        fifo = cls.__new__(cls)
        fifo._fd = fd
        return fifo

    def __repr__(self) -> str:
        return f"<IdleFifo fd={self._fd}>"

    def fileno(self) -> int:
        return self._fd

    def try_write(self, token: Token) -> bool:
        """Announce an idle slot. A full pipe is no error: the master's repair writes the token again."""
        try:
            os.write(self._fd, _TOKEN.pack(_MAGIC, *token))
        except OSError:  # nearly always EAGAIN
            return False
        return True

    def try_read(self) -> Token | None:
        """The oldest token, or None when the pipe is empty. What is no token is thrown away."""
        for _ in range(_PATIENCE):
            try:
                raw = os.read(self._fd, TOKEN_SIZE)
            except OSError:  # nearly always EAGAIN
                return None
            if len(raw) == TOKEN_SIZE:
                magic, slot, incarnation, number = _TOKEN.unpack(raw)
                if magic == _MAGIC:
                    return Token(slot, incarnation, number)
            # Someone with the rights to write here wrote rubbish, perhaps out of step: start from an empty
            # pipe; the repair announces every idle slot again.
            self._empty()
        return None

    def is_empty(self) -> bool:
        waiting: bytes = fcntl.ioctl(self._fd, termios.FIONREAD, b"\0\0\0\0")
        return waiting == b"\0\0\0\0"

    def detach(self) -> int:
        """Its descriptor, no longer ours to close."""
        fd, self._fd = self._fd, -1
        return fd

    def close(self) -> None:
        os.close(self._fd)

    def _empty(self) -> None:
        # At most 1 MiB, the largest pipe an unprivileged user can have: a flood cannot hold us here.
        for _ in range(16):
            try:
                os.read(self._fd, 65536)
            except OSError:
                return
