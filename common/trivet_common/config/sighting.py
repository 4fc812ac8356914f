"""Files of certificates and keys: what they hold, and what changes with them.

Asked of the disk; or, where a Sighting is in place, of what somebody saw there who may wait for a disk. Knows
nothing of what is in them.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

# No certificate that anybody serves is this large; a wrong path may lead to anything.
_MOST = 1024 * 1024


class Unreadable(Exception):
    """The text is a sentence that names the file."""


class Sighting:
    """These files, as they lay there at one moment. While it is in place, nothing here touches the disk."""

    __slots__ = ("_contents", "_stamps")

    def __init__(self, paths: Iterable[Path]) -> None:
        self._stamps = {path: _stamp(path) for path in paths}
        self._contents: dict[Path, bytes | Unreadable] = {}

    def __repr__(self) -> str:
        return f"<Sighting {len(self._stamps)} files, {len(self._contents)} read>"

    def read(self) -> "Sighting":
        """Their contents too; after the stamps, so that no change falls between."""
        self._contents = {path: _tried(path) for path in self._stamps}
        return self

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """For this thread."""
        token = _in_place.set(self)
        try:
            yield
        finally:
            _in_place.reset(token)

    def stamp(self, path: Path) -> object:
        return self._stamps.get(path)

    def content(self, path: Path) -> bytes:
        found = self._contents.get(path)
        if isinstance(found, bytes):
            return found
        raise found or Unreadable(f"{path} was not read")


_in_place: ContextVar[Sighting | None] = ContextVar("sighting", default=None)


def fingerprint(*paths: Path | None) -> tuple[object, ...]:
    """Changes when any of the files does."""
    sighting = _in_place.get()
    look = _stamp if sighting is None else sighting.stamp
    return tuple(look(path) for path in paths if path is not None)


def content(path: Path) -> bytes:
    """Raises Unreadable."""
    sighting = _in_place.get()
    return _content(path) if sighting is None else sighting.content(path)


def _stamp(path: Path) -> object:
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _tried(path: Path) -> bytes | Unreadable:
    try:
        return _content(path)
    except Unreadable as error:
        return error


def _content(path: Path) -> bytes:
    try:
        # Opening a FIFO waits for its writer, and some devices for worse, unless we say that we do not.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Unreadable(f"{path} is not a file")
            found = file.read(_MOST + 1)
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    if len(found) > _MOST:
        raise Unreadable(f"{path} is too large for a certificate or key")
    return found
