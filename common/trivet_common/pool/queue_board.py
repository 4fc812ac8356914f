"""A pool's queue as its proxy processes see it: one small file with a row a process.

Made by the pool's master, written by each proxy process in its own row, read for sizing and for people. By
plain calls, never mapped: others of the group may write here too, and a mapping of a file that somebody
shortens kills the process. Nobody believes more of it than a count.
"""

import os
import struct
import time
from pathlib import Path
from typing import NamedTuple

# proxy.processes is at most 64.
_ROWS = 64
_WORDS = 16
_ROW = struct.Struct(f"={_WORDS}Q")
_SPARE = (0,) * (_WORDS - 12)
_MASK = 2**64 - 1
# A process that has not written for so long (ns) is gone, or stands still: nobody waits with it any more.
_FRESH = 3_000_000_000


class QueueCounts(NamedTuple):
    """Since the process began; those of its successor begin at 0 again."""

    claims: int = 0  # requests that were given a slot
    late: int = 0  # of those: had waited longer than workers.wait
    retries: int = 0  # run once more after their worker had died in them
    returns: int = 0  # taken back from a slot that had not begun with them
    timeouts: int = 0  # 504s given
    deaths: int = 0  # requests whose worker died in them
    full: int = 0  # 503s given because the queue was full
    expired: int = 0  # 503s given because the wait was too long


class QueueView(NamedTuple):
    """A copy of one row. `oldest_since`: CLOCK_MONOTONIC in nanoseconds, 0 when nobody waits."""

    process: int
    pid: int
    waiting: int
    oldest_since: int
    counts: QueueCounts


class QueueRow:
    """The row of proxy process `index` of `processes`. No method raises: this is for show."""

    __slots__ = ("_fd", "_index", "_inode", "_path", "_processes")

    def __init__(self, path: Path, index: int, processes: int) -> None:
        self._path = path
        self._index = index
        self._processes = processes
        self._fd = -1
        self._inode = 0
        self.refresh()

    def __repr__(self) -> str:
        return f"<QueueRow {self._index} of {self._path} {'open' if self._fd >= 0 else 'missing'}>"

    def refresh(self) -> None:
        """The pool may start after us, and its directory may be made anew while we live."""
        try:
            inode = os.stat(self._path, follow_symlinks=False).st_ino
            if self._fd >= 0 and inode == self._inode:
                return
            fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return
        self._close()
        self._fd, self._inode = fd, inode
        if self._index == 0:
            # Rows of an earlier run with more processes have no successor to clear them.
            self._write(self._processes, bytes(_ROW.size * max(_ROWS - self._processes, 0)))

    def show(self, waiting: int, oldest_since: int, counts: QueueCounts) -> None:
        """Four times a second, whether or not anything has changed: a row that is not renewed is void."""
        if self._fd < 0:
            self.refresh()
        words = (os.getpid(), waiting, oldest_since, *counts, time.monotonic_ns(), *_SPARE)
        self._write(self._index, _ROW.pack(*(word & _MASK for word in words)))

    def clear(self) -> None:
        """The process leaves."""
        self._write(self._index, bytes(_ROW.size))
        self._close()

    def _write(self, index: int, data: bytes) -> None:
        if self._fd >= 0:
            try:
                os.pwrite(self._fd, data, index * _ROW.size)
            except OSError:
                pass  # a full disk

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def make_queue_board(path: Path, group: int | None = None) -> None:
    """Once in the life of the directory; one that is there is adopted, for this group. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    fd = os.open(path, flags, 0o600)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            return
        if group is not None:
            os.fchown(fd, -1, group)
        os.fchmod(fd, 0o600 if group is None else 0o660)  # after the group: never open to another one
    finally:
        os.close(fd)


def read_queue_board(path: Path) -> list[QueueView]:
    """The rows in use; none where there is no such file yet. Who is silent for 3 s has nobody waiting."""
    try:
        # O_NONBLOCK: somebody could have put a FIFO here.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        raw = os.pread(fd, _ROWS * _ROW.size, 0)
    except OSError:
        return []
    finally:
        os.close(fd)
    whole = len(raw) // _ROW.size * _ROW.size
    now = time.monotonic_ns()
    return [_view(index, row, now) for index, row in enumerate(_ROW.iter_unpack(raw[:whole])) if row[0]]


def _view(index: int, row: tuple[int, ...], now: int) -> QueueView:
    pid, waiting, since, *rest = row
    counts, shown_at = QueueCounts(*rest[:8]), rest[8]
    if not 0 <= now - shown_at < _FRESH:
        waiting = since = 0
    return QueueView(index, pid, waiting, since, counts)
