"""Hashed assets of earlier trees, kept in the state directory for pages that were loaded before a deploy.

Hard links where the file system allows it, copies elsewhere; the trees longest ago go first when there are
too many, or too many bytes. Knows no HTTP; `take` works in a thread, one process at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from . import disk
from .beneath import ROOT, Links, open_beneath
from .folder import LOOK_AGAIN, Folder, Pinned, is_hidden
from .hashed_names import is_hashed

LARGEST = 1024 * 1024 * 1024  # bytes of all kept assets of a route
_MOST_FILES = 100_000  # of one tree: what has more is no build
_FILES, _TREES, _NEW = "files", "trees", ".new"
_PIECE = 1024 * 1024


class KeptAssets:
    """Of one route. `trees`: how many besides the present one."""

    __slots__ = ("_root", "path", "trees")

    def __init__(self, path: Path, trees: int) -> None:
        """Raises OSError if the folder cannot be made."""
        self.path = path
        self.trees = trees
        for folder in (path, path / _FILES, path / _TREES):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = os.open(path / _FILES, ROOT)

    def __repr__(self) -> str:
        return f"<KeptAssets {self.path}>"

    def __del__(self) -> None:
        root = getattr(self, "_root", -1)
        if root >= 0:
            os.close(root)

    def open(self, name: bytes) -> int:
        """A kept asset. Raises OSError."""
        return open_beneath(self._root, name, links=Links.NEVER)

    @property
    def fresh_until(self) -> float:
        return time.monotonic() + LOOK_AGAIN

    @property
    def hashed_names(self) -> Collection[bytes]:
        return _EVERYTHING

    def take(self, root: Pinned, listed: Collection[bytes]) -> str:
        """Keep what is hashed in the tree; what could not be kept, as a sentence. Raises OSError."""
        with self._alone():
            names = [name for name in _names_in(root) if name in listed or is_hashed(name)]
            problem = ""
            for name in names:
                try:
                    self._keep(root, name)
                except OSError as error:
                    problem = f"{os.fsdecode(name)} cannot be kept in {self.path}: {error.strerror}"
            self._note(names)
            self._forget()
        return problem

    def _keep(self, root: Pinned, name: bytes) -> None:
        target = os.path.join(os.fsencode(self.path / _FILES), name)
        fd = root.open(name)
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode) or _is_there(target, info):
                return
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            new = os.fsencode(self.path / _NEW)
            _link_or_copy(fd, info, new)
            os.replace(new, target)
        finally:
            os.close(fd)

    def _note(self, names: list[bytes]) -> None:
        """One file a tree, named for its contents: a tree that comes back becomes the youngest."""
        text = json.dumps(sorted(os.fsdecode(name) for name in names))
        path = self.path / _TREES / hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        new = self.path / _NEW
        new.write_text(text, "utf-8", "surrogateescape")
        os.utime(new, ns=(time.time_ns(),) * 2)
        new.replace(path)

    def _forget(self) -> None:
        """Trees beyond the number, or beyond the bytes that are left to them; then what no tree names."""
        youngest_first = sorted((self.path / _TREES).iterdir(), key=_mtime, reverse=True)
        kept: set[bytes] = set()
        for place, tree in enumerate(youngest_first):
            names = kept | _names_of(tree)
            if place > self.trees or (place and self._size(names) > LARGEST):
                tree.unlink(missing_ok=True)
            else:
                kept = names
        files = os.fsencode(self.path / _FILES)
        for folder, _, found in os.walk(files, topdown=False):
            for name in found:
                path = os.path.join(folder, name)
                if os.path.relpath(path, files) not in kept:
                    os.unlink(path)
            if folder != files and not os.listdir(folder):
                os.rmdir(folder)

    def _size(self, names: set[bytes]) -> int:
        files = os.fsencode(self.path / _FILES)
        total = 0
        for name in names:
            try:
                total += os.stat(os.path.join(files, name)).st_size
            except OSError:
                continue
        return total

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two processes, of an old and a new master, may want to at once."""
        fd = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


class Keeper:
    """Has the tree of a folder kept: at once, and whenever the folder is another directory."""

    __slots__ = ("_folder", "_kept", "_scope", "_tell")

    def __init__(self, folder: Folder, kept: KeptAssets, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._kept = kept
        self._tell = tell
        self._scope = trio.CancelScope()

    def stop(self) -> None:
        self._scope.cancel()

    async def run(self) -> None:
        taken: object = None
        with self._scope:
            while True:
                self._folder.look()
                if self._folder.identity != taken:
                    taken = self._folder.identity
                    await self._take()
                await trio.sleep(LOOK_AGAIN)

    async def _take(self) -> None:
        try:
            root = self._folder.pin()
        except OSError:
            return  # there is none; who asks for its files says so
        try:
            listed = self._folder.hashed_names
            problem = await disk.run(lambda: self._kept.take(root, listed))
        except OSError as error:
            problem = f"assets cannot be kept in {self._kept.path}: {error.strerror}"
        finally:
            root.close()
        if problem:
            self._tell(problem)


class _Everything(Collection[bytes]):
    """All names: what is kept is hashed, or it would not have been."""

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def __len__(self) -> int:
        return 0


_EVERYTHING = _Everything()


def _names_in(root: Pinned) -> Iterator[bytes]:
    """Files below the root that may be served, without following links to folders."""
    left = _MOST_FILES
    top = os.fsencode(f"/proc/self/fd/{root.fd}/")
    for folder, folders, files in os.walk(top):
        here = folder[len(top) :]
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in files:
            left -= 1
            if left < 0:
                return
            if not is_hidden(name):
                yield os.path.join(here, name)


def _names_of(tree: Path) -> set[bytes]:
    try:
        return {os.fsencode(name) for name in json.loads(tree.read_text("utf-8", "surrogateescape"))}
    except (OSError, ValueError, TypeError):
        return set()


def _is_there(target: bytes, info: os.stat_result) -> bool:
    try:
        found = os.stat(target, follow_symlinks=False)
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (info.st_size, info.st_mtime_ns)


def _link_or_copy(fd: int, info: os.stat_result, new: bytes) -> None:
    """The opened file, whatever its name leads to by now."""
    try:
        os.unlink(new)
    except FileNotFoundError:
        pass
    folder = os.open(os.path.dirname(new), ROOT)
    try:
        os.link(f"/proc/self/fd/{fd}", os.path.basename(new), dst_dir_fd=folder, follow_symlinks=True)
        return
    except OSError:
        pass  # another file system, or not our file: fs.protected_hardlinks
    finally:
        os.close(folder)
    with open(new, "xb") as copy:
        offset = 0
        while piece := os.pread(fd, _PIECE, offset):
            copy.write(piece)
            offset += len(piece)
    os.utime(new, ns=(info.st_mtime_ns,) * 2)


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
