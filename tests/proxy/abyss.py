"""Folders within folders, deeper than the interpreter may recurse. Taken apart then: rmtree recurses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def abyss(top: Path, depth: int = 1500) -> Iterator[None]:
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    try:
        yield
    finally:
        for _ in range(depth - 1):
            (top / "d" / "d").rename(top / "up")
            (top / "d").rmdir()
            (top / "up").rename(top / "d")
        (top / "d").rmdir()
