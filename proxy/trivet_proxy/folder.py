"""A folder whose files are served: its opened root, and the names in it that may be asked for.

Deploys replace folders by swapping a link, so the path is looked at again once a second. Knows no HTTP.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from . import disk, file_systems
from .beneath import READ, ROOT, Links, open_beneath, open_if_known, open_path_if_known
from .file_systems import Kind
from .manifests import Manifests

LOOK_AGAIN = 1.0  # seconds

# Dot files and what editors leave beside sources; an empty, . or .. segment has no place in a name either.
# The one dot name meant for the public stands at the root of a site (RFC 8615): the caller lets it through.
_HIDDEN = re.compile(rb"(?:\A|/)(?:[./]|\Z)|~(?:/|\Z)|\.(?:swp|swo)(?:/|\Z)|\x00").search


class Folder:
    """Opens files below `path`, whatever directory that is today."""

    __slots__ = (
        "_clock",
        "_identity",
        "_inside",
        "_is_asked",
        "_links",
        "_look_at",
        "_manifests",
        "_problem",
        "_root",
        "path",
    )

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        links: Links = Links.INSIDE,
        *,
        has_manifests: bool = True,
    ) -> None:
        """`has_manifests`: whether what looks like one is believed."""
        self.path = path
        self._clock = clock
        self._links = links
        self._manifests = Manifests() if has_manifests else None
        self._root = -1
        self._problem: OSError | None = None  # why the root could not be opened
        self._identity = (0, 0)
        self._inside: tuple[bytes, ...] = ()
        self._is_asked = False  # a server is, about the folder itself
        self._keep_up()

    def __repr__(self) -> str:
        return f"<Folder {self.path} fd={self._root}>"

    def open(self, name: bytes) -> int:
        """A descriptor for reading, of whatever kind of file it is. Raises OSError."""
        if self._clock() >= self._look_at:
            self._keep_up()
        if self._root < 0 and self._problem is not None:
            raise self._problem
        return open_beneath(self._root, name, self._inside, self._links)

    def open_if_known(self, name: bytes) -> int:
        """The same in the loop. Raises BlockingIOError where a disk or a server would have to be asked."""
        if self._clock() >= self._look_at and not self._is_remote:
            self._keep_up()
        if self._root < 0 and self._problem is not None:
            raise self._problem
        kind = file_systems.known(self._identity[0])
        if kind is Kind.MEMORY:
            return open_beneath(self._root, name, self._inside, self._links)
        if kind is not Kind.LOCAL:
            raise BlockingIOError(errno.EAGAIN, "to be asked in a thread")
        return open_if_known(self._root, name, self._inside, self._links)

    async def keep_up(self) -> None:
        """For who asks in threads: see what directory it is by now, if that is due. Raises TimeoutError."""
        if self._clock() >= self._look_at:
            await self._look()

    async def look(self) -> bool:
        """See whether it is another directory by now, and say so, if that can be had in time."""
        before = self._identity
        try:
            await self._look()
        except TimeoutError:
            return False
        return self._identity != before

    @property
    def identity(self) -> tuple[int, int]:
        """Of the directory that is open."""
        return self._identity

    def pin(self) -> Pinned:
        """The directory of this moment, for another thread, whatever becomes of the folder's path."""
        if self._root < 0:
            raise self._problem or OSError(errno.ENOENT, "no folder")
        return Pinned(os.dup(self._root), self._inside, self._links)

    @property
    def fresh_until(self) -> float:
        """When what was found in it is to be looked at again, and the folder itself with it."""
        return self._look_at

    @property
    def hashed_names(self) -> frozenset[bytes]:
        """What a manifest in it says is hashed."""
        return self._manifests.names if self._manifests is not None else frozenset()

    @property
    def is_read(self) -> bool:
        """Whether `hashed_names` are complete: large manifests take a moment."""
        return self._manifests is None or self._manifests.is_read

    @property
    def problem(self) -> str:
        """What is wrong with a manifest; to be told, no reason to serve nothing."""
        return self._manifests.problem if self._manifests is not None else ""

    @property
    def is_there(self) -> bool:
        """Whether there has been a folder to serve from, ever."""
        return self._root >= 0

    def close(self) -> None:
        root, self._root = self._root, -1
        if root >= 0:
            disk.let_go(root)

    def __del__(self) -> None:
        # A reload drops the whole site, and with it the last reference from a request still running.
        self.close()

    @property
    def _is_remote(self) -> bool:
        return file_systems.known(self._identity[0]) is Kind.REMOTE

    async def _look(self) -> None:
        """One at a time where a server is asked: who comes meanwhile goes on with what was opened last."""
        if not self._is_remote:
            return self._keep_up()
        self._look_at = self._clock() + LOOK_AGAIN
        if self._is_asked:
            return
        self._is_asked = True
        try:
            root = os.dup(self._root)
            self._take(await disk.ask(root, partial(self._find, root), partial(disk.let_go, root), _close))
        except TimeoutError:
            raise
        except OSError as problem:
            self._problem = problem.with_traceback(None)
        finally:
            self._is_asked = False

    def _keep_up(self) -> None:
        self._look_at = self._clock() + LOOK_AGAIN
        try:
            self._take(self._find(self._root))
        except OSError as problem:
            # Between two steps of a deploy what was opened last serves on.
            self._problem = problem.with_traceback(None)

    def _find(self, root: int) -> _Opened | None:
        """In any thread: what is to take the place of `root`; None: nothing."""
        now = os.stat(self.path)
        found = _open(self.path) if (now.st_dev, now.st_ino) != self._identity else None
        if self._manifests is not None:
            with contextlib.suppress(OSError):  # no descriptor: at the next look
                self._manifests.look(root if found is None else found.root)
        return found

    def _take(self, found: _Opened | None) -> None:
        if found is not None:
            self.close()
            self._root, self._identity, self._inside = found


