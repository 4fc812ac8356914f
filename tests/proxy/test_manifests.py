"""Names out of Django's and Vite's manifests; a wrong one harms nobody."""

from __future__ import annotations

import json
import os
import threading
import time
from types import SimpleNamespace

import pytest

from trivet_proxy import manifests
from trivet_proxy.beneath import ROOT
from trivet_proxy.manifests import Manifests


@pytest.fixture
def root(tmp_path):
    fd = os.open(tmp_path, ROOT)
    yield fd
    os.close(fd)


def test_none(root):
    found = Manifests()
    found.look(root)
    assert (found.names, found.problem) == (frozenset(), "")


def test_both(root, tmp_path):
    paths = {"css/a.css": "css/a.27e20196a850.css", "plain.txt": "plain.txt", "caf\xe9.js": "caf\xe9.0a.js"}
    (tmp_path / "staticfiles.json").write_text(json.dumps({"paths": paths, "version": "1.1", "hash": ""}))
    (tmp_path / ".vite").mkdir()
    chunks = {
        "main.js": {
            "file": "assets/main-DiwrgTda.js",
            "css": ["assets/main-BrkSpqHe.css"],
            "assets": ["assets/logo.svg", 5],
            "isEntry": True,
        },
        "_shared.js": {"file": "assets/plain.js"},
        "src/photo-June2024.jpg": {"file": "assets/photo-June2024.jpg"},
    }
    (tmp_path / ".vite" / "manifest.json").write_text(json.dumps(chunks))
    found = Manifests()
    found.look(root)
    django = {b"css/a.27e20196a850.css", "caf\xe9.0a.js".encode()}
    assert found.names == django | {b"assets/main-DiwrgTda.js", b"assets/main-BrkSpqHe.css"}
    assert "4 names" in repr(found)


def test_it_is_read_again_only_when_it_changed(root, tmp_path, monkeypatch):
    file = tmp_path / "staticfiles.json"
    file.write_text('{"paths": {"a": "b"}}')
    found = Manifests()
    found.look(root)
    with monkeypatch.context() as patch:
        patch.setattr(manifests, "_text_of", None)
        found.look(root)
    file.write_text('{"paths": {"a": "longer"}}')
    found.look(root)
    assert found.names == {b"longer"}
    file.unlink()
    found.look(root)
    assert found.names == frozenset()


@pytest.mark.parametrize("text", ["{", "[]", "5", '{"paths": []}', "[" * 100_000, '{"paths": {"a": 5}}', ""])
def test_what_is_no_manifest(root, tmp_path, text):
    (tmp_path / "staticfiles.json").write_text(text)
    found = Manifests()
    found.look(root)
    if found._reader:
        found._reader.join(10)
    assert found.names == frozenset()
    assert bool(found.problem) == bool(text)


def test_bounds(root, tmp_path, monkeypatch):
    assert manifests._LARGEST == 2 * 1024 * 1024
    monkeypatch.setattr(manifests, "_LARGEST", 10)
    (tmp_path / "staticfiles.json").write_text('{"paths": {"a": "b"}}')
    found = Manifests()
    found.look(root)
    assert "too many" in found.problem
    (tmp_path / "staticfiles.json").unlink()
    os.mkfifo(tmp_path / "staticfiles.json")
    found.look(root)
    assert found.names == frozenset()
    (tmp_path / "staticfiles.json").unlink()
    (tmp_path / "staticfiles.json").symlink_to("/etc/hostname")
    found.look(root)
    assert found.names == frozenset()


def test_one_that_is_too_large_is_known_at_once_and_a_thread_that_cannot_be_had_later(
    root, tmp_path, monkeypatch
):
    file = tmp_path / "staticfiles.json"
    file.write_text(json.dumps({"paths": {f"{number}": f"{number}.x" for number in range(9000)}}))

    def fail(thread):
        raise RuntimeError("can't start new thread")

    before = len(os.listdir("/proc/self/fd"))
    found = Manifests()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        found.look(root)
    assert (found.names, found.is_read, len(os.listdir("/proc/self/fd"))) == (frozenset(), True, before)
    found.look(root)
    found._reader.join(10)
    assert len(found.names) == 9000
    with file.open("a") as more:
        more.write(" " * manifests._LARGEST)
    found.look(root)
    assert found.is_read
    assert found.problem.startswith("staticfiles.json is no manifest: 2")


def test_a_large_one_is_read_in_a_thread(root, tmp_path, monkeypatch):
    """16 MiB of one stood the loop for 1.6 s; what was known is believed until the new one is read."""
    file = tmp_path / "staticfiles.json"
    file.write_text('{"paths": {"a": "b"}}')
    found = Manifests()
    found.look(root)
    readers: list[str] = []
    may_read = threading.Event()

    def loads(text):
        readers.append(threading.current_thread().name)
        assert may_read.wait(10)
        return json.loads(text)

    monkeypatch.setattr(manifests, "json", SimpleNamespace(loads=loads))
    file.write_text(json.dumps({"paths": {f"{number}": f"{number}.x" for number in range(9000)}}))
    before = len(os.listdir("/proc/self/fd"))
    found.look(root)
    assert (found.is_read, found.names) == (False, {b"b"})
    for _ in range(1000):  # until it has been read: it is parsed afterwards
        if not readers:
            time.sleep(0.01)
    file.write_text(file.read_text().replace('"5.x"', '"5.y"  '))
    found.look(root)  # is not read twice at once
    may_read.set()
    found._reader.join(10)
    assert (found.is_read, len(found.names)) == (True, 9000)
    found.look(root)
    found._reader.join(10)
    assert b"5.y" in found.names
    assert readers == ["manifest", "manifest"]
    assert len(os.listdir("/proc/self/fd")) == before
