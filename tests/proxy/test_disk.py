"""Reading without waiting for a disk: what is not in memory comes by way of a thread."""

from __future__ import annotations

import os
import threading

import pytest

from trivet_proxy import disk


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def readers(monkeypatch):
    """The threads that read."""
    names = []
    real = os.pread

    def pread(*arguments):
        names.append(threading.current_thread() is threading.main_thread())
        return real(*arguments)

    monkeypatch.setattr("trivet_proxy.disk.os.pread", pread)
    return names


async def test_what_is_in_memory_is_read_at_once(file, readers):
    assert await disk.read(file, 1000, 10) == (bytes(range(256)) * 5)[10:1010]
    assert await disk.read(file, 0, 0) == b""
    assert await disk.read(file, 10, 1 << 20) == b""
    await disk.warm(file, 0, disk.WINDOW)
    assert readers == []


async def test_the_end_of_the_file_ends_it(file):
    assert len(await disk.read(file, 1000, (1 << 20) - 600)) == 600


@pytest.mark.parametrize("there", [0, 100])
async def test_what_is_not_comes_from_a_thread(file, readers, monkeypatch, there):
    real = os.preadv

    def preadv(fd, buffers, offset, flags=0):
        """As the kernel answers where only the first bytes are in memory."""
        if offset >= there:
            raise BlockingIOError(11, "not now")
        return real(fd, [memoryview(buffers[0])[: there - offset]], offset)

    monkeypatch.setattr("trivet_proxy.disk.os.preadv", preadv)
    assert await disk.read(file, 1000, 0) == (bytes(range(256)) * 4)[:1000]
    assert readers
    readers.clear()
    await disk.warm(file, 0, 300_000)
    assert len(readers) == 3
    assert not any(readers), "a read waited for the disk in the loop"


async def test_a_file_system_that_cannot_tell(file, monkeypatch):
    real = os.preadv

    def preadv(fd, buffers, offset, flags=0):
        if flags:
            raise OSError(95, "Operation not supported")
        return real(fd, buffers, offset)

    monkeypatch.setattr("trivet_proxy.disk.os.preadv", preadv)
    assert await disk.read(file, 3, 1) == b"\1\2\3"
    await disk.warm(file, 0, 10)


async def test_a_disk_that_fails(file, monkeypatch):
    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("trivet_proxy.disk.os.preadv", fail)
    with pytest.raises(OSError, match="Input/output"):
        await disk.read(file, 3, 0)
    await disk.warm(file, 0, 10)  # sendfile will say it