class _Opened(NamedTuple):
    """A directory that stands at the path."""

    root: int
    identity: tuple[int, int]
    inside: tuple[bytes, ...]


def _open(path: Path) -> _Opened:
    root = os.open(path, ROOT)
    try:
        info = os.fstat(root)
        inside = (os.fsencode(path), os.fsencode(os.path.realpath(path)))
    except BaseException:
        disk.let_go(root)
        raise
    return _Opened(root, (info.st_dev, info.st_ino), inside)


def _close(found: _Opened | None) -> None:
    if found is not None:
        disk.let_go(found.root)


class Pinned:
    """One directory, opened for as long as it is needed. `close` it."""

    __slots__ = ("_inside", "_links", "fd")

    def __init__(self, fd: int, inside: tuple[bytes, ...], links: Links) -> None:
        self.fd = fd
        self._inside = inside
        self._links = links

    def open(self, name: bytes) -> int:
        file_systems.learn(self.fd)
        fd = open_beneath(self.fd, name, self._inside, self._links)
        try:
            file_systems.learn(fd)  # something may be mounted below the root
        except BaseException:
            disk.let_go(fd)
            raise
        return fd

    def close(self) -> None:
        disk.let_go(self.fd)


class SingleFile:
    """The one file at `path`, whatever name is asked for. The operator named it: links are followed."""

    __slots__ = ("_clock", "_kind", "path")

    fd = -1  # as of a pinned directory: there is none

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._kind: Kind | None = None  # nobody has asked yet

    def __repr__(self) -> str:
        return f"<SingleFile {self.path}>"

    def open(self, name: bytes) -> int:
        fd = os.open(self.path, READ)
        self._kind = file_systems.learn(fd)
        return fd

    def open_if_known(self, name: bytes) -> int:
        if self._kind is Kind.MEMORY:
            return os.open(self.path, READ)
        if self._kind is not Kind.LOCAL:
            raise BlockingIOError(errno.EAGAIN, "to be asked in a thread")
        return open_path_if_known(os.fsencode(self.path))

    async def keep_up(self) -> None:
        """Nothing is remembered of it."""

    def pin(self) -> SingleFile:
        return self

    def close(self) -> None:
        pass

    @property
    def fresh_until(self) -> float:
        return self._clock() + LOOK_AGAIN

    @property
    def hashed_names(self) -> frozenset[bytes]:
        return frozenset()


def is_hidden(name: bytes) -> bool:
    """Whether a name below a folder is none that a client may ask for."""
    return _HIDDEN(name) is not None
