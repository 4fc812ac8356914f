"""Who may log in by one htpasswd file: read again when it changes, checked in a thread, remembered briefly.

Owns what an attempt costs and how many are under way. A password is kept nowhere: only a digest of name and
password under a key that is this process's own. Knows no HTTP beyond the reasons.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio

from trivet_common.config.htpasswd import ARGON2, LARGEST, Entry, Flaw, parse_htpasswd
from trivet_common.http1.reasons import refuse

KEEP = 60.0  # seconds that a success is remembered
_MOST_KEPT = 1024
_LOOK = 1.0  # seconds between two looks at the file
# One thread checks, so that guessing costs one core at most; others wait in line, but not for long, and one
# client cannot take all places in it.
_AT_ONCE = 1
_MOST_WAITING = 32
_MOST_OF_ONE = 4
_PATIENCE = 10.0
_RETRY = ((b"retry-after", b"1"),)
_LONGEST = 1024  # bytes of a password
_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("passwords")


class Passwords:
    """`accepts` says whether it is the password of that user."""

    def __init__(
        self, path: Path, warn: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._warn = warn
        self._clock = clock
        self._key = os.urandom(32)
        self._entries: dict[bytes, Entry] | None = None
        self._stamp: object = None
        self._problem = ""
        self._look_at = -_LOOK
        self._is_looking = trio.Lock()
        self._reader = trio.CapacityLimiter(1)  # a disk that hangs holds up one thread
        self._known: OrderedDict[bytes, float] = OrderedDict()  # digest -> until when
        self._underway: dict[bytes, _Trial] = {}
        self._of: Counter[bytes] = Counter()  # attempts under way, by client

    def __repr__(self) -> str:
        users = len(self._entries or ())
        return f"<Passwords {self._path.name} {users} users, {len(self._underway)} attempts>"

    async def accepts(self, user: bytes, password: bytes, client: bytes) -> bool:
        """Raises HttpError auth_unavailable, auth_busy, rate_limited. `client`: who tries."""
        if self._clock() >= self._look_at:
            await self._look()
        entries = self._entries
        if entries is None:
            raise refuse("auth_unavailable", self._problem)
        if not entries or len(password) > _LONGEST:
            return False
        digest = self._digest(user, password)
        if self._known.get(digest, 0.0) > self._clock():
            return True
        trial = self._underway.get(digest)
        if trial is None:
            trial = await self._try(digest, user, password, client)
        else:
            await trial.over.wait()
        if trial.is_right is None:
            raise refuse("auth_busy", headers=_RETRY)
        return trial.is_right

    async def _try(self, digest: bytes, user: bytes, password: bytes, client: bytes) -> _Trial:
        if self._of[client] >= _MOST_OF_ONE:
            raise refuse("rate_limited", "This client tries too many passwords at a time.", headers=_RETRY)
        limiter = _threads()
        if limiter.statistics().tasks_waiting >= _MOST_WAITING:
            raise refuse("auth_busy", headers=_RETRY)
        trial = self._underway[digest] = _Trial()
        self._of[client] += 1
        # Of an unknown user somebody else's is checked: how long it takes tells nothing.
        entry = self._entry_of(user) or self._stand_in(user)
        try:
            with trio.move_on_after(_PATIENCE):
                is_match = await trio.to_thread.run_sync(
                    partial(is_right, entry, password), limiter=limiter, abandon_on_cancel=True
                )
                # By what the file says now: it may have changed meanwhile.
                trial.is_right = is_match and self._entry_of(user) == entry
            if trial.is_right:
                self._remember(digest)
        finally:
            del self._underway[digest]
            self._of[client] -= 1
            self._of += Counter()  # those of nobody are forgotten
            trial.over.set()
        return trial

    def _remember(self, digest: bytes) -> None:
        if len(self._known) >= _MOST_KEPT:
            self._known.popitem(last=False)
        self._known[digest] = self._clock() + KEEP
        self._known.move_to_end(digest)

    def _digest(self, user: bytes, password: bytes) -> bytes:
        text = b"%d:%b%b" % (len(user), user, password)
        return hashlib.blake2b(text, digest_size=32, key=self._key).digest()

    def _entry_of(self, user: bytes) -> Entry | None:
        return self._entries.get(user) if self._entries else None

    def _stand_in(self, user: bytes) -> Entry:
        """The same for the same name, as long as the file is the same."""
        number = int.from_bytes(hashlib.blake2b(user, digest_size=8, key=self._key).digest(), "little")
        entries = list((self._entries or {}).values())
        return entries[number % len(entries)]

    async def _look(self) -> None:
        """Who asks while somebody looks goes by what is known; only the first look is waited for."""
        if self._is_looking.locked() and (self._entries is not None or self._problem):
            return
        async with self._is_looking:
            if self._clock() < self._look_at:
                return
            problem = "the disk does not answer"
            with trio.move_on_after(_PATIENCE):
                try:
                    found = await trio.to_thread.run_sync(
                        partial(_read, self._path, self._stamp), limiter=self._reader, abandon_on_cancel=True
                    )
                    problem = ""
                    if found is not None:
                        self._take(*found)
                except (OSError, ValueError) as error:
                    problem = getattr(error, "strerror", None) or str(error)
            self._look_at = self._clock() + _LOOK
            if problem:
                self._close(f"{self._path}: {problem}")

    def _take(self, stamp: object, entries: dict[bytes, Entry], flaws: list[Flaw]) -> None:
        self._stamp, self._entries, self._problem = stamp, entries, ""
        self._known.clear()
        for flaw in flaws[:16]:
            self._warn(f"{self._path}:{flaw.line}: {flaw.message}; {flaw.hint}")

    def _close(self, problem: str) -> None:
        """Nobody comes in by what the file once said."""
        if problem != self._problem:
            self._warn(f"{problem}: nobody can log in")
        self._problem, self._entries, self._stamp = problem, None, None
        self._known.clear()


class _Trial:
    """One attempt, which all that come with the same name and password wait for."""

    __slots__ = ("is_right", "over")

    def __init__(self) -> None:
        self.over = trio.Event()
        self.is_right: bool | None = None  # None: it was not found out


def is_right(entry: Entry, password: bytes) -> bool:
    """In a thread: takes as long as the hash was made to take. One that its library refuses is no match."""
    if entry.kind == ARGON2:
        from argon2.exceptions import Argon2Error, InvalidHash
        from argon2.low_level import Type, verify_secret

        kinds = {b"argon2id": Type.ID, b"argon2i": Type.I, b"argon2d": Type.D}
        try:
            return verify_secret(entry.hash, password, kinds[entry.hash.split(b"$")[1]])
        except (Argon2Error, InvalidHash, KeyError):
            return False
    import bcrypt

    try:
        # bcrypt has always read 72 bytes and no more; the library of today wants that said.
        return bcrypt.checkpw(password[:72], entry.hash)
    except ValueError:
        return False


def _read(path: Path, stamp: object) -> tuple[object, dict[bytes, Entry], list[Flaw]] | None:
    """None where nothing has changed. Raises OSError, ValueError."""
    # A pipe would be waited for without end, by a thread that nobody gets back when the file is mended.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is no file")
        now = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        if now == stamp:
            return None
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"it is larger than {LARGEST} bytes")
    return now, *parse_htpasswd(data)


def _threads() -> trio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_AT_ONCE)
        _limiter.set(limiter)
        return limiter
