"""Targets that are full, closed, slow, somebody else's or not there; and lines that stay whole."""

import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet_common.log_target import LogError, LogTarget


@pytest.fixture
def stdout() -> Iterator[list[int]]:
    """Put a descriptor of the test's own in the place of descriptor 1; put the old one back at the end."""
    old = os.dup(1)
    opened: list[int] = []
    yield opened
    os.dup2(old, 1)
    os.close(old)
    for fd in opened:
        os.close(fd)


def test_lines_are_kept_until_flushed_and_appended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    target = LogTarget(path)
    assert target.add(b"one\n") is False
    assert path.read_bytes() == b"before\n"
    target.flush()
    target.add(b"two\n")
    target.close()
    target.close()
    assert path.read_bytes() == b"before\none\ntwo\n"
    LogTarget(tmp_path / "new").close()
    assert (tmp_path / "new").stat().st_mode & 0o137 == 0


def test_it_says_when_a_flush_is_worth_it(tmp_path: Path) -> None:
    target = LogTarget(tmp_path / "log")
    assert not target.add(b"x" * 65535)
    assert target.add(b"\n")
    target.close()


def test_off_takes_everything_and_keeps_nothing() -> None:
    target = LogTarget(None)
    target.add(b"x\n")
    target.flush()
    target.reopen()
    target.close()
    assert "waiting=0" in repr(target)


def test_a_full_disk_is_bounded_counted_and_not_tried_with_each_line() -> None:
    target = LogTarget(Path("/dev/full"))
    worth = 0
    for _ in range(3000):
        worth += target.add(b"x" * 1023 + b"\n")
        if worth == 1:
            target.flush()
    assert worth == 1
    assert target.lost > 1000
    assert len(b"".join(target._waiting)) <= 1024 * 1024 + 1024
    target.flush()
    target.close()


def test_a_line_that_was_cut_is_taken_back_for_who_writes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "log", os.write
    room = [7, 0]

    def little(fd: int, data: bytes) -> int:
        if not room:
            return write(fd, data)
        if not (most := room.pop(0)):
            raise OSError(errno.ENOSPC, "full")
        return write(fd, data[:most])

    first, second = LogTarget(path), LogTarget(path)
    monkeypatch.setattr(os, "write", little)
    first.add(b"one\n")
    first.add(b"three\n")
    first.flush()
    assert path.read_bytes() == b"one\n"
    second.add(b"two\n")
    second.flush()
    first.flush()
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    first.close()
    second.close()


def test_a_pipe_nobody_reads_is_not_waited_for_and_gets_whole_lines(stdout: list[int]) -> None:
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.close(writing)
    stdout.append(reading)
    target = LogTarget("stdout")
    lines = [b"%05d " % i + b"x" * (i % 900) + b"\n" for i in range(1000)]
    for line in lines:
        if target.add(line):
            target.flush()
    target.flush()
    received = bytearray(os.read(reading, 1 << 20))
    assert received.endswith(b"\n")  # what another process writes now mixes with nothing
    while len(received) < sum(map(len, lines)):
        target.flush()
        received += os.read(reading, 1 << 20)
    assert bytes(received) == b"".join(lines)
    assert target.lost == 0


def test_processes_that_share_a_pipe_do_not_mix_lines(stdout: list[int]) -> None:
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.close(writing)
    stdout.append(reading)

    def write(name: bytes) -> None:
        target = LogTarget("stdout")
        for _ in range(300):
            target.add(name * 701 + b"\n")
        for _ in range(100_000):
            target.flush()
            if not target._waiting:
                return

    writers = [threading.Thread(target=write, args=(name,)) for name in (b"a", b"b", b"c")]
    for writer in writers:
        writer.start()
    received = bytearray()
    while received.count(b"\n") < 900:
        received += os.read(reading, 65536)
    for writer in writers:
        writer.join(5)
    assert {len(line) for line in received.splitlines()} == {701}
    assert all(len(set(line)) == 1 for line in received.splitlines())


def test_a_reader_that_left_ends_nothing(stdout: list[int]) -> None:
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.close(writing)
    os.close(reading)
    target = LogTarget("stdout")
    target.add(b"x\n")
    target.flush()
    assert "waiting=2" in repr(target)


