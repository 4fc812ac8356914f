"""Reading without waiting for a disk: what is not in memory comes by way of a thread."""

from __future__ import annotations

import errno
import os
import threading
import time

import pytest
import trio
import trio.testing

from trivet_proxy import disk, file_systems
from trivet_proxy.delivery import unreadable
from trivet_proxy.file_systems import Kind, Standing


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


@pytest.fixture
def cannot_tell(monkeypatch):
    real = os.preadv

    def preadv(fd, buffers, offset, flags=0):
        if flags:
            raise OSError(95, "Operation not supported")
        return real(fd, buffers, offset)

    monkeypatch.setattr("trivet_proxy.disk.os.preadv", preadv)
    monkeypatch.setattr(file_systems, "_known", {})


async def test_a_file_system_that_cannot_tell_is_read_in_a_thread(file, readers, cannot_tell):
    for _ in range(2):
        assert await disk.read(file, 3, 1) == b"\1\2\3"
    assert readers == [False, False]
    assert not await disk.warm(file, 0, 10)


async def test_memory_is_read_at_once_when_that_is_known(readers, cannot_tell):
    fd = os.memfd_create("test")
    try:
        os.write(fd, b"0123")
        assert await disk.read(fd, 3, 1) == b"123"
        assert readers == [False]
        assert await disk.read(fd, 2, 2) == b"23"
        assert await disk.warm(fd, 0, 4)
        assert readers == [False]
    finally:
        os.close(fd)


async def test_a_disk_that_is_well_may_have_too_many_waiting(monkeypatch):
    monkeypatch.setattr(disk, "_AT_ONCE", 1)
    monkeypatch.setattr(disk, "_MOST_WAITING", 1)
    lane, goes_on, undone = disk.Lane(), threading.Event(), []
    try:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(lane.run, lambda: goes_on.wait(10), lambda: None)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(disk.Crowded):
                await lane.run(lambda: None, lambda: undone.append(1))
            assert undone == [1]
            monkeypatch.setattr(disk, "_FRESH", 0.0)  # nothing came of it for a while
            with pytest.raises(TimeoutError) as caught:
                await lane.run(lambda: None, lambda: None)
            assert not isinstance(caught.value, disk.Crowded)
            goes_on.set()
    finally:
        goes_on.set()
    assert unreadable(disk.Crowded(11, "too many")).why == "overloaded"
    assert unreadable(TimeoutError(110, "hangs")).why == "disk_slow"


async def test_a_disk_that_does_not_answer_is_not_waited_for(file, monkeypatch, cannot_tell):
    """Each has threads of its own, and reads a descriptor of its own: ours may be another file by then."""
    monkeypatch.setattr(disk, "_PATIENCE", 0.1)
    monkeypatch.setattr(disk, "_AT_ONCE", 2)
    monkeypatch.setattr(disk, "_MOST_WAITING", 1)
    hangs, read, seen = threading.Event(), os.pread, []

    def pread(fd, count, offset):
        seen.append(fd)
        assert hangs.wait(10)
        return read(fd, count, offset)

    monkeypatch.setattr("trivet_proxy.disk.os.pread", pread)
    lane = disk.Lane()
    late = []

    async def ask():
        with pytest.raises(TimeoutError):
            await disk.read(file, 3, 0, lane)
        late.append(trio.current_time())

    try:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(ask)
            assert late[0] < late[-1] - 0.05, "there is a bound to how many wait"
            with pytest.raises(TimeoutError):
                await disk.warm(file, 0, 10, lane) or await disk.read(file, 1, 0, lane)
        assert len(seen) == 2
        assert file not in seen
        for fd in seen:
            os.fstat(fd)  # for as long as a thread may use them
    finally:
        hangs.set()
    deadline = time.monotonic() + 5
    for fd in seen:
        while True:
            try:
                os.fstat(fd)
            except OSError:
                break
            assert time.monotonic() < deadline, "left open"
            await trio.sleep(0.01)
    assert await disk.read(file, 3, 1, lane) == b"\1\2\3"


