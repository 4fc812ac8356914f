"""The names of all files below a folder, one folder after the other: no link is followed, nothing recurses.

Bounded in number and depth; says afterwards whether it saw everything. Opens no file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

MOST = 100_000  # names, folders among them: what has more is no build
DEEPEST = 64  # folders within each other
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT})


class FileTree:
    """Of one look. Names are relative to `top`; what `is_hidden` is left out, folders with all in them."""

    __slots__ = ("_is_hidden", "_left", "_top", "is_cut")

    def __init__(self, top: bytes, is_hidden: Callable[[bytes], bool], most: int = MOST) -> None:
        self._top = top
        self._is_hidden = is_hidden
        self._left = most
        self.is_cut = False  # there is more than was said

    def __repr__(self) -> str:
        return f"<FileTree {os.fsdecode(self._top)}{' cut' if self.is_cut else ''}>"

    def __iter__(self) -> Iterator[bytes]:
        waiting = [(b"", 0)]
        while waiting:
            folder, depth = waiting.pop()
            folders, files = self._read(folder)
            if folders and depth >= DEEPEST:
                self.is_cut = True
            else:
                waiting += [(name, depth + 1) for name in sorted(folders, reverse=True)]
            yield from sorted(files)

    def _read(self, folder: bytes) -> tuple[list[bytes], list[bytes]]:
        """Folders and everything else; nothing of what cannot be read. Raises OSError for trouble of ours."""
        folders: list[bytes] = []
        files: list[bytes] = []
        try:
            with os.scandir(os.path.join(self._top, folder)) as found:
                for entry in found:
                    self._left -= 1
                    if self._left < 0:
                        self.is_cut = True
                        break
                    if not self._is_hidden(entry.name):
                        into = folders if entry.is_dir(follow_symlinks=False) else files
                        into.append(os.path.join(folder, entry.name))
        except OSError as error:
            if error.errno in _OURS:
                raise  # an empty tree would be believed
            # else it is gone since, or not for us to read
        return folders, files
