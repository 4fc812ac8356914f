import os
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from trivet_proxy import file_systems, open_files
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.file_systems import Kind
from trivet_proxy.open_files import OpenFile, OpenFiles


def opened(path: Path) -> OpenFile:
    path.write_bytes(b"x")
    fd = os.open(path, os.O_RDONLY)
    return OpenFile(fd, os.fstat(fd).st_dev)


def is_open(file: OpenFile) -> bool:
    try:
        os.fstat(file.fd)
    except OSError:
        return False
    return True


async def test_it_is_open_for_a_second_and_for_whoever_reads(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    files, deadlines = OpenFiles(), Deadlines()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deadlines.run)
        file = opened(tmp_path / "a")
        files.keep("a", file, deadlines)
        file.end()
        assert is_open(file)
        reader = files.find("a")
        assert reader is file
        assert files.find("b") is None
        await trio.sleep(1.5)
        assert files.find("a") is None
        assert is_open(file)  # for who reads on
        reader.end()
        assert not is_open(file)
        nursery.cancel_scope.cancel()


async def test_only_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "_MOST", 1)
    files, deadlines = OpenFiles(), Deadlines()
    first, second, again = (opened(tmp_path / name) for name in "abc")
    for key, file in (("a", first), ("b", second), ("a", again)):
        files.keep(key, file, deadlines)
        file.end()
    assert [is_open(file) for file in (first, second, again)] == [True, False, False]
    os.close(first.fd)


async def test_a_file_of_another_machine_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = opened(tmp_path / "a")
    monkeypatch.setattr(file_systems, "_known", {os.fstat(file.fd).st_dev: Kind.REMOTE})
    files = OpenFiles()
    files.keep("a", file, Deadlines())
    assert files.find("a") is None
    os.close(file.fd)