async def test_one_disk_that_hangs_holds_up_no_other(file, monkeypatch):
    monkeypatch.setattr(file_systems, "look", lambda fd: Standing(0, 0, fd))
    assert disk.lane_of(file) is disk.lane_of(file) is not disk.lane_of(999)
    for number in range(1000, 1100):
        disk.lane_of(number)
    assert disk.lane_of(2000) is disk.lane_of(file), "their number is bounded"


async def test_a_disk_that_fails(file, monkeypatch):
    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("trivet_proxy.disk.os.preadv", fail)
    with pytest.raises(OSError, match="Input/output"):
        await disk.read(file, 3, 0)
    await disk.warm(file, 0, 10)  # sendfile will say it


@pytest.mark.parametrize("when", ["before", "meanwhile", "never"])
async def test_a_result_nobody_waits_for_is_undone(when, monkeypatch):
    monkeypatch.setattr(disk, "_AT_ONCE", 1)
    lane, began, end, said = disk.Lane(), threading.Event(), threading.Event(), []

    def work():
        began.set()
        assert when == "never" or end.wait(5)
        return "result"

    async def ask():
        try:
            return await lane.run(work, lambda: said.append("after"), said.append)
        finally:
            end.set()

    if when == "never":
        assert await ask() == "result"
        assert said == ["after"]
        return
    async with trio.open_nursery() as nursery:
        if when == "before":
            hold = threading.Event()
            nursery.start_soon(lane.run, lambda: hold.wait(5), lambda: None)
            await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_when, scope, began if when == "meanwhile" else None)
            await ask()
        if when == "before":
            assert said == ["after"], "nothing was begun with"
            hold.set()
    with trio.fail_after(5):
        while said != (["after"] if when == "before" else ["after", "result"]):
            await trio.sleep(0.01)


async def cancel_when(scope, event):
    while event is not None and not event.is_set():
        await trio.sleep(0.001)
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


@pytest.mark.parametrize("kind", [Kind.REMOTE, Kind.LOCAL])
async def test_who_closes(monkeypatch, kind):
    closed = []
    monkeypatch.setattr(file_systems, "known", lambda device: kind)
    monkeypatch.setattr(disk._closer, "_start", closed.append)
    fd = os.open("/dev/null", os.O_RDONLY)
    disk.close(fd, 1)
    assert len(closed) == (kind is Kind.REMOTE)
    for work in closed:
        work()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


async def test_nothing_is_believed_of_a_file_that_others_handed_over(readers, cannot_tell):
    """The number of a tmpfs that is unmounted may be that of a FUSE a moment later."""
    fd, lane = os.memfd_create("test"), disk.Lane()
    try:
        os.write(fd, b"0123")
        assert await disk.read(fd, 3, 1, lane) == b"123"
        assert file_systems._known == {}
        file_systems.learn(fd)
        readers.clear()
        assert await disk.read(fd, 3, 1, lane) == b"123"
        assert not await disk.warm(fd, 0, 4, lane)
        assert readers == [False]
    finally:
        os.close(fd)


async def test_no_thread_is_an_error_of_the_system(file, monkeypatch, cannot_tell):
    """And not one of ours, with a traceback a request; the work's own errors stay what they are."""

    async def fail(*arguments, **keys):
        raise RuntimeError("can't start new thread")

    def broken():
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await disk.Lane().run(broken, lambda: None)
    monkeypatch.setattr(trio.to_thread, "run_sync", fail)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="start new thread") as caught:
        await disk.read(file, 3, 0)
    assert caught.value.errno == errno.ENOMEM
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("kind", [Kind.REMOTE, Kind.LOCAL])
async def test_who_looks(file, monkeypatch, kind):
    """A user-space file system may be asked for a file's state, and not answer."""
    where, real = [], os.fstat

    def fstat(fd):
        where.append(threading.current_thread() is threading.main_thread())
        return real(fd)

    monkeypatch.setattr(file_systems, "known", lambda device: kind)
    monkeypatch.setattr("trivet_proxy.disk.os.fstat", fstat)
    info = await disk.stat(file, 1)
    assert where == [kind is Kind.LOCAL]
    assert info.st_ino == real(file).st_ino
