"""A folder follows its path: replaced, gone for a moment, there only later. Some names are hidden."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trivet_proxy import file_systems
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
