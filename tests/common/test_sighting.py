from pathlib import Path

import pytest

from trivet_common.config.sighting import Sighting, Unreadable, content, fingerprint


def test_a_fingerprint_follows_the_files(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"1")
    other.write_bytes(b"2")
    before = fingerprint(one, other, None)
    assert fingerprint(one, other, None) == before
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"2")
    fresh.rename(other)
    after = fingerprint(one, other, None)
    assert after != before
    other.unlink()
    assert fingerprint(one, other, None) not in (before, after)


def test_what_was_seen_is_asked_and_not_the_disk(tmp_path: Path) -> None:
    here, gone, unread = tmp_path / "here", tmp_path / "gone", tmp_path / "unread"
    here.write_bytes(b"1")
    sighting = Sighting([here, gone]).read()
    before = fingerprint(here, gone)
    here.write_bytes(b"22")
    for path in (gone, unread):
        path.write_bytes(b"3")
    with sighting.in_place():
        assert fingerprint(here, gone) == before
        assert content(here) == b"1"
        with pytest.raises(Unreadable, match="gone: No such file"):
            content(gone)
        with pytest.raises(Unreadable, match="was not read"):
            content(unread)
    assert content(here) == b"22"
    assert repr(sighting) == "<Sighting 2 files, 2 read>"


def test_what_cannot_be_a_certificate(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * (1024 * 1024 + 1))
    with pytest.raises(Unreadable, match="too large"):
        content(large)
    with pytest.raises(Unreadable, match="is not a file"):
        content(Path("/dev/null"))
