"""A worker's board: one memory-mapped file an incarnation with one row of words a slot.

Written by its worker alone, read by everyone; a reader trusts no value further than the slot that wrote it.
Words are 8 bytes, aligned, and touched only through memoryview.cast('Q'): struct.pack_into zeroes first,
and 4-9 % of concurrent reads saw that 0.
"""

import ctypes
import mmap
import os
import struct
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

MAGIC = int.from_bytes(b"TRVBRD01", "little")


class SlotState(IntEnum):
    """What a slot is doing. The order is the order of a life: a fresh row reads STARTING."""

    STARTING = 0
    IDLE = 1
    READING = 2
    RUNNING = 3
    RETIRING = 4


# Words of the header.
H_MAGIC, H_INCARNATION, H_SLOTS, H_PID, H_STARTED = range(5)
HEADER_WORDS = 8

# Words of a row. The first six are the claim protocol's, the rest are for show.
NUMBER, NONCE, ENTERED, STATE, IDLE_AT, USED_AT, SEQUENCE, SINCE, DONE = range(9)
# When (CLOCK_MONOTONIC, ns) the request that runs is interrupted, 0: never; how many were; and for how long
# (µs) the last one had waited in the proxy.
DEADLINE, TIMEOUTS, QUEUED = range(9, 12)
CLAIM_WORDS = 6
ROW_WORDS = 64
_METHOD = slice(16 * 8, 18 * 8)
_REQUEST_ID = slice(18 * 8, 26 * 8)
_PATH = slice(26 * 8, ROW_WORDS * 8)
_TEXT = _METHOD.start
_LONGEST_PATH = _PATH.stop - _PATH.start - 1
# Method and request id in all their width, cut off or padded with NULs.
_pack = struct.Struct(f"{_METHOD.stop - _METHOD.start}s{_REQUEST_ID.stop - _REQUEST_ID.start}s").pack


class BoardError(Exception):
    """A file that is no board of ours: too short, other magic, impossible slot count."""


class SlotView(NamedTuple):
    """A copy of one row at one moment, for people. Times are CLOCK_MONOTONIC in nanoseconds."""

    number: int
    nonce: int
    entered: int
    state: SlotState
    idle_at: int
    used_at: int
    since: int
    done: int
    method: str
    path: str
    request_id: str
    deadline: int = 0  # 0: none, or paused while the slot waits for somebody
    timeouts: int = 0
    queued: int = 0  # µs the request had waited in the proxy


class BoardView(NamedTuple):
    """A copy of a board: what a status page shows of one worker."""

    incarnation: int
    pid: int
    started: int
    slots: tuple[SlotView, ...]


class SlotRow:
    """One slot's row, writable. Only the slot's own thread may hold one."""

    __slots__ = ("_bytes", "words")

    def __init__(self, words: memoryview, raw: memoryview) -> None:
        self.words = words
        self._bytes = raw

    def __repr__(self) -> str:
        words = self.words
        return f"<SlotRow number={words[NUMBER]} state={SlotState(words[STATE]).name} done={words[DONE]}>"

    def show(self, method: bytes, path: bytes, request_id: bytes, now: int, queued: int = 0) -> None:
        """Show which request runs since `now` (ns), after it was queued so long (µs).

        An odd sequence word: the text is being written.
        """
        words = self.words
        sequence = words[SEQUENCE]
        # Not padded to the full row: one NUL ends the path, and most are short.
        text = _pack(method, request_id) + path[:_LONGEST_PATH] + b"\0"
        words[SEQUENCE] = sequence + 1
        self._bytes[_TEXT : _TEXT + len(text)] = text
        words[SINCE] = now
        words[QUEUED] = queued
        words[SEQUENCE] = sequence + 2

    def shown(self) -> str:
        """Method, path and id of the request that was shown last, as far as they fit."""
        return " ".join(_text(bytes(self._bytes[part])) for part in (_METHOD, _PATH, _REQUEST_ID))

    def doing(self, now: int) -> str:
        """`GET /slow ID for 4.0 s`, or the state of a slot that runs nothing (`now` in ns)."""
        since = self.words[SINCE]
        if since:
            return f"{self.shown()} for {(now - since) / 1e9:.1f} s"
        return SlotState(self.words[STATE]).name.lower()

    def clear(self) -> None:
        """The request is done. The text stays: last words of a worker that dies next."""
        words = self.words
        words[SINCE] = words[DEADLINE] = 0
        words[DONE] += 1


