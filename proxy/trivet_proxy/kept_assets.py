"""Hashed assets of earlier trees, kept in the state directory for pages that were loaded before a deploy.

Hard links where the file system allows it, copies elsewhere; the trees longest ago go first when there are
too many, or too many bytes. Knows no HTTP; `take` works in a thread, one process at a time.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from trivet_common.config.units import size_text

from . import file_systems
from .beneath import ROOT, Links, open_if_known
from .file_systems import Kind
from .file_tree import DEEPEST, MOST, FileTree
from .folder import LOOK_AGAIN, Pinned, is_hidden
from .hashed_names import is_built, is_hashed

LARGEST = 1024 * 1024 * 1024  # bytes of all kept assets of a route
_FILES, _TREES, _NEW = "files", "trees", ".new"
_PIECE = 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PATIENCE = 60.0  # seconds until another process that keeps assets in the same place has done so


def _go_on() -> None:
    """Nobody is in a hurry."""


def place_of_assets(state_dir: Path, route_id: str) -> Path:
    """Where those of a route lie, whatever its id has in it."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", route_id).strip("-")[:40]
    mark = hashlib.sha256(route_id.encode()).hexdigest()[:8]
    return state_dir / "assets" / f"{name}-{mark}"


def kept_file(place: Path, name: str) -> Path:
    """Where an asset of that name would be."""
    return place / _FILES / name