def test_a_journal_that_does_not_read_is_not_waited_for(stdout: list[int]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.dup2(theirs.fileno(), 1)
        target = LogTarget("stdout")
        for _ in range(600):
            target.add(b"x" * 1000 + b"\n")
        target.flush()
        assert "waiting=0" not in repr(target)
        assert os.get_blocking(1)  # others write there too
        assert ours.recv(1 << 20).startswith(b"x" * 1000 + b"\n")


def test_a_closed_stdout_is_none(stdout: list[int]) -> None:
    os.close(1)
    target = LogTarget("stdout")
    target.add(b"x\n")
    target.flush()
    assert "waiting=0" in repr(target)


def test_reopening_after_the_file_was_moved(tmp_path: Path) -> None:
    path = tmp_path / "log"
    target = LogTarget(path)
    target.add(b"old\n")
    path.rename(tmp_path / "log.1")
    target.reopen()
    target.add(b"new\n")
    target.flush()
    assert ((tmp_path / "log.1").read_bytes(), path.read_bytes()) == (b"old\n", b"new\n")
    path.rename(tmp_path / "log.2")
    path.mkdir()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LogError, match="Is a directory"):
        target.reopen()
    target.add(b"newer\n")
    target.close()
    assert (tmp_path / "log.2").read_bytes() == b"new\nnewer\n"
    assert len(os.listdir("/proc/self/fd")) == before - 1


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(LogError, match="a pipe without a reader"):
        LogTarget(tmp_path / "fifo")
    with pytest.raises(LogError, match="Is a directory"):
        LogTarget(tmp_path)
    with pytest.raises(LogError, match="No such file"):
        LogTarget(tmp_path / "missing" / "log")


def test_a_link_counts_only_where_nobody_else_could_have_put_it(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"")
    (tmp_path / "log").symlink_to(tmp_path / "precious")
    LogTarget(tmp_path / "log").close()
    tmp_path.chmod(0o1777)
    with pytest.raises(LogError, match="a link, in a folder anyone may write to"):
        LogTarget(tmp_path / "log")
    LogTarget(tmp_path / "precious").close()
    tmp_path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is asked to write in the folders of others")
def test_root_follows_no_link_in_a_folder_of_another_user(tmp_path: Path) -> None:
    """Whoever owns the application's folder of logs could choose what root appends to (CVE-2016-1247)."""
    folder, precious = tmp_path / "logs", tmp_path / "precious"
    folder.mkdir()
    precious.write_bytes(b"")
    os.chown(folder, 65534, 65534)
    (folder / "link").symlink_to(precious)
    with pytest.raises(LogError, match=r"\(a link, in a folder that is not root's\)"):
        LogTarget(folder / "link")
    os.link(precious, folder / "hard")
    with pytest.raises(LogError, match="another user's, in a folder that is not root's"):
        LogTarget(folder / "hard")
    # What is of that user, or new, is a log as ever.
    (folder / "theirs").write_bytes(b"")
    os.chown(folder / "theirs", 65534, 65534)
    for name in ("theirs", "new"):
        LogTarget(folder / name).close()
    assert precious.read_bytes() == b""


def test_a_forked_child_does_not_write_what_waits_in_its_parent(tmp_path: Path) -> None:
    target = LogTarget(tmp_path / "log")
    target.add(b"once\n")
    pid = os.fork()
    if pid == 0:
        target.forget_waiting()
        target.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    target.close()
    assert (tmp_path / "log").read_bytes() == b"once\n"


def test_a_file_that_somebody_else_opened_again_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "log"
    target = LogTarget(path)
    os.rename(path, tmp_path / "old")
    target.add(b"one\n")
    target.take(os.open(tmp_path / "given", os.O_WRONLY | os.O_CREAT | os.O_APPEND), str(path))
    target.add(b"two\n")
    target.flush()
    assert (tmp_path / "old").read_bytes() == b"one\n"
    assert (tmp_path / "given").read_bytes() == b"two\n"
    # Another one's file: ours is opened by its name.
    stranger = os.open(tmp_path / "strange", os.O_WRONLY | os.O_CREAT)
    target.take(stranger, str(tmp_path / "strange"))
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(stranger) if stranger != target.fileno() else os.fstat(-1)
    target.add(b"three\n")
    target.close()
    assert path.read_bytes() == b"three\n"
    assert (LogTarget("stderr").path, LogTarget(None).fileno()) == ("", -1)
