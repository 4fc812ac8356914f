"""The run directory: names, rights, numbers that are never used again, one holder, nothing left behind."""

import errno
import fcntl
import mmap
import multiprocessing
import os
import socket
from pathlib import Path

import pytest

from trivet_common.pool.places import PlaceError, PoolPlaces, RunDir, make_directory


def test_names() -> None:
    places = RunDir(Path("/run/shop")).pool("web")
    assert places.board(3) == Path("/run/shop/web/w3.board")
    assert places.slot_socket(3, 1) == Path("/run/shop/web/w3.1.sock")


def test_rights(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "deep" / "run")
    run.create()
    places = run.pool("web")
    places.create()
    places.create()  # adopted, not made again
    assert {path.stat().st_mode & 0o7777 for path in (run.path, places.directory)} == {0o700}
    assert places.idle_fifo.stat().st_mode & 0o777 == 0o600


def test_rights_for_a_group(tmp_path: Path) -> None:
    places = PoolPlaces(tmp_path / "web", os.getgid())
    places.create()
    assert places.directory.stat().st_mode & 0o7777 == 0o750
    assert places.idle_fifo.stat().st_mode & 0o777 == 0o660
    PoolPlaces(tmp_path / "web").create()  # the group was taken out of the file
    assert places.directory.stat().st_mode & 0o7777 & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file to another group")
def test_rights_for_a_group_that_is_not_ours(tmp_path: Path) -> None:
    places = PoolPlaces(tmp_path / "web", os.getgid() + 1)
    places.create()
    assert places.directory.stat().st_mode & 0o7777 == 0o2750


def test_a_directory_others_could_have_prepared_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path)
    for mode in (0o777, 0o1777, 0o770):
        (tmp_path / f"{mode:o}").mkdir()
        (tmp_path / f"{mode:o}").chmod(mode)
        with pytest.raises(PlaceError, match="others may write there"):
            make_directory(tmp_path / f"{mode:o}")
    with pytest.raises(PlaceError, match="not a directory"):
        make_directory(tmp_path / "link")
    with pytest.raises(PlaceError):
        make_directory(tmp_path / "file")
    with pytest.raises(PlaceError):
        make_directory(tmp_path / "file" / "below")


def test_another_users_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    tmp_path.chmod(0o755)
    with pytest.raises(PlaceError, match=f"belongs to uid {os.getuid()}, we are uid 4242"):
        make_directory(tmp_path)


def test_what_is_no_fifo_is_not_used(tmp_path: Path) -> None:
    places = PoolPlaces(tmp_path / "web")
    places.directory.mkdir(mode=0o700)
    places.idle_fifo.write_bytes(b"")
    with pytest.raises(PlaceError, match="is no FIFO"):
        places.create()


def test_a_path_too_long_for_sockets_is_told_before_anything_is_made(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90)
    with pytest.raises(PlaceError, match="set a shorter run_dir"):
        PoolPlaces(deep)
    with pytest.raises(PlaceError, match="set a shorter run_dir"):
        RunDir(deep).create()
    assert not deep.exists()


def test_incarnations_are_never_used_again(tmp_path: Path) -> None:
    places = PoolPlaces(tmp_path / "web")
    places.create()
    assert [places.next_incarnation() for _ in range(3)] == [1, 2, 3]
    places.board(9).write_bytes(b"")  # of a run whose number file was lost
    assert PoolPlaces(tmp_path / "web").next_incarnation() == 10
    places.sweep()
    assert places.next_incarnation() == 11
    (places.directory / "incarnation").write_bytes(b"rubbish\n")
    places.board(20).write_bytes(b"")
    (places.directory / "wx.board").write_bytes(b"")
    assert places.incarnations() == [20]
    assert places.next_incarnation() == 21


def test_one_worker_is_removed_and_no_other(tmp_path: Path) -> None:
    places = PoolPlaces(tmp_path / "web")
    places.create()
    for name in ("w1.board", "w1.0.sock", ".w1.board.new", "w11.board", "w11.0.sock", "mine"):
        (places.directory / name).write_bytes(b"")
    places.remove_incarnation(1)
    assert sorted(os.listdir(places.directory)) == [
        "idle.fifo",
        "mine",
        "queue.board",
        "w11.0.sock",
        "w11.board",
    ]


