"""What a file lies on, as stat and statfs say it, without a question to a server."""

from __future__ import annotations

import os
import sys

import pytest

from trivet_proxy import file_systems
from trivet_proxy.file_systems import Kind

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux")


@pytest.fixture(params=["statx", "fstat"])
def fd(request, tmp_path, monkeypatch):
    if request.param == "fstat":
        monkeypatch.setattr(file_systems, "_statx", None)
    monkeypatch.setattr(file_systems, "_known", {})
    (tmp_path / "file").write_bytes(bytes(70_000))
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    yield fd
    os.close(fd)


def test_it_says_what_stat_says(fd):
    info = os.fstat(fd)
    assert file_systems.look(fd) == (info.st_mode, info.st_size, info.st_dev)
    with pytest.raises(OSError, match="Bad file"):
        file_systems.look(-7)


def test_memory_is_told_from_disks(fd):
    memory = os.memfd_create("test")
    try:
        device = file_systems.look(memory).device
        assert file_systems.known(device) is None
        assert file_systems.learn(memory) is Kind.MEMORY
        assert file_systems.known(device) is Kind.MEMORY
    finally:
        os.close(memory)
    with open("/proc/self/stat") as proc:
        assert file_systems.learn(proc.fileno()) is Kind.LOCAL


@pytest.mark.parametrize("number", [0x65735546, 0x6969, 0xFF534D42])
def test_what_asks_others_is_remote(fd, monkeypatch, number):
    def fstatfs(fd, buffer):
        buffer[:8] = number.to_bytes(8, sys.byteorder)
        return 0

    monkeypatch.setattr(file_systems, "_fstatfs", fstatfs)
    assert file_systems.learn(fd) is Kind.REMOTE


def test_their_number_is_bounded(fd, monkeypatch):
    file_systems._known.update(dict.fromkeys(range(1 << 50, (1 << 50) + 256), Kind.MEMORY))
    file_systems.learn(fd)
    assert len(file_systems._known) == 1
