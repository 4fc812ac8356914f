import errno
import gc
import os
from pathlib import Path

import pytest

from tests.proxy.fakes_core import new_spool
from trivet_common.http1.errors import HttpError
from trivet_proxy.front_board import FrontRow
from trivet_proxy.spool import Spool


def descriptors() -> int:
    gc.collect()  # what other tests left in cycles is not ours
    return len(os.listdir("/proc/self/fd"))


def test_small_bodies_stay_in_memory(tmp_path: Path) -> None:
    spool = new_spool(tmp_path, memory=10)
    buffer = spool.new()
    assert buffer.in_memory == b""
    buffer.write(b"hello")
    buffer.write(memoryview(b"world"))
    assert buffer.in_memory == b"helloworld"
    assert buffer.fileno is None
    assert buffer.size == 10
    assert buffer.read_from(3, 4) == b"lowo"
    assert buffer.read_from(10, 4) == b""
    assert spool.used == 0


def test_one_byte_more_is_a_file_without_a_name(tmp_path: Path) -> None:
    spool = new_spool(tmp_path, memory=10)
    before = descriptors()
    buffer = spool.new()
    buffer.write(b"helloworld")
    buffer.write(b"!")
    assert buffer.in_memory is None
    assert buffer.fileno is not None
    assert os.fstat(buffer.fileno).st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []
    assert buffer.read_from(0, 100) == b"helloworld!"
    assert buffer.read_from(11, 100) == b""
    assert (spool.used, spool.files) == (11, 1)
    buffer.close()
    buffer.close()
    assert (spool.used, spool.files) == (0, 0)
    assert descriptors() == before


def test_cleared_it_begins_in_memory_again(tmp_path: Path) -> None:
    spool = new_spool(tmp_path, memory=4)
    buffer = spool.new()
    buffer.write(b"123456")
    buffer.clear()
    buffer.write(b"ab")
    assert buffer.in_memory == b"ab"
    assert spool.used == 0


def test_one_byte_pieces_cost_no_more_than_their_bytes(tmp_path: Path) -> None:
    buffer = new_spool(tmp_path).new()
    for _ in range(60_000):
        buffer.write(b"x")
    assert buffer.in_memory == b"x" * 60_000


def test_the_quota_is_shared_by_all_buffers_and_given_back(tmp_path: Path) -> None:
    spool = new_spool(tmp_path, memory=0, limit=100)
    first, second = spool.new(), spool.new()
    first.write(b"x" * 60)
    second.write(b"y" * 40)
    with pytest.raises(HttpError) as full:
        second.write(b"z")
    assert (full.value.status, full.value.why) == (507, "spool_full")
    assert second.read_from(0, 100) == b"y" * 40
    assert spool.used == 100
    first.close()
    second.write(b"z")
    assert second.size == 41
    third = spool.new()
    with pytest.raises(HttpError):
        third.write(b"w" * 60)
    assert third.size == 0
    assert spool.files == 1
    second.close()
    assert spool.used == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_full_disk_costs_the_one_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    spool = new_spool(tmp_path, memory=0)
    buffer = spool.new()
    buffer.write(b"before")
    before = descriptors()

    def refuse(*args: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("trivet_proxy.spool.os.pwrite", refuse)
        with pytest.raises(HttpError) as full:
            buffer.write(b"more")
        assert full.value.why == "spool_full"
        assert os.strerror(number) in full.value.detail
        with pytest.raises(HttpError):
            spool.new().write(b"another")
    assert descriptors() == before
    assert (spool.used, spool.files) == (6, 1)
    buffer.write(b" after")
    assert buffer.read_from(0, 100) == b"before after"
    buffer.close()


def test_where_there_is_no_unnamed_file_a_named_one_is_removed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def without_tmpfile(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return real(path, flags, mode, **more)

    monkeypatch.setattr("trivet_proxy.spool.os.open", without_tmpfile)
    buffer = new_spool(tmp_path, memory=0).new()
    buffer.write(b"kept")
    assert buffer.fileno is not None
    assert os.fstat(buffer.fileno).st_mode & 0o777 == 0o600
    assert os.fstat(buffer.fileno).st_nlink == 0
    assert list(tmp_path.iterdir()) == []
    assert buffer.read_from(0, 9) == b"kept"
    buffer.close()


def test_a_named_one_that_cannot_be_removed_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def unlink(path: str) -> None:
        raise OSError(errno.EIO, "broken")

    def without_tmpfile(path: str, flags: int, mode: int = 0o777, **rest: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no O_TMPFILE")
        return real(path, flags, mode, **rest)

    monkeypatch.setattr(os, "open", without_tmpfile)
    monkeypatch.setattr(os, "unlink", unlink)
    spool, before = new_spool(tmp_path, memory=10), descriptors()
    with pytest.raises(HttpError, match="broken"):
        spool.new().write(b"more than ten")
    assert descriptors() == before
    assert (spool.used, spool.files) == (0, 0)


def test_an_error_of_close_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.close

    def close(fd: int) -> None:
        real(fd)
        raise OSError(errno.EIO, "written back too late")

    spool, before = new_spool(tmp_path, memory=10), descriptors()
    buffer = spool.new()
    buffer.write(b"more than ten")
    with monkeypatch.context() as patched:
        patched.setattr(os, "close", close)
        buffer.close()
    assert descriptors() == before
    assert (spool.used, spool.files) == (0, 0)


def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    spool = new_spool(tmp_path / "missing", memory=0)
    with pytest.raises(HttpError, match="missing"):
        spool.new().write(b"x")
    assert (spool.used, spool.files) == (0, 0)


def test_the_limit_holds_over_processes_that_share_an_account(tmp_path: Path) -> None:
    rows = [FrontRow(tmp_path / "front.board", index) for index in range(2)]
    one, other = (Spool(tmp_path, 0, 1000, row) for row in rows)
    first, second = one.new(), other.new()
    first.write(b"x" * 600)
    second.write(b"y" * 400)
    with pytest.raises(HttpError) as caught:
        second.write(b"z")
    assert caught.value.why == "spool_full"
    first.close()
    second.write(b"z" * 600)
    second.close()
    assert rows[0].spooled() == 0