def test_what_a_killed_run_left_is_swept_and_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.create()
    places = run.pool("web")
    places.create()
    places.next_incarnation()
    for name in (
        "w1.board",
        ".w2.board.new",
        "w2.0.sock",
        "pool.sock",
        ".pool.sock.new",
        ".control.sock.new",
    ):
        (places.directory / name).write_bytes(b"")
    for name in ("control.sock", ".control.sock.new", "proxy.sock", "front.board", "lock"):
        (run.path / name).write_bytes(b"")
    places.sweep()
    assert sorted(os.listdir(places.directory)) == ["idle.fifo", "incarnation", "queue.board"]
    places.remove()
    run.remove()
    assert os.listdir(tmp_path) == []
    places.sweep()  # no error
    run.remove()


def test_somebodys_own_file_keeps_the_directory(tmp_path: Path) -> None:
    places = PoolPlaces(tmp_path / "web")
    places.create()
    (places.directory / "notes.txt").write_text("mine")
    places.remove()
    assert os.listdir(places.directory) == ["notes.txt"]


def _hold(path: Path, channel: "multiprocessing.connection.Connection") -> None:  # type: ignore[name-defined]
    RunDir(path).take_lock()
    channel.send(os.getpid())
    channel.recv()


def test_one_holder_and_he_is_named(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    holder = context.Process(target=_hold, args=(tmp_path, theirs))
    holder.start()
    assert ours.poll(5)
    pid = ours.recv()
    with pytest.raises(PlaceError, match=f"already in use by process {pid}$"):
        RunDir(tmp_path).take_lock()
    holder.kill()
    holder.join(5)
    fd = RunDir(tmp_path).take_lock()  # kill -9 leaves it free
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    os.close(fd)
    ours.close(), theirs.close(), holder.close()


def test_where_there_are_no_locks_nobody_is_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", fail)
    with pytest.raises(OSError, match="No locks available"):
        RunDir(tmp_path).take_lock()


def test_a_lock_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        RunDir(tmp_path).take_lock()
    assert not (tmp_path / "elsewhere").exists()


def test_a_name_just_short_enough_is_bound(tmp_path: Path) -> None:
    room = 107 - len(os.fsencode(tmp_path / "w4294967295.65535.sock")) - 1
    if room < 1:
        pytest.skip(f"{tmp_path} is too long itself")
    places = PoolPlaces(tmp_path / ("x" * room))
    places.directory.mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(places.slot_socket(4294967295, 65535)))


def test_a_file_system_without_fifos_or_mappings_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    places = PoolPlaces(tmp_path / "web")
    with monkeypatch.context() as patch:
        patch.setattr(os, "mkfifo", refuse)
        with pytest.raises(PlaceError) as caught:
            places.create()
    assert "no FIFO can be made here (No such device); run_dir needs a file system" in str(caught.value)
    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(PlaceError) as caught:
        places.create()
    assert "no file can be mapped here (No such device); run_dir needs a file system" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in places.directory.iterdir()) == ["idle.fifo", "queue.board"]


def test_what_a_killed_process_left_does_not_stop_the_next(tmp_path: Path) -> None:
    """In a container it has the same number; and another group may have been configured meanwhile."""
    places = PoolPlaces(tmp_path / "web")
    places.create()
    trial = places.directory / f".trial.{os.getpid()}"
    trial.touch()
    for path in (places.idle_fifo, places.queue_board):
        path.chmod(0o660)
    places.create()
    assert not trial.exists()
    for path in (places.idle_fifo, places.queue_board):
        assert path.stat().st_mode & 0o777 == 0o600
    shared = PoolPlaces(tmp_path / "web", os.getgid())
    shared.create()
    for path in (places.idle_fifo, places.queue_board):
        assert path.stat().st_mode & 0o777 == 0o660
