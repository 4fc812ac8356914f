"""The names that a build says are hashed: Django's staticfiles.json and Vite's manifest, below a root.

What is missing says nothing; what is too large or no manifest is told to who asks. Knows no HTTP.
"""

from __future__ import annotations

import json
import os
from typing import Any

from .beneath import open_beneath
from .hashed_names import may_be_hashed

_DJANGO, _VITE = b"staticfiles.json", b".vite/manifest.json"
_LARGEST = 16 * 1024 * 1024

State = tuple[tuple[int, int, int] | None, ...]


class Manifests:
    """Of one root; `look(root)` is cheap as long as neither file changes."""

    __slots__ = ("_state", "names", "problem")

    def __init__(self) -> None:
        self.names: frozenset[bytes] = frozenset()
        self.problem = ""
        self._state: State = ()

    def __repr__(self) -> str:
        return f"<Manifests {len(self.names)} names {self.problem}>"

    def look(self, root: int) -> None:
        state = tuple(_state_of(root, name) for name in (_DJANGO, _VITE))
        if state == self._state:
            return
        self._state = state
        self.problem = ""
        self.names = frozenset(
            self._read(root, _DJANGO, _django_names) | self._read(root, _VITE, _vite_names)
        )

    def _read(self, root: int, name: bytes, names_in: Any) -> set[bytes]:
        try:
            text = _text_of(root, name)
            return names_in(json.loads(text)) if text else set()
        except OSError:
            return set()
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            self.problem = f"{name.decode()} is no manifest: {error}"
            return set()


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
            raise ValueError(f"{size} bytes are too many")
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
    for chunk in manifest.values():
        names = [chunk.get("file"), *chunk.get("css", ()), *chunk.get("assets", ())]
        found.update(os.fsencode(name) for name in names if isinstance(name, str))
    return {name for name in found if may_be_hashed(name)}
