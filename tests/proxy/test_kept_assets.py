"""Hashed assets outlive their tree: which are kept, for how long, and what never gets out."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.proxy.abyss import abyss
from tests.proxy.deploys import Deploys, opened
from trivet_proxy import file_systems, kept_assets
from trivet_proxy.file_systems import Kind


@pytest.fixture
def deploys(tmp_path):
    return Deploys(tmp_path)


ONE, TWO, THREE, FOUR = (f"js/app.{digit}a{digit * 10}.js" for digit in "1234")


def test_only_what_is_hashed(deploys):
    (deploys.path / "r1").mkdir()
    (deploys.path / "r1" / "staticfiles.json").write_text('{"paths": {"a.css": "a.v2.css"}}')
    deploys.release(1, ONE, "index.html", "a.css", "a.v2.css", ".git/x.1a1111111111.js", f"{ONE}.gz")
    assert deploys.take() == ""
    assert deploys.files() == {ONE, "a.v2.css", f"{ONE}.gz"}
    assert deploys.read(ONE) == ONE.encode()
    assert deploys.read("index.html") is None
    assert repr(deploys.kept).startswith("<KeptAssets")


def test_they_outlive_their_tree_and_are_the_same_file(deploys):
    deploys.release(1, ONE)
    before = os.stat(deploys.path / "r1" / ONE)
    deploys.take()
    shutil.rmtree(deploys.path / "r1")
    deploys.release(2, TWO)
    deploys.take()
    assert (deploys.read(ONE), deploys.read(TWO)) == (ONE.encode(), TWO.encode())
    kept = os.stat(deploys.kept.path / "files" / ONE)
    assert (kept.st_ino, kept.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_another_file_system_takes_copies(deploys, monkeypatch):
    def refuse(*arguments, **keys):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(kept_assets.os, "link", refuse)
    deploys.release(1, ONE)
    assert deploys.take() == ""
    kept, original = (
        os.stat(path) for path in (deploys.kept.path / "files" / ONE, deploys.path / "r1" / ONE)
    )
    assert (deploys.read(ONE), kept.st_mtime_ns) == (ONE.encode(), original.st_mtime_ns)
    assert kept.st_ino != original.st_ino


def test_so_many_trees_besides_the_present_one(deploys):
    for number, name in enumerate((ONE, TWO, THREE, FOUR), 1):
        deploys.release(number, name)
        deploys.take()
        deploys.take()  # at a start or a reload: the same tree is not counted twice
    assert deploys.files() == {TWO, THREE, FOUR}
    # A tree that comes back is the youngest.
    deploys.switch(2)
    deploys.take()
    deploys.release(5, "js/app.5a5555555555.js")
    deploys.take()
    assert deploys.files() == {TWO, FOUR, "js/app.5a5555555555.js"}


def test_a_bound_of_bytes(deploys, monkeypatch):
    monkeypatch.setattr(kept_assets, "LARGEST", 50)
    for number, name in enumerate((ONE, TWO, THREE), 1):
        deploys.release(number, name)
        deploys.take()
    assert deploys.files() == {TWO, THREE}
    monkeypatch.setattr(kept_assets, "LARGEST", 25)
    deploys.take()
    assert deploys.files() == {THREE}


def test_a_bound_of_bytes_of_the_present_tree(deploys, monkeypatch):
    """The smallest are kept: scripts and styles. It was the bound of earlier trees alone."""
    monkeypatch.setattr(kept_assets, "LARGEST", 100)
    deploys.release(1, ONE, TWO)
    (deploys.path / "r1" / "film.27e20196a850.mp4").write_bytes(b"x" * 101)
    (deploys.path / "r1" / "film.27e20196a851.mp4").write_bytes(b"x" * 102)
    said = deploys.take()
    assert said.endswith("holds 100B at most: 2 assets of this tree are kept, 2 larger ones are not")
    assert deploys.files() == {ONE, TWO}


def test_a_bound_of_names(deploys, monkeypatch):
    monkeypatch.setattr(kept_assets, "MOST", 2)
    deploys.release(1, ONE, TWO)
    assert "holds only a part of this tree: it has more than 2 names" in deploys.take()
    assert len(deploys.files()) == 1


def test_a_tree_of_an_abyss(deploys):
    """It raised RecursionError, which nobody expected."""
    deploys.release(1, ONE)
    with abyss(deploys.path / "r1"):
        assert "holds only a part of this tree" in deploys.take()
    assert deploys.files() == {ONE}


class FullDisk:
    """Room for so many files; what is removed makes room."""

    def __init__(self, deploys, room, monkeypatch):
        self.deploys, self.room = deploys, room
        monkeypatch.setattr(kept_assets.os, "link", self.link)
        monkeypatch.setattr(kept_assets.os, "pread", self.pread)

    def link(self, *arguments, **keys):
        raise OSError(18, "Invalid cross-device link")

    def pread(self, fd, count, offset):
        if len(self.deploys.files()) >= self.room:
            raise OSError(28, "No space left on device")
        return os.preadv(fd, [buffer := bytearray(count)], offset) and bytes(buffer)


def test_a_full_disk_has_room_again_for_a_new_tree(deploys, monkeypatch):
    """What no tree needs goes first: otherwise the disk stays full for ever."""
    FullDisk(deploys, 3, monkeypatch)
    for number, name in enumerate((ONE, TWO, THREE, FOUR), 1):
        deploys.release(number, name)
        assert deploys.take() == ""
    assert deploys.files() == {TWO, THREE, FOUR}
    (deploys.path / "r4" / "b.27e20196a850.js").write_bytes(b"x")
    (deploys.path / "r4" / "c.27e20196a850.js").write_bytes(b"xx")
    deploys.kept.trees = 0
    said = deploys.take()
    assert "c.27e20196a850.js cannot be kept" not in said
    assert deploys.files() == {FOUR, "b.27e20196a850.js", "c.27e20196a850.js"}
    (deploys.path / "r4" / "d.27e20196a850.js").write_bytes(b"x")
    assert "d.27e20196a850.js cannot be kept in" in (said := deploys.take())
    assert said.endswith("No space left on device, nor what is larger")
    assert not (deploys.kept.path / ".new").exists()


def test_scripts_that_may_be_hashed_are_kept_and_asked_for_again(deploys):
    """A guess may keep a file too long, but not in a browser for a year."""
    names = ("assets/index-DiwrgTda.js", "assets/logo-DiwrgTda.png", "app.js")
    deploys.release(1, *names)
    deploys.take()
    assert deploys.files() == {"assets/index-DiwrgTda.js"}
    assert b"assets/index-DiwrgTda.js" not in deploys.kept.hashed_names


def test_two_at_once_wait_for_each_other_but_not_for_ever(deploys, monkeypatch):
    monkeypatch.setattr(kept_assets, "_PATIENCE", 0.0)
    deploys.release(1, ONE)
    with deploys.kept._alone(kept_assets._go_on), pytest.raises(OSError, match="another process is at it"):
        deploys.take()
    assert deploys.take() == ""


def test_links_and_what_is_no_file(deploys):
    secret = deploys.path / "secret"
    secret.write_bytes(b"SECRET")
    deploys.release(1, ONE)
    tree = deploys.path / "r1" / "js"
    (tree / "out.1a1111111111.js").symlink_to(secret)
    (tree / "in.1a1111111111.js").symlink_to(os.path.basename(ONE))
    os.mkfifo(tree / "fifo.1a1111111111.js")
    assert "out.1a1111111111.js cannot be kept" in deploys.take()
    assert deploys.read("js/in.1a1111111111.js") == ONE.encode()
    assert deploys.read("js/fifo.1a1111111111.js") is None
    assert b"SECRET" not in {deploys.read(name) for name in deploys.files()}
    # Nor is anything served from the store that is a link.
    (deploys.kept.path / "files" / "evil.js").symlink_to(secret)
    assert deploys.read("evil.js") is None


def test_a_store_that_was_meddled_with(deploys):
    deploys.release(1, ONE)
    deploys.take()
    for text in ("{", "5", '["a", 5]', ""):
        (deploys.kept.path / "trees" / "x").write_text(text)
        deploys.take()
    assert deploys.files() == {ONE}
    shutil.rmtree(deploys.kept.path / "files")
    with pytest.raises(OSError, match="No such file"):
        opened(deploys.kept, ONE.encode())


def test_a_store_that_another_machine_has_is_asked_in_a_thread(deploys, monkeypatch):
    deploys.release(1, ONE)
    deploys.take()
    os.close(opened(deploys.kept, ONE.encode()))  # the thread learns what it lies on
    monkeypatch.setattr(file_systems, "known", lambda device: Kind.LOCAL)
    os.close(deploys.kept.open_if_known(ONE.encode()))
    for kind in (Kind.REMOTE, None):
        monkeypatch.setattr(file_systems, "known", lambda device, kind=kind: kind)
        with pytest.raises(BlockingIOError):
            deploys.kept.open_if_known(ONE.encode())


def test_a_tree_that_cannot_be_read_is_not_taken_for_an_empty_one(deploys, monkeypatch):
    def fail(path):
        raise OSError(24, "Too many open files")

    deploys.release(1, ONE)
    monkeypatch.setattr("trivet_proxy.file_tree.os.scandir", fail)
    with pytest.raises(OSError, match="Too many"):
        deploys.take()
    assert list((deploys.kept.path / "trees").iterdir()) == []