class KeptAssets:
    """Of one route. `trees`: how many besides the present one."""

    __slots__ = ("_device", "_root", "path", "trees")

    def __init__(self, path: Path, trees: int) -> None:
        """Raises OSError if the folder cannot be made."""
        self.path = path
        self.trees = trees
        for folder in (path, path / _FILES, path / _TREES):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = os.open(path / _FILES, ROOT)
        self._device = file_systems.look(self._root).device

    def __repr__(self) -> str:
        return f"<KeptAssets {self.path}>"

    def __del__(self) -> None:
        root = getattr(self, "_root", -1)
        if root >= 0:
            os.close(root)

    def open_if_known(self, name: bytes) -> int:
        """A kept asset. Raises OSError; BlockingIOError: the disk, or a server, would have to be asked."""
        if file_systems.known(self._device) not in (Kind.LOCAL, Kind.MEMORY):
            raise BlockingIOError(errno.EAGAIN, "to be asked in a thread")
        return open_if_known(self._root, name, links=Links.NEVER)

    async def keep_up(self) -> None:
        """It stays where it is."""

    def pin(self) -> Pinned:
        return Pinned(os.dup(self._root), (), Links.NEVER)

    @property
    def fresh_until(self) -> float:
        return time.monotonic() + LOOK_AGAIN

    @property
    def hashed_names(self) -> Collection[bytes]:
        """None: what was only kept because it may be hashed is asked for again."""
        return ()

    def take(self, root: Pinned, listed: Collection[bytes], pause: Callable[[], None] = _go_on) -> str:
        """Keep what is hashed in the tree; what could not be kept, as a sentence. Raises OSError.

        `pause` is called again and again, and raises what ends it.
        """
        with self._alone(pause):
            sizes, problem = self._choose(root, listed)
            note = b"\0".join(sorted(sizes))
            # One file a tree, named for its contents: a tree that comes back becomes the youngest.
            tree = self.path / _TREES / hashlib.sha256(note).hexdigest()[:32]
            try:
                # First: a disk that is full has room again only for who gives some back.
                self._forget(sizes, tree)
                self._note(note, tree)
                return self._keep_all(root, sizes, pause) or problem
            finally:
                (self.path / _NEW).unlink(missing_ok=True)

    def _choose(self, root: Pinned, listed: Collection[bytes]) -> tuple[dict[bytes, int], str]:
        """Sizes by name, the smallest first: a page breaks for want of a script, not of a film."""
        names = FileTree(os.fsencode(f"/proc/self/fd/{root.fd}/"), is_hidden, MOST)
        found = [
            (_size_of(name, root.fd), name)
            for name in names
            if name in listed or is_hashed(name) or is_built(name)
        ]
        sizes: dict[bytes, int] = {}
        room = LARGEST
        for size, name in sorted(found):
            room -= size
            if room < 0:
                break
            sizes[name] = size
        left_out = len(found) - len(sizes)
        if left_out:
            kept = f"{len(sizes)} assets of this tree are kept, {left_out} larger ones are not"
            return sizes, f"{self.path} holds {size_text(LARGEST)} at most: {kept}"
        if names.is_cut:
            bounds = f"more than {MOST} names, or folders more than {DEEPEST} deep"
            return sizes, f"{self.path} holds only a part of this tree: it has {bounds}"
        return sizes, ""

    def _keep_all(self, root: Pinned, names: Collection[bytes], pause: Callable[[], None]) -> str:
        problem = ""
        for name in names:
            pause()
            try:
                self._keep(root, name, pause)
            except OSError as error:
                problem = f"{os.fsdecode(name)} cannot be kept in {self.path}: {error.strerror}"
                if error.errno in _FULL:
                    return f"{problem}, nor what is larger"
        return problem

    def _keep(self, root: Pinned, name: bytes, pause: Callable[[], None]) -> None:
        target = os.path.join(os.fsencode(self.path / _FILES), name)
        fd = root.open(name)
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode) or _is_there(target, info):
                return
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            new = os.fsencode(self.path / _NEW)
            _link_or_copy(fd, info, new, pause)
            os.replace(new, target)
        finally:
            os.close(fd)

    def _note(self, text: bytes, tree: Path) -> None:
        new = self.path / _NEW
        new.write_bytes(text)
        os.utime(new, ns=(time.time_ns(),) * 2)
        new.replace(tree)

    def _forget(self, sizes: dict[bytes, int], present: Path) -> None:
        """Trees beyond the number, or beyond the bytes that this one leaves; then what no tree names."""
        others = [tree for tree in (self.path / _TREES).iterdir() if tree != present]
        kept = set(sizes)
        room = LARGEST - sum(sizes.values())
        for place, tree in enumerate(sorted(others, key=_mtime, reverse=True), 1):
            more = _names_of(tree) - kept
            size = self._size(more)
            if place > self.trees or size > room:
                tree.unlink(missing_ok=True)
            else:
                kept |= more
                room -= size
        files = os.fsencode(self.path / _FILES)
        for name in list(FileTree(files, _hides_nothing, MOST * (self.trees + 2))):
            if name not in kept:
                os.unlink(os.path.join(files, name))
                _remove_empty(files, os.path.dirname(name))

    def _size(self, names: set[bytes]) -> int:
        return sum(_size_of(name, self._root) for name in names)

    @contextmanager
    def _alone(self, pause: Callable[[], None]) -> Iterator[None]:
        """Two processes, of an old and a new master, may want to at once."""
        fd = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            end = time.monotonic() + _PATIENCE
            while not _is_locked(fd):
                pause()
                if time.monotonic() > end:
                    raise OSError(errno.EBUSY, "another process is at it")
                time.sleep(0.1)  # in a thread of its own
            yield
        finally:
            os.close(fd)


def _hides_nothing(name: bytes) -> bool:
    return False


def _names_of(tree: Path) -> set[bytes]:
    try:
        return set(tree.read_bytes().split(b"\0"))
    except OSError:
        return set()


def _size_of(name: bytes, folder: int) -> int:
    try:
        return os.stat(name, dir_fd=folder).st_size
    except (OSError, ValueError):
        return 0


def _remove_empty(top: bytes, folder: bytes) -> None:
    """A folder below the top, and those above it that held nothing else."""
    while folder:
        try:
            os.rmdir(os.path.join(top, folder))
        except OSError:
            return
        folder = os.path.dirname(folder)


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_there(target: bytes, info: os.stat_result) -> bool:
    try:
        found = os.stat(target, follow_symlinks=False)
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (info.st_size, info.st_mtime_ns)


def _link_or_copy(fd: int, info: os.stat_result, new: bytes, pause: Callable[[], None]) -> None:
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
        # No more than there was: who writes on it for ever has no asset.
        while piece := os.pread(fd, min(_PIECE, info.st_size - offset), offset):
            copy.write(piece)
            pause()
            offset += len(piece)
    os.utime(new, ns=(info.st_mtime_ns,) * 2)


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
