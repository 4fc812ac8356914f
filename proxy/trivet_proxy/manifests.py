"""The names that a build says are hashed: Django's staticfiles.json and Vite's manifest, below a root.

What is missing says nothing; what is too large or no manifest is told to who asks. Knows no HTTP.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any, NamedTuple

from .beneath import open_beneath
from .hashed_names import may_be_hashed

_DJANGO, _VITE = b"staticfiles.json", b".vite/manifest.json"
# Of some 20 000 files; 10 ms of a thread's time that nobody else gets.
_LARGEST = 2 * 1024 * 1024
# Read where one stands: half a millisecond, at a start or after a deploy. Larger ones in a thread.
_AT_ONCE = 64 * 1024

State = tuple[tuple[int, int, int] | None, ...]


class Found(NamedTuple):
    """In the manifests of one moment."""

    names: frozenset[bytes] = frozenset()
    problem: str = ""


class Manifests:
    """Of one root; `look(root)` is cheap as long as neither file changes."""

    __slots__ = ("_found", "_reader", "_state")

    def __init__(self) -> None:
        self._found = Found()
        self._state: State = ()
        self._reader: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<Manifests {len(self.names)} names {self.problem}>"

    @property
    def names(self) -> frozenset[bytes]:
        return self._found.names

    @property
    def problem(self) -> str:
        return self._found.problem

    @property
    def is_read(self) -> bool:
        """Whether this is what the files said when they were looked at."""
        return self._reader is None or not self._reader.is_alive()

    def look(self, root: int) -> None:
        state = tuple(_state_of(root, name) for name in (_DJANGO, _VITE))
        if state == self._state or not self.is_read:  # one that changes while it is read is seen later
            return
        sizes = [found[1] for found in state if found]
        if sum(sizes) <= _AT_ONCE or max(sizes) > _LARGEST:  # what is too large is not read at all
            self._state = state
            self._found = _read(root)
        elif self._is_begun(os.dup(root)):
            self._state = state

    def _is_begun(self, root: int) -> bool:
        reader = threading.Thread(target=self._read_aside, args=(root,), name="manifest", daemon=True)
        try:
            reader.start()
        except RuntimeError:  # no thread can be had: the next look tries again
            os.close(root)
            return False
        self._reader = reader
        return True

    def _read_aside(self, root: int) -> None:
        try:
            self._found = _read(root)
        finally:
            os.close(root)


def _read(root: int) -> Found:
    names: set[bytes] = set()
    problem = ""
    for name, names_in in ((_DJANGO, _django_names), (_VITE, _vite_names)):
        try:
            text = _text_of(root, name)
            names |= names_in(json.loads(text)) if text else set()
        except OSError:
            continue
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            problem = f"{name.decode()} is no manifest: {error}"
    return Found(frozenset(names), problem)


def _state_of(root: int, name: bytes) -> tuple[int, int, int] | None:
    try:
        info = os.stat(name, dir_fd=root)
    except OSError:
        return None
    return info.st_ino, info.st_size, info.st_mtime_ns


def _text_of(root: int, name: bytes) -> bytes:
    fd = open_beneath(root, name)
    try:
        size = os.fstat(fd).st_size
        if size > _LARGEST:
            raise ValueError(f"{size} bytes are too many, {_LARGEST} is the most")
        return os.read(fd, size)
    finally:
        os.close(fd)


def _django_names(manifest: Any) -> set[bytes]:
    """{"paths": {"css/base.css": "css/base.27e20196a850.css"}}; a name that is its own has no hash."""
    paths = manifest.get("paths", {})
    return {os.fsencode(hashed) for plain, hashed in paths.items() if hashed != plain}


def _vite_names(manifest: Any) -> set[bytes]:
    """{"main.js": {"file": "assets/main-BRBmoGS9.js", "css": […], "assets": […]}}; without a hash, too."""
    found: set[bytes] = set()
    for source, chunk in manifest.items():
        names = [chunk.get("file"), *chunk.get("css", ()), *chunk.get("assets", ())]
        if str(names[0]).rpartition("/")[2] == source.rpartition("/")[2]:
            names.pop(0)  # named as it was written: there is no hash in it
        found.update(os.fsencode(name) for name in names if isinstance(name, str))
    return {name for name in found if may_be_hashed(name)}
