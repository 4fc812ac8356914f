"""wsgi.input: the body of one request, as a file that ends where the body ends.

Owns the two kinds: complete (in memory or in an unnamed file) and arriving while the application reads.
Knows nothing of HTTP framing or sockets; what arrives comes from a `receive` it is given.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO

_PIECE = 65536


class BodyLost(OSError):
    """The body ended before its end: the client left or was too slow. Never a short read that looks whole."""


class Spool:
    """Collects a body that is read before the application runs; above `memory` bytes in an unnamed file."""

    __slots__ = ("_directory", "_file", "_memory", "_pieces", "size")

    def __init__(self, memory: int, directory: str | os.PathLike[str] | None) -> None:
        self._memory = memory
        self._directory = directory
        self._pieces: list[bytes] = []
        self._file: Any = None
        self.size = 0

    def __repr__(self) -> str:
        return f"<Spool {self.size} bytes in {'memory' if self._file is None else 'a file'}>"

    def write(self, data: bytes) -> None:
        """Raises OSError when the disk is full."""
        self.size += len(data)
        if self._file is not None:
            self._file.write(data)
            return
        self._pieces.append(data)
        if self.size > self._memory:
            # TemporaryFile uses O_TMPFILE where it can: no name, gone with the process.
            import tempfile  # with all it imports 1 MiB, in a worker that may never need it

            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115  closed by close()
            self._file.write(b"".join(self._pieces))
            self._pieces.clear()

    def as_input(self) -> BinaryIO:
        """The whole body from its beginning; the caller closes it."""
        if self._file is None:
            return io.BytesIO(b"".join(self._pieces))
        self._file.seek(0)
        found: BinaryIO = self._file
        return found

    def close(self) -> None:
        self._pieces.clear()
        if self._file is not None:
            self._file.close()


class ArrivingBody(io.RawIOBase):
    """The raw side of a body that is still arriving; `as_input` puts the buffer of the io module before it.

    `receive` returns the next piece, b"" at the proper end, and raises BodyLost when there will be none. Once
    lost, every further read says so again.
    """

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._rest = b""
        self._lost: BodyLost | None = None
        self.is_complete = False

    def as_input(self) -> BinaryIO:
        return _Input(self, _PIECE)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._rest or self._next()
        room = memoryview(buffer).cast("B")
        size = min(len(piece), len(room))
        room[:size] = piece[:size]
        self._rest = piece[size:]
        return size

    def _next(self) -> bytes:
        if self._lost is not None:
            raise self._lost
        if self.is_complete:
            return b""
        try:
            piece = self._receive()
        except BodyLost as lost:
            self._lost = lost
            raise
        self.is_complete = not piece
        return piece


class _Input(io.BufferedReader):
    """BufferedReader.read(n) waits for all of n, as PEP 3333 asks; a raw error must not leave a short result.

    The io module already passes an OSError of the raw side on and keeps what it had in its buffer, so all
    that is left to say is how None is meant: PEP 3333 allows read() without a size, applications write None.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(-1 if size is None else size)

    def readline(self, size: int | None = -1, /) -> bytes:
        return super().readline(-1 if size is None else size)


def size_of(body: BinaryIO) -> int:
    """The length of a body that is complete; it stands at its beginning afterwards."""
    size = body.seek(0, os.SEEK_END)
    body.seek(0)
    return size