def _map(fd: int, size: int) -> memoryview:
    """The file, writable, with no descriptor of it left in this process.

    Python's mmap keeps one for as long as it lives, and an application could shorten the board through it:
    the next proxy process that looks at its mapping would die of SIGBUS. (Python 3.13 has trackfd=False.)
    The mapping is never undone: it lives as long as its worker.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    address = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "the board cannot be mapped")
    return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")


class Board:
    """A mapped board: `adopt` for its worker, `open` (read-only) for the claim path."""

    __slots__ = ("_bytes", "_inode", "_words", "incarnation", "slots")

    def __init__(self, mapping: mmap.mmap | memoryview, inode: int) -> None:
        self._inode = inode
        self._bytes = memoryview(mapping)
        self._words = self._bytes.cast("Q")
        self.incarnation = self._words[H_INCARNATION]
        # Not its word alone: the worker may have changed it since it was checked.
        self.slots = min(self._words[H_SLOTS], (len(self._words) - HEADER_WORDS) // ROW_WORDS)

    def __repr__(self) -> str:
        return f"<Board w{self.incarnation} slots={self.slots}>"

    @classmethod
    def create(cls, path: Path, incarnation: int, slots: int, now: int, mode: int = 0o600) -> "Board":
        """Make the board of this process."""
        board = cls.adopt(cls.make(path, incarnation, slots, now, mode))
        board.note_pid()
        return board

    @classmethod
    def make(cls, path: Path, incarnation: int, slots: int, now: int, mode: int = 0o600) -> int:
        """Make the board of a worker that is still to come: complete before it appears under its name.

        Returns a descriptor of it, to be adopted by that worker.
        """
        size = _size(slots)
        words = memoryview(bytearray(size)).cast("Q")
        words[H_MAGIC], words[H_INCARNATION], words[H_SLOTS], words[H_STARTED] = (
            MAGIC,
            incarnation,
            slots,
            now,
        )
        for slot in range(slots):
            words[HEADER_WORDS + slot * ROW_WORDS + NUMBER] = 1
        fresh = path.with_name(f".{path.name}.new")
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        try:
            os.fchmod(fd, mode)
            # Not ftruncate alone: a hole on a full tmpfs would be a SIGBUS at the first write.
            os.posix_fallocate(fd, 0, size)
            os.pwrite(fd, words, 0)
            os.rename(fresh, path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    @classmethod
    def adopt(cls, fd: int) -> "Board":
        """Map a board for writing by its descriptor, which is closed. Raises OSError or BoardError."""
        try:
            info = os.fstat(fd)
            slots = _check(os.pread(fd, HEADER_WORDS * 8, 0), info.st_size, "a worker's place")
            mapping = _map(fd, _size(slots))
        finally:
            os.close(fd)
        return cls(mapping, info.st_ino)

    def note_pid(self) -> None:
        """The calling process is this board's worker."""
        self._words[H_PID] = os.getpid()

    @classmethod
    def open(cls, path: Path) -> "Board":
        """Map a board for reading. Raises FileNotFoundError (the worker is gone) or BoardError."""
        fd = _open(path)
        try:
            info = os.fstat(fd)
            slots = _check(os.pread(fd, HEADER_WORDS * 8, 0), info.st_size, path)
            mapping = mmap.mmap(fd, _size(slots), prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        return cls(mapping, info.st_ino)

    def is_at(self, path: Path) -> bool:
        """Whether this board is what lies there, and not another one of the same number."""
        try:
            return os.stat(path, follow_symlinks=False).st_ino == self._inode
        except OSError:
            return False

    def slot(self, slot: int) -> SlotRow:
        """The row of a slot (0-based). Raises IndexError outside the board."""
        start = self._start(slot)
        return SlotRow(
            self._words[start : start + ROW_WORDS], self._bytes[start * 8 : (start + ROW_WORDS) * 8]
        )

    def words(self, slot: int) -> memoryview:
        """The claim words of a slot, for the rules in claims.py. Raises IndexError outside the board."""
        start = self._start(slot)
        return self._words[start : start + CLAIM_WORDS]

    def _start(self, slot: int) -> int:
        if not 0 <= slot < self.slots:
            raise IndexError(f"w{self.incarnation} has {self.slots} slots, not a slot {slot}")
        return HEADER_WORDS + slot * ROW_WORDS


def read_board(path: Path) -> BoardView:
    """Copy a board by pread, which a truncated file cannot turn into a SIGBUS. Raises as Board.open does."""
    fd = _open(path)
    try:
        head = os.pread(fd, HEADER_WORDS * 8, 0)
        slots = _check(head, os.fstat(fd).st_size, path)
        header = memoryview(head).cast("Q")
        rows = tuple(_read_row(fd, (HEADER_WORDS + i * ROW_WORDS) * 8) for i in range(slots))
    finally:
        os.close(fd)
    return BoardView(header[H_INCARNATION], header[H_PID], header[H_STARTED], rows)


def _open(path: Path) -> int:
    # O_NONBLOCK: a worker could put a FIFO here, and opening that would hold its master for ever.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)


def _read_row(fd: int, start: int) -> SlotView:
    raw = os.pread(fd, ROW_WORDS * 8, start)
    # The sequence word once more: the text may have changed while it was copied.
    return _view(raw, os.pread(fd, 8, start + SEQUENCE * 8))


def _view(raw: bytes, sequence: bytes) -> SlotView:
    """What a file that was cut short meanwhile no longer has reads as 0."""
    raw = raw.ljust(ROW_WORDS * 8, b"\0")
    words = memoryview(raw).cast("Q")
    known = words[STATE] <= SlotState.RETIRING
    settled = words[SEQUENCE] % 2 == 0 and raw[SEQUENCE * 8 : SEQUENCE * 8 + 8] == sequence
    return SlotView(
        number=words[NUMBER],
        nonce=words[NONCE],
        entered=words[ENTERED],
        state=SlotState(words[STATE]) if known else SlotState.STARTING,
        idle_at=words[IDLE_AT],
        used_at=words[USED_AT],
        since=words[SINCE],
        done=words[DONE],
        method=_text(raw[_METHOD]) if settled else "",
        path=_text(raw[_PATH]) if settled else "",
        request_id=_text(raw[_REQUEST_ID]) if settled else "",
        deadline=words[DEADLINE],
        timeouts=words[TIMEOUTS],
        queued=words[QUEUED],
    )


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("latin-1")


def _size(slots: int) -> int:
    return (HEADER_WORDS + slots * ROW_WORDS) * 8


def _check(head: bytes, size: int, path: Path | str) -> int:
    if len(head) < HEADER_WORDS * 8:
        raise BoardError(f"{path}: too short for a board")
    words = memoryview(head).cast("Q")
    slots: int = words[H_SLOTS]
    if words[H_MAGIC] != MAGIC or not 0 < slots <= 65536 or size < _size(slots):
        raise BoardError(f"{path}: not a board")
    return slots
