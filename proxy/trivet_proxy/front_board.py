"""The proxies' board: one small file with a row a process, for what is seen or bounded over all of them.

Written by each process in its own row. `trivet status` reads the queue from it, and each process how much of
`spool.limit` all of them have taken. Words as on the pools' boards.
"""

import mmap
import os
from pathlib import Path
from typing import NamedTuple

# proxy.processes is at most 64; all rows together are one page.
_ROWS = 64
_WORDS = 8
_ROW = _WORDS * 8
_PID, _WAITING, _SPOOL = 0, 1, 6
_SHOWN = 6


class FrontView(NamedTuple):
    """A copy of one row. `oldest_since`: CLOCK_MONOTONIC in nanoseconds, 0 when nobody waits."""

    process: int
    pid: int
    waiting: int
    oldest_since: int
    connections: int
    idle: int
    requests: int


class FrontRow:
    """The row of this process."""

    __slots__ = ("_all", "_shown", "_words")

    def __init__(self, path: Path, index: int) -> None:
        """Raises OSError."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(fd, 0, _ROWS * _ROW)  # a hole on a full tmpfs would be a SIGBUS later
            words = memoryview(mmap.mmap(fd, _ROWS * _ROW)).cast("Q")
        finally:
            os.close(fd)
        self._all = words
        self._words = words[index * _WORDS : (index + 1) * _WORDS]
        self._shown: tuple[int, ...] = ()
        self.clear()
        self._words[_PID] = os.getpid()

    def __repr__(self) -> str:
        return f"<FrontRow {self._shown}>"

    def show(self, waiting: int, oldest_since: int, connections: int, idle: int, requests: int) -> None:
        shown = (waiting, oldest_since, connections, idle, requests)
        if shown != self._shown:
            self._shown = shown
            for word, value in enumerate(shown, _WAITING):
                self._words[word] = value

    def note_spooled(self, count: int) -> None:
        """The bytes this process has in spool files."""
        self._words[_SPOOL] = count

    def spooled(self) -> int:
        """The bytes all processes have in spool files. Of one that was killed: until its successor begins."""
        return sum(self._all[_SPOOL::_WORDS])

    def clear(self) -> None:
        """The process leaves, or begins where another was killed."""
        self.show(0, 0, 0, 0, 0)
        self.note_spooled(0)
        self._words[_PID] = 0


def read_front_board(path: Path) -> list[FrontView]:
    """The rows in use. Raises OSError; a file that is too short has none."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        raw = os.pread(fd, _ROWS * _ROW, 0)
    finally:
        os.close(fd)
    words = memoryview(raw[: len(raw) // 8 * 8]).cast("Q")
    rows = [words[at : at + _WORDS] for at in range(0, len(words) - _WORDS + 1, _WORDS)]
    return [FrontView(index, *row[:_SHOWN]) for index, row in enumerate(rows) if row[_PID]]
