"""What the command's tests share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short name, whatever TMPDIR and the user are called: a socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tv-", dir="/tmp") as folder:
        yield Path(folder).resolve()
