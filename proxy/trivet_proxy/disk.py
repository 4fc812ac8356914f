"""Bytes of a file without ever waiting for the disk in the loop: what is not in memory is read in a thread.

preadv with RWF_NOWAIT tells; where a file system cannot tell, all but memory itself is read in a thread.
Knows no HTTP and no name, only descriptors.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Generic, TypeVar

import trio

from trivet_common.foreign import Closer

from . import file_systems
from .file_systems import Kind

Result = TypeVar("Result")

# As much as one look covers, and as a thread reads ahead at once.
WINDOW = 1024 * 1024
PIECE = 128 * 1024
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)
# Many file systems (overlayfs, tmpfs, FUSE, NFS), and kernels before 4.14.
_CANNOT_TELL = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}

# What was in memory may be gone after so many seconds: who has waited for longer since asks again.
_FRESH = 1.0

# A disk that hangs holds up this many threads, for its own files alone. Who waits for it is let go in time.
_AT_ONCE = 8
_MOST_WAITING = 1024
_PATIENCE = 30.0  # seconds
_MOST_LANES = 64
_closer = Closer(lambda work: trio.lowlevel.start_thread_soon(work, lambda outcome: None))
_lanes: trio.lowlevel.RunVar[dict[int, Lane]] = trio.lowlevel.RunVar("lanes")
_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("disk")


class Crowded(TimeoutError):
    """Too many wait for what is well: it is no disk that hangs."""


class Lane:
    """The threads for one disk, or for what the workers of one pool hand over."""

    __slots__ = ("_limiter", "_well_at")

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(_AT_ONCE)
        self._well_at = monotonic()

    def __repr__(self) -> str:
        return f"<Lane {self._limiter.borrowed_tokens} of {_AT_ONCE}>"

    async def run(
        self,
        work: Callable[[], Result],
        after: Callable[[], object],
        undo: Callable[[Result], object] = lambda result: None,
    ) -> Result:
        """`after` is called once, behind `work` in its thread, be that long after we stopped waiting for it.

        `undo`: with the result that nobody waits for any more. Raises TimeoutError, Crowded where the disk is
        well, OSError if no thread can be had, and what `work` raises.
        """
        job = _Job(work, after, undo)
        try:
            if self._limiter.statistics().tasks_waiting < _MOST_WAITING:
                with trio.move_on_after(_PATIENCE):
                    await trio.to_thread.run_sync(job.run, limiter=self._limiter, abandon_on_cancel=True)
                    self._well_at = monotonic()
                    return job.take()
            elif is_fresh(self._well_at):
                raise Crowded(errno.EAGAIN, "too many wait for the disk")
        except RuntimeError as error:
            if job.has_begun:
                raise
            raise OSError(errno.ENOMEM, f"{error}") from None
        finally:
            job.forgo()
        raise TimeoutError(errno.ETIMEDOUT, "the disk does not answer")


class _Job(Generic[Result]):
    """Its task and its thread, either of which may be through with it first. A turn is had by one only."""

    __slots__ = ("_after", "_beginning", "_end", "_results", "_undo", "_work")

    def __init__(
        self, work: Callable[[], Result], after: Callable[[], object], undo: Callable[[Result], object]
    ) -> None:
        self._work = work
        self._after = after
        self._undo = undo
        self._beginning, self._end = [True], [True]  # turns
        self._results: list[Result] = []

    @property
    def has_begun(self) -> bool:
        return not self._beginning

    def run(self) -> None:
        """In the thread."""
        if not _has_turn(self._beginning):
            return
        try:
            self._results.append(self._work())
        finally:
            self._after()
            if not _has_turn(self._end):
                self._clear()

    def take(self) -> Result:
        return self._results.pop()

    def forgo(self) -> None:
        """In the task, at the end: what was not taken is not wanted."""
        if _has_turn(self._beginning):
            self._after()
        elif not _has_turn(self._end):
            self._clear()

    def _clear(self) -> None:
        while self._results:
            self._undo(self._results.pop())


def _has_turn(turn: list[bool]) -> bool:
    try:
        return turn.pop()
    except IndexError:
        return False


async def read(fd: int, count: int, offset: int, lane: Lane | None = None) -> bytes:
    """At most `count` bytes; fewer only where the file ends. Raises OSError; TimeoutError of a slow disk."""
    if not count:
        return b""
    buffer = bytearray(count)
    got = _read_now(fd, buffer, offset, lane is None)
    if got == count or got == 0:
        return bytes(buffer[:got])
    got = got or 0
    rest = await _read_in_thread(fd, count - got, offset + got, lane)
    return bytes(buffer[:got]) + b"".join(rest)


async def warm(fd: int, offset: int, count: int, lane: Lane | None = None) -> bool:
    """Have this stretch (WINDOW at most) in memory, as well as one can tell by its two ends.

    False: one cannot tell, and it is to be read piece by piece. Raises TimeoutError.
    """
    try:
        is_ours = lane is None
        is_warm = _is_there(fd, offset + count - 1, is_ours) and _is_there(fd, offset, is_ours)
    except OSError as error:
        # Who sends it will meet any other trouble, and say so.
        return error.errno not in _CANNOT_TELL
    if not is_warm:
        try:
            await _read_in_thread(fd, count, offset, lane)
        except TimeoutError:
            raise
        except OSError:
            pass
    return True


def is_fresh(since: float) -> bool:
    """Whether what was in memory then (time.monotonic) may be believed to be there still."""
    return monotonic() - since < _FRESH


def lane_of(fd: int) -> Lane:
    """That of the disk on which an open file lies; -1: of nobody knows which. Raises OSError."""
    try:
        lanes = _lanes.get()
    except LookupError:
        lanes = {}
        _lanes.set(lanes)
    device = file_systems.look(fd).device if fd >= 0 else -1
    if device not in lanes and len(lanes) >= _MOST_LANES:
        device = next(iter(lanes))
    return lanes.setdefault(device, Lane())


async def ask(
    fd: int,
    work: Callable[[], Result],
    after: Callable[[], object],
    undo: Callable[[Result], object] = lambda result: None,
) -> Result:
    """In the lane of an open file or folder, as `Lane.run`."""
    try:
        lane = lane_of(fd)
    except BaseException:
        after()
        raise
    return await lane.run(work, after, undo)


async def stat(fd: int, device: int) -> os.stat_result:
    """A file system in another process, or on another machine, is asked in a thread. Raises OSError."""
    if file_systems.known(device) is not Kind.REMOTE:
        return os.fstat(fd)
    own = os.dup(fd)
    return await ask(own, partial(os.fstat, own), partial(let_go, own))


def close(fd: int, device: int) -> None:
    """Of which such a file system may be asked as well."""
    if file_systems.known(device) is Kind.REMOTE:
        _closer.close(fd)
    else:
        let_go(fd)


def let_go(fd: int) -> None:
    """Close what was only read: what a file system complains of then (FUSE, NFS) costs no answer.

    The descriptor is gone, whatever close(2) reports.
    """
    try:
        os.close(fd)
    except OSError as error:
        if error.errno == errno.EBADF:
            raise  # closed twice: its number may be another's by now


async def run(work: Callable[[], Result]) -> Result:
    """What belongs to no request, however long it takes."""
    # Not abandoned: what it works with must stay until the thread is through.
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_AT_ONCE)
        _limiter.set(limiter)
    return await trio.to_thread.run_sync(work, limiter=limiter)


def _is_there(fd: int, offset: int, is_ours: bool) -> bool:
    """Raises OSError: also where one cannot tell."""
    try:
        os.preadv(fd, [bytearray(1)], offset, _NOWAIT)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _CANNOT_TELL and is_ours and _is_memory(fd):
            return True
        raise
    return True


def _read_now(fd: int, buffer: bytearray, offset: int, is_ours: bool) -> int | None:
    """How many bytes there are without waiting; None: none are in memory yet, or one cannot tell."""
    try:
        return os.preadv(fd, [buffer], offset, _NOWAIT)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno not in _CANNOT_TELL:
            raise
    return os.preadv(fd, [buffer], offset) if is_ours and _is_memory(fd) else None


def _is_memory(fd: int) -> bool:
    """Not to be asked of others' files: the number of a tmpfs that is unmounted may be a FUSE's next."""
    return file_systems.known(file_systems.look(fd).device) is Kind.MEMORY


async def _read_in_thread(fd: int, count: int, offset: int, lane: Lane | None) -> list[bytes]:
    own = os.dup(fd)  # its number must mean this file for as long as the thread reads
    work = partial(_read_through, own, count, offset, lane is None)
    after = partial(let_go, own)
    return await (ask(own, work, after) if lane is None else lane.run(work, after))


def _read_through(fd: int, count: int, offset: int, is_ours: bool) -> list[bytes]:
    if is_ours:
        file_systems.learn(fd)
    pieces = []
    end = offset + count
    while offset < end:
        piece = os.pread(fd, min(end - offset, PIECE), offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
    return pieces
