"""Every file below a folder, however deep and however many; what was left out is known."""

from __future__ import annotations

import errno
import os

import pytest

from tests.proxy.abyss import abyss
from trivet_proxy import file_tree
from trivet_proxy.file_tree import FileTree
from trivet_proxy.folder import is_hidden


def look(path, **bounds):
    tree = FileTree(os.fsencode(path), is_hidden, **bounds)
    return list(tree), tree.is_cut


def write(path, *names):
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()


def test_files_and_links_but_not_what_is_behind_links(tmp_path):
    write(tmp_path, "b", "a", "x/y/c", "x/d", ".git/e", "x/.f", "g~", "caf\udce9")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "x" / "out").symlink_to("/etc")
    names, is_cut = look(tmp_path)
    assert names == [b"a", b"b", b"caf\xe9", b"loop", b"x/d", b"x/out", b"x/y/c"]
    assert not is_cut
    assert look(tmp_path / "nowhere") == ([], False)


def test_so_many_and_no_more(tmp_path):
    write(tmp_path, "a", "b", "x/c")
    assert look(tmp_path, most=4)[1] is False
    names, is_cut = look(tmp_path, most=3)
    assert (len(names), is_cut) == (2, True)


def test_so_deep_and_no_deeper(tmp_path, monkeypatch):
    monkeypatch.setattr(file_tree, "DEEPEST", 2)
    write(tmp_path, "1/2/a", "1/2/3/b", "c")
    assert look(tmp_path) == ([b"c", b"1/2/a"], True)


def test_an_abyss(tmp_path):
    write(tmp_path, "a")
    with abyss(tmp_path):
        assert look(tmp_path) == ([b"a"], True)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_trouble_is_no_empty_folder(tmp_path, monkeypatch, number):
    """Or the assets of a tree that stood there would be taken for none, and never be kept."""

    def fail(path):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(file_tree.os, "scandir", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        look(tmp_path)
