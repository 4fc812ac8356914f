"""One booted machine for all tests of systemd. It is stopped, and its tree removed, whatever happens."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployed.machine import Machine
from tests.deployed.tools import BASE, BOOTS, install_trivet, make_tree, need


@pytest.fixture(scope="session")
def workplace() -> Iterator[Path]:
    """Not pytest's own folder, which keeps what three runs left."""
    folder = Path(tempfile.mkdtemp(prefix="trivet-deployed-", dir="/var/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def machine(workplace: Path) -> Iterator[Machine]:
    need("systemd-nspawn", "nsenter", "systemctl", "systemd-analyze")
    make_tree(workplace / "machine", BASE + BOOTS)
    install_trivet(workplace / "machine", "Django>=5.1", "Flask>=3.0")
    booted = Machine(workplace / "machine")
    try:
        booted.start()
        yield booted
    finally:
        booted.stop()
