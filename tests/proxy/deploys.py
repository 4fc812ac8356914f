"""Releases of a site's assets, and what is kept of them."""

from __future__ import annotations

import os

from trivet_proxy.folder import Folder
from trivet_proxy.kept_assets import KeptAssets


class Deploys:
    """A link `current` that leads to one release after the other."""

    def __init__(self, path) -> None:
        self.path = path
        self.current = path / "current"
        self.kept = KeptAssets(path / "state" / "assets" / "static", 2)

    def release(self, number: int, *names: str) -> None:
        root = self.path / f"r{number}"
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(name.encode())
        self.switch(number)

    def switch(self, number: int) -> None:
        new = self.path / "new"
        new.symlink_to(f"r{number}")
        new.rename(self.current)

    def take(self) -> str:
        folder = Folder(self.current)
        root = folder.pin()
        try:
            return self.kept.take(root, folder.hashed_names)
        finally:
            root.close()

    def read(self, name: str) -> bytes | None:
        try:
            fd = opened(self.kept, name.encode())
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            return file.read()

    def files(self) -> set[str]:
        top = self.kept.path / "files"
        return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}


def opened(kept: KeptAssets, name: bytes) -> int:
    pinned = kept.pin()
    try:
        return pinned.open(name)
    finally:
        pinned.close()
