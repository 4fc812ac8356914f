"""How much of its rate each client has used, in memory that all proxy processes share.

GCRA (ITU-T I.371): a bucket is one time, that of the next request that would be on time. Owns the file, its
locks and what is forgotten when it is full. Knows no request.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

# 65,536 buckets in 1 MiB. One belongs to one of the sets, by its key; a full set forgets the bucket whose
# time is the earliest: it has nothing to remember, or the least.
SETS, WAYS = 4096, 16
_SET_WORDS = 2 * WAYS  # the keys, then their times
_HEAD = 4096
_SIZE = _HEAD + SETS * _SET_WORDS * 8
_MAGIC = b"TRVRATE1"
_SECRET = slice(8, 40)
_HEAD_LOCK = SETS  # locks are of bytes by number, and need not lie in the file
_HERE = (errno.EACCES, errno.EAGAIN)
_TRIES = 8  # the holder needs microseconds, unless it was interrupted in them


class Draw(NamedTuple):
    """One request from one bucket. `interval` and `tolerance` in nanoseconds."""

    key: int
    interval: int
    tolerance: int


class Buckets:
    """`try_take` takes one request from each bucket, or from none.

    The lock of a set is the kernel's (a POSIX record lock): it ends with its holder, also by kill -9. Each
    store is one word, and a bucket changes hands over no key at all: no moment to die at leaves a wrong one.
    """

    def __init__(self, path: Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Raises OSError: also where there are no locks."""
        self._clock = clock
        self._fd = _open(path)
        memory = mmap.mmap(self._fd, _SIZE)
        self._secret = bytes(memory[_SECRET])
        self._words = memoryview(memory)[_HEAD:].cast("Q")
        self.forgotten = 0  # buckets that had something to remember

    def __repr__(self) -> str:
        return f"<Buckets {SETS * WAYS}, {self.forgotten} forgotten>"

    def close(self) -> None:
        self._words.release()
        os.close(self._fd)

    def key_of(self, scope: bytes, subject: bytes) -> int:
        """Nobody can choose a client's name so that it falls on another's bucket, or fill one set."""
        found = hashlib.blake2b(b"%d %b %b" % (len(scope), scope, subject), digest_size=8, key=self._secret)
        return int.from_bytes(found.digest(), "little") or 1

    def try_take(self, draws: Sequence[Draw], is_forced: bool = False) -> int | None:
        """0, or in how many nanoseconds all of them would be on time; None: another process is at it.

        `is_forced`: whoever is at it.
        """
        wait, _ = self._judge(draws)
        if wait > 0:
            return wait  # times only grow: a flood is turned away without a lock
        sets = sorted({draw.key % SETS for draw in draws})
        held = 0
        try:
            for number in sets:
                if not self._try_lock(number):
                    if not is_forced:
                        return None
                    break
                held += 1
            return self._take(draws)
        finally:
            for number in sets[:held]:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, number)

    def _try_lock(self, number: int) -> bool:
        for _ in range(_TRIES):
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
                return True
            except OSError as error:
                if error.errno not in _HERE:
                    return False
            os.sched_yield()  # it may be waiting for this processor
        return False

    def _take(self, draws: Sequence[Draw]) -> int:
        wait, takes = self._judge(draws)
        if wait > 0:
            return wait
        for take in takes:
            self._store(*take)
        return 0

    def _judge(self, draws: Sequence[Draw]) -> tuple[int, list[tuple[int, int, int]]]:
        """In how many nanoseconds all are on time; and place, key and time of each bucket after them."""
        now = self._clock()
        wait = 0
        takes: list[tuple[int, int, int]] = []
        for draw in draws:
            place, due = self._find(draw.key, [take[0] for take in takes])
            early = due - now
            if early > draw.tolerance + draw.interval:
                early = 0  # of a slower rate before a reload, or of a clock before a restart of the machine
            wait = max(wait, early - draw.tolerance)
            takes.append((place, draw.key, max(early, 0) + now + draw.interval))
        return wait, takes

    def _find(self, key: int, taken: list[int]) -> tuple[int, int]:
        """The word of its key, and its time; where it has none, those of the bucket it may have."""
        base = key % SETS * _SET_WORDS
        keys = self._words[base : base + WAYS].tolist()
        if key in keys:
            place = base + keys.index(key)
            return place, self._words[place + WAYS]
        times = self._words[base + WAYS : base + 2 * WAYS].tolist()
        free = (way for way in range(WAYS) if base + way not in taken)
        return base + min(free, key=lambda way: times[way] if keys[way] else 0), 0

    def _store(self, place: int, key: int, due: int) -> None:
        words = self._words
        if words[place] != key:
            self.forgotten += words[place] != 0 and words[place + WAYS] > self._clock()
            words[place] = 0
            words[place + WAYS] = due
            words[place] = key
        else:
            words[place + WAYS] = due


def _open(path: Path) -> int:
    """The file that lies there, made whole by the first of all processes. Raises OSError."""
    for _ in range(8):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _lock_head(fd)
            magic = os.pread(fd, len(_MAGIC), 0)
            if magic.strip(b"\0") == b"":
                _make(fd)
                return fd
            if magic == _MAGIC and os.fstat(fd).st_size == _SIZE:
                fcntl.lockf(fd, fcntl.LOCK_UN, 1, _HEAD_LOCK)
                return fd
            path.unlink(missing_ok=True)  # of another version: who has it open goes on with it
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    raise OSError(errno.EBUSY, "it is made anew again and again", str(path))


def _lock_head(fd: int) -> None:
    until = time.monotonic() + 2.0
    while True:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _HEAD_LOCK)
            return
        except OSError as error:
            if error.errno not in _HERE or time.monotonic() > until:
                raise
        time.sleep(0.005)


def _make(fd: int) -> None:
    """The magic comes last: who died in between has made nothing."""
    os.ftruncate(fd, 0)
    os.posix_fallocate(fd, 0, _SIZE)  # a hole on a full tmpfs would be a SIGBUS later
    os.pwrite(fd, os.urandom(32), _SECRET.start)
    os.pwrite(fd, _MAGIC, 0)
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, _HEAD_LOCK)
