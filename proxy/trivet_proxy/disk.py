"""Bytes of a file without ever waiting for the disk in the loop: what is not in memory is read in a thread.

preadv with RWF_NOWAIT tells (Linux 4.14). Knows no HTTP and no name, only descriptors.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from typing import TypeVar

import trio

Result = TypeVar("Result")

# As much as one look covers, and as a thread reads ahead at once.
WINDOW = 1024 * 1024
_PIECE = 128 * 1024
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
# A file system that cannot tell (some network and user-space ones, kernels before 4.14) is read as it is.
_CANNOT_TELL = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}

# A disk that hangs holds up this many reads, not every thread there is.
_AT_ONCE = 8
_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("disk")


async def read(fd: int, count: int, offset: int) -> bytes:
    """At most `count` bytes; fewer only where the file ends. Raises OSError."""
    if not count:
        return b""
    buffer = bytearray(count)
    got = _read_now(fd, buffer, offset)
    if got == count or got == 0:
        return bytes(buffer[:got])
    got = got or 0
    rest = await _in_thread(fd, count - got, offset + got)
    return bytes(buffer[:got]) + b"".join(rest)


async def warm(fd: int, offset: int, count: int) -> None:
    """Have this stretch (WINDOW at most) in memory, as well as one can tell by its two ends."""
    if _is_cold(fd, offset + count - 1) or _is_cold(fd, offset):
        with contextlib.suppress(OSError):  # who sends it will meet the same trouble, and say so
            await _in_thread(fd, count, offset)


def _is_cold(fd: int, offset: int) -> bool:
    try:
        return _read_now(fd, bytearray(1), offset) is None
    except OSError:
        return False


def _read_now(fd: int, buffer: bytearray, offset: int) -> int | None:
    """How many bytes there are without waiting; None: none are in memory yet."""
    try:
        return os.preadv(fd, [buffer], offset, _NOWAIT)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno not in _CANNOT_TELL:
            raise
        return os.preadv(fd, [buffer], offset)


async def run(work: Callable[[], Result]) -> Result:
    """Anything else that may wait for a disk, in one of the few threads for it."""
    # Not abandoned when the request is: the descriptor must stay open until the thread is through.
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_AT_ONCE)
        _limiter.set(limiter)
    return await trio.to_thread.run_sync(work, limiter=limiter)


async def _in_thread(fd: int, count: int, offset: int) -> list[bytes]:
    return await run(lambda: _read_through(fd, count, offset))


def _read_through(fd: int, count: int, offset: int) -> list[bytes]:
    pieces = []
    end = offset + count
    while offset < end:
        piece = os.pread(fd, min(end - offset, _PIECE), offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
    return pieces
