"""A folder follows its path: replaced, gone for a moment, there only later. Some names are hidden."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
import trio.testing

from trivet_proxy import disk, file_systems
from trivet_proxy.file_systems import Kind
from trivet_proxy.folder import Folder, SingleFile, is_hidden


def read(folder, name):
    fd = folder.open(name)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def test_it_follows_a_swapped_link_once_a_second(tmp_path):
    now = 0.0
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "a").write_text(release)
    (tmp_path / "current").symlink_to("one")
    folder = Folder(tmp_path / "current", clock=lambda: now)
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "current")
    assert read(folder, b"a") == b"one"
    now = 1.0
    assert read(folder, b"a") == b"two"
    (tmp_path / "current").unlink()
    now = 2.0
    assert read(folder, b"a") == b"two"  # between two steps of a deploy
    (tmp_path / "current").symlink_to("one")
    now = 3.0
    assert read(folder, b"a") == b"one"


def test_it_may_be_there_only_later(tmp_path):
    now = 0.0
    folder = Folder(tmp_path / "late", clock=lambda: now)
    assert not folder.is_there
    with pytest.raises(FileNotFoundError):
        folder.open(b"a")
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "a").write_text("x")
    now = 1.0
    assert read(folder, b"a") == b"x"
    assert folder.is_there


def test_it_gives_its_descriptors_back(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    folder = Folder(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del folder
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_manifest_is_read_only_where_it_is_believed(tmp_path):
    (tmp_path / "staticfiles.json").write_text('{"paths": {"a": "b"}}')
    assert Folder(tmp_path).hashed_names == {b"b"}
    (tmp_path / "staticfiles.json").write_text("no manifest")
    folder = Folder(tmp_path, has_manifests=False)
    assert (folder.hashed_names, folder.problem, folder.is_read) == (frozenset(), "", True)


@pytest.mark.parametrize(
    "name",
    [
        b".a",
        b"a/.b",
        b"a/.b/c",
        b"..",
        b"a/..",
        b".",
        b"a//b",
        b"/a",
        b"a/",
        b"",
        b"a~",
        b"a~/b",
        b"x.swp",
        b"a\0b",
    ],
)
def test_hidden_names(name):
    assert is_hidden(name)


@pytest.mark.parametrize(
    "name", [b"a", b"a.b", b"a/b.c", b"~a", b"a~b", b"a.swp.txt", b"a..b", b"a b", b"\xff"]
)
def test_names_for_everybody(name):
    assert not is_hidden(name)


@pytest.mark.parametrize("kind", [None, Kind.REMOTE, Kind.LOCAL, Kind.MEMORY])
def test_in_the_loop_nothing_is_asked_of_a_server(tmp_path, monkeypatch, kind):
    (tmp_path / "a").write_bytes(b"1")
    monkeypatch.setattr(file_systems, "known", lambda device: kind)
    for source in (Folder(tmp_path), SingleFile(tmp_path / "a")):
        if isinstance(source, SingleFile):
            source._kind = kind
        if kind in (None, Kind.REMOTE):
            with pytest.raises(BlockingIOError):
                source.open_if_known(b"a")
        else:
            os.close(source.open(b"a"))
            os.close(source.open_if_known(b"a"))


def test_a_thread_learns_what_may_be_asked_in_the_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(file_systems, "_known", {})
    (tmp_path / "a").write_bytes(b"1")
    for source in (Folder(tmp_path), SingleFile(tmp_path / "a")):
        file_systems._known.clear()
        with pytest.raises(BlockingIOError):
            source.open_if_known(b"a")
        pinned = source.pin()
        os.close(pinned.open(b"a"))
        pinned.close()
        os.close(source.open_if_known(b"a"))


def test_a_thread_learns_what_is_mounted_below_the_root(monkeypatch):
    """Closing it may ask its server, too."""
    monkeypatch.setattr(file_systems, "_known", {})
    pinned = Folder(Path("/"), has_manifests=False).pin()
    try:
        fd = pinned.open(b"proc/version")
        assert file_systems.known(os.fstat(fd).st_dev) is Kind.LOCAL
        os.close(fd)
    finally:
        pinned.close()


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A folder of a server: a link that deploys switch, its clock, and the threads that ask the server."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(b"")
    (tmp_path / "current").symlink_to("one")
    now, real = [0.0], os.stat
    place = SimpleNamespace(path=tmp_path, now=now, asked=[], hangs=None)
    place.folder = Folder(tmp_path / "current", clock=lambda: now[0], has_manifests=False)
    monkeypatch.setattr(file_systems, "known", lambda device: Kind.REMOTE)

    def stat(path, **keys):
        if path == place.folder.path:
            place.asked.append(threading.current_thread() is threading.main_thread())
            assert place.hangs is None or place.hangs.wait(10)
        return real(path, **keys)

    def switch():
        (tmp_path / "current").unlink()
        (tmp_path / "current").symlink_to("two")

    place.switch = switch
    monkeypatch.setattr("trivet_proxy.folder.os.stat", stat)
    return place


def names(folder):
    pinned = folder.pin()
    try:
        return os.listdir(f"/proc/self/fd/{pinned.fd}/")
    finally:
        pinned.close()


async def test_a_server_is_asked_about_its_folder_in_a_thread(remote):
    folder = remote.folder
    remote.switch()
    await folder.keep_up()
    assert remote.asked == [], "once a second"
    remote.now[0] = 1.0
    with pytest.raises(BlockingIOError):
        folder.open_if_known(b"one")
    assert names(folder) == ["one"]
    await folder.keep_up()
    assert names(folder) == ["two"]
    assert await folder.look() is False
    assert remote.asked == [False, False]
    remote.now[0] = 5.0
    (remote.path / "current").unlink()
    await folder.keep_up()
    assert names(folder) == ["two"], "between two steps of a deploy"


async def test_a_server_that_does_not_answer_holds_up_who_asks_and_nobody_else(remote, monkeypatch):
    monkeypatch.setattr(disk, "_PATIENCE", 0.1)
    folder, remote.hangs = remote.folder, threading.Event()
    remote.switch()
    remote.now[0] = 1.0
    before = len(os.listdir("/proc/self/fd"))
    try:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(folder.look)
                await trio.testing.wait_all_tasks_blocked()
                remote.now[0] = 2.0
                await folder.keep_up()  # goes on with what there is
                assert names(folder) == ["one"]
            assert remote.asked == [False]
            remote.now[0] = 3.0
            with pytest.raises(TimeoutError):
                await folder.keep_up()
    finally:
        remote.hangs.set()
    with trio.fail_after(5):
        while len(os.listdir("/proc/self/fd")) > before + 3:  # trio's own
            await trio.sleep(0.01)
    remote.now[0] = 4.0
    await folder.keep_up()
    assert names(folder) == ["two"]
