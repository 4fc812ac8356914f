"""Files that are too large for the shelf, open for a second: who asks for one again need not open it anew.

Bounded in number. A file is closed when its second is over and nobody reads from it any more. Knows no name.
"""

from __future__ import annotations

import math

from . import disk, file_systems
from .deadlines import Deadlines
from .file_systems import Kind

# As long as the shelf believes what it knows: a file that was replaced is seen within it, and the space of
# one that was removed comes back.
_SECONDS = 1.0
_MOST = 64  # of a site in this process


class OpenFile:
    """Who opened it is its first user. `warmed`: when all of it was in memory (time.monotonic)."""

    __slots__ = ("_device", "_users", "fd", "warmed")

    def __init__(self, fd: int, device: int) -> None:
        self.fd = fd
        self.warmed = -math.inf
        self._device = device
        self._users = 1

    def __repr__(self) -> str:
        return f"<OpenFile {self.fd} users={self._users}>"

    @property
    def is_remote(self) -> bool:
        """What became of it meanwhile only another machine or process knows."""
        return file_systems.known(self._device) is Kind.REMOTE

    def begin(self) -> OpenFile:
        self._users += 1
        return self

    def end(self) -> None:
        self._users -= 1
        if not self._users:
            disk.close(self.fd, self._device)


class OpenFiles:
    """`find` what was kept under a key; each that was found is ended by its finder."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[object, OpenFile] = {}

    def __repr__(self) -> str:
        return f"<OpenFiles {len(self._kept)}>"

    def find(self, key: object) -> OpenFile | None:
        file = self._kept.get(key)
        return file.begin() if file is not None else None

    def keep(self, key: object, file: OpenFile, deadlines: Deadlines) -> None:
        """For a second, if there is room."""
        if len(self._kept) < _MOST and key not in self._kept and not file.is_remote:
            self._kept[key] = file.begin()
            deadlines.start(_SECONDS, _Second(self._kept, key), "stale")


class _Second:
    """Of one file; the deadline's target."""

    __slots__ = ("_kept", "_key")

    def __init__(self, kept: dict[object, OpenFile], key: object) -> None:
        self._kept = kept
        self._key = key

    def expire(self, why: str) -> None:
        self._kept.pop(self._key).end()
