"""What is kept of files: fresh for a second at most, bounded, and never of two states at once."""

from __future__ import annotations

import os
import time

import pytest

from trivet_proxy import shelf
from trivet_proxy.shelf import LARGEST, Entry, Shelf, Variant, identity_of, is_settled
from trivet_proxy.validators import FileHeaders


@pytest.fixture
def info(tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "_SETTLED", -1)
    (tmp_path / "file").write_bytes(b"0123456789")
    return os.stat(tmp_path / "file")


def entry(size=10, name=b"a", **coded):
    def variant(name, state):
        return Variant(name, FileHeaders(b"a/b", state, 0), (0, 0, state, 0, 0))

    return Entry(variant(name, size), {key.encode(): variant(b"", state) for key, state in coded.items()})


def test_fresh_for_as_long_as_it_was_put_for():
    now = 0.0
    kept = Shelf(lambda: now)
    assert kept.fresh((0, b"a")) is None
    one = kept.put((0, b"a"), entry(), 1.0)
    assert kept.fresh((0, b"a")) is one
    assert kept.fresh((1, b"a")) is None
    now = 1.0
    assert kept.fresh((0, b"a")) is None


def test_the_same_file_goes_on_and_another_takes_its_place(info):
    kept = Shelf(lambda: 0.0)
    one = kept.put((0, b"a"), entry(br=5), 1.0)
    kept.keep((0, b"a"), one.plain, b"0123456789", info)
    assert kept.put((0, b"a"), entry(br=5), 2.0) is one
    assert one.plain.body == b"0123456789"
    for other in (entry(11, br=5), entry(br=6), entry(), entry(gzip=5)):
        kept.keep((0, b"a"), one.plain, b"0123456789", info)
        assert kept.put((0, b"a"), other, 2.0) is other
        assert kept._bytes == 0
        one = kept.put((0, b"a"), entry(br=5), 1.0)


def test_bytes_are_bounded(info):
    kept = Shelf(lambda: 0.0, most_bytes=25)
    entries = [kept.put((0, b"%d" % number), entry(), 1.0) for number in range(3)]
    for number, one in enumerate(entries):
        kept.fresh((0, b"0"))
        kept.keep((0, b"%d" % number), one.plain, b"0123456789", info)
        kept.keep((0, b"%d" % number), one.plain, b"0123456789", info)
    # The least recently used went.
    assert [kept.fresh((0, b"%d" % number)) is not None for number in range(3)] == [True, False, True]
    assert kept._bytes == 20
    assert "20 bytes" in repr(kept)


def test_names_are_bounded():
    kept = Shelf(lambda: 0.0, entries=3)
    for number in range(10):
        kept.put((0, b"%d" % number), entry(), 1.0)
    assert len(kept._entries) == 3


def test_what_is_not_kept(info, monkeypatch):
    kept = Shelf(lambda: 0.0)
    one = kept.put((0, b"a"), entry(), 1.0)
    kept.keep((0, b"a"), one.plain, b"x" * (LARGEST + 1), info)
    kept.keep((0, b"a"), entry().plain, b"x", info)  # of an entry that has been replaced since
    kept.keep((0, b"b"), one.plain, b"x", info)
    monkeypatch.setattr(shelf, "_SETTLED", 3600)
    kept.keep((0, b"a"), one.plain, b"x", info)
    assert one.plain.body is None
    assert kept._bytes == 0


def test_a_file_that_was_just_written_may_be_written_again(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    info = os.stat(tmp_path / "file")
    assert not is_settled(info)
    os.utime(tmp_path / "file", ns=(0, time.time_ns() - 10**12))
    assert not is_settled(os.stat(tmp_path / "file"))  # its time was set, but just now
    assert identity_of(info) != identity_of(os.stat(tmp_path / "file"))


def test_the_best_variant():
    one = entry(br=5, gzip=6)
    assert one.best(b"") is one.plain
    assert one.best(b"gzip") is one.coded[b"gzip"]
    assert one.best(b"gzip, br") is one.coded[b"br"]
    assert one.best(b"zstd") is one.plain
    assert "br gzip" in repr(one)


def test_what_is_said_of_a_file_may_change_without_it():
    """A manifest that names it, or a time of change that was yet to come: its headers are others."""
    kept = Shelf(lambda: 0.0)

    def said(*headers):
        return Entry(Variant(b"a", FileHeaders(b"a/b", 10, 0, headers), (0, 0, 10, 0, 0)), {})

    one = kept.put((0, b"a"), said(), 1.0)
    assert kept.put((0, b"a"), said(), 2.0) is one
    assert kept.put((0, b"a"), said((b"cache-control", b"immutable")), 3.0) is not one
