"""Bodies that wait: in memory up to a limit, above it in an unnamed temporary file.

Owns the files and what they take of `spool.limit`, which is for all processes together. Knows no HTTP but the
error of a full spool. Writing a piece blocks the loop only for the page cache (64 KiB: microseconds).
"""

import os
from pathlib import Path
from typing import Protocol

from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse


class Account(Protocol):
    """Where the processes of a proxy tell each other what they have taken."""

    def note_spooled(self, count: int) -> None: ...
    def spooled(self) -> int: ...


class Spool:
    """What the files of all buffers take together."""

    __slots__ = ("_account", "dir", "files", "limit", "memory", "used")

    def __init__(self, dir: Path | str, memory: int, limit: int, account: Account | None = None) -> None:
        self.dir = dir
        self.memory = memory  # bytes a buffer keeps before it becomes a file
        self.limit = limit  # bytes of all files of all who share the account
        self._account = account
        self.used = 0  # of this process
        self.files = 0

    def __repr__(self) -> str:
        return f"<Spool {self.dir} {self.used} of {self.limit} bytes in {self.files} files>"

    def new(self, memory: int | None = None) -> "SpoolBuffer":
        """A buffer that becomes a file above `memory` bytes, if that is to differ from everyone's."""
        return SpoolBuffer(self, self.memory if memory is None else memory)

    def has_room_for(self, count: int) -> bool:
        """Two processes may ask at the same moment: the limit can be passed by a piece for each."""
        taken = self.used if self._account is None else self._account.spooled()
        return taken + count <= self.limit

    def _take(self, count: int) -> None:
        """So much more, or less, is in files."""
        self.used += count
        if self._account is not None:
            self._account.note_spooled(self.used)

    def _open(self) -> int:
        """A file nobody else can open and that is gone with its last descriptor, also after kill -9."""
        self.files += 1
        flags = os.O_TMPFILE | os.O_RDWR | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(self.dir, flags, 0o600)
        except OSError:
            pass  # this file system has no O_TMPFILE (NFS, old overlayfs); mkstemp says what else is wrong
        try:
            import tempfile  # with all it imports 1 MiB, for file systems without O_TMPFILE

            fd, name = tempfile.mkstemp(prefix="trivet-", dir=self.dir)
            try:
                os.unlink(name)
            except OSError:
                os.close(fd)
                raise
            return fd
        except OSError as error:
            self.files -= 1
            raise _full(self.dir, error) from error

    def _close(self, fd: int, count: int) -> None:
        self.files -= 1
        self._take(-count)
        try:
            os.close(fd)
        except OSError:
            pass  # close(2) may report an earlier error; the descriptor is gone all the same


class SpoolBuffer:
    """One body: written at the end, read anywhere. Close it."""

    __slots__ = ("_fd", "_memory", "_most_memory", "_spool", "size")

    def __init__(self, spool: Spool, memory: int) -> None:
        self._spool = spool
        self._most_memory = memory
        # The first piece as it came, most often the only one; a bytearray once there are more.
        self._memory: bytes | bytearray = b""
        self._fd = -1
        self.size = 0

    def __repr__(self) -> str:
        return f"<SpoolBuffer {self.size} bytes in {'memory' if self._fd < 0 else f'fd {self._fd}'}>"

    @property
    def fileno(self) -> int | None:
        return None if self._fd < 0 else self._fd

    @property
    def in_memory(self) -> bytes | None:
        """All of it, or None when it is in a file."""
        if self._fd >= 0:
            return None
        if isinstance(self._memory, bytearray):
            self._memory = bytes(self._memory)
        return self._memory

    def write(self, data: bytes | memoryview) -> None:
        """Keep it. Raises HttpError spool_full, and has kept nothing of it then."""
        size = self.size + len(data)
        if self._fd < 0 and size <= self._most_memory:
            self._remember(data)
        elif self._fd < 0:
            self._become_file(data)
        else:
            self._append(data)
        self.size = size

    def read_from(self, offset: int, count: int) -> bytes:
        """At most `count` bytes; b"" at the end."""
        memory = self.in_memory
        if memory is not None:
            return memory[offset : offset + count]
        try:
            return os.pread(self._fd, count, offset)
        except OSError as error:
            raise _full(self._spool.dir, error) from error

    def clear(self) -> None:
        """Empty again, and back in memory."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._spool._close(fd, self.size)
        self._memory = b""
        self.size = 0

    close = clear

    def _remember(self, data: bytes | memoryview) -> None:
        if not self._memory:
            self._memory = bytes(data)
            return
        if isinstance(self._memory, bytes):
            self._memory = bytearray(self._memory)
        self._memory += data

    def _become_file(self, data: bytes | memoryview) -> None:
        held = self.in_memory or b""
        self._claim(len(held) + len(data))
        try:
            self._fd = self._spool._open()
            self._put(held, 0)
            self._put(data, len(held))
        except HttpError:
            if self._fd >= 0:
                self._spool._close(self._fd, 0)
                self._fd = -1
            self._spool._take(-len(held) - len(data))
            raise
        self._memory = b""

    def _append(self, data: bytes | memoryview) -> None:
        self._claim(len(data))
        try:
            self._put(data, self.size)
        except HttpError:
            self._spool._take(-len(data))
            raise

    def _claim(self, count: int) -> None:
        spool = self._spool
        if not spool.has_room_for(count):
            raise refuse("spool_full", f"{spool.used} bytes of {spool.limit} are taken by this process.")
        spool._take(count)

    def _put(self, data: bytes | memoryview, offset: int) -> None:
        left = memoryview(data)
        try:
            while left:
                written = os.pwrite(self._fd, left, offset)
                offset += written
                left = left[written:]
        except OSError as error:
            raise _full(self._spool.dir, error) from error


def _full(directory: Path | str, error: OSError) -> HttpError:
    """A full, read-only or broken disk: it costs the request that needs it, nobody else."""
    return refuse("spool_full", f"{directory}: {error.strerror or error}.")
