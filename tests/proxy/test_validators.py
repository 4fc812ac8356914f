"""What the state of a file is called, and the headers that say so (RFC 9110, 8.8)."""

from __future__ import annotations

import time

from trivet_proxy.validators import FileHeaders

EPOCH_OF_ZIP = 315_619_200  # 1980-01-02: what some builds give to all their files

MTIME = 784111777  # RFC 9110's own example
FILE = FileHeaders(b"text/plain", 10, MTIME * 10**9 + 5)
ETAG, DATE = FILE.etag, b"Sun, 06 Nov 1994 08:49:37 GMT"


def test_headers():
    validators = [(b"etag", ETAG), (b"last-modified", DATE)]
    assert FILE.full == [(b"content-type", b"text/plain"), *validators, (b"accept-ranges", b"bytes")]
    assert FILE.unchanged == validators
    assert b'"a-ae1b4bd3c75e205"'.replace(b"ae1b4bd3c75e205", b"%x" % (MTIME * 10**9 + 5)) == ETAG


def test_each_state_has_its_own_etag():
    states = [(10, 5), (10, 6), (11, 5), (0, 0), (1, 10**18)]
    assert len({FileHeaders(b"a/b", *state).etag for state in states}) == len(states)
    assert FileHeaders(b"a/b", 10, 5, coding=b"br").etag != FileHeaders(b"a/b", 10, 5, coding=b"gzip").etag


def test_a_304_repeats_what_caches_go_by():
    """RFC 9110, 15.4.5."""
    vary, cache, other = (b"vary", b"accept-encoding"), (b"cache-control", b"no-cache"), (b"x-a", b"b")
    file = FileHeaders(b"a/b", 1, 0, [vary, cache, other], b"br")
    assert file.unchanged[1:] == [vary, cache]
    assert file.full[:2] == [(b"content-type", b"a/b"), (b"content-encoding", b"br")]
    assert file.full[-3:] == [vary, cache, other]


def test_a_date_that_cannot_be_has_no_last_modified():
    for when in (time.time() + 3600, -1, 0, 1, EPOCH_OF_ZIP):
        assert [name for name, _ in FileHeaders(b"a/b", 1, int(when * 10**9)).unchanged] == [b"etag"]


def test_a_time_that_builds_give_to_all_files_says_nothing():
    """Nix, SOURCE_DATE_EPOCH: the next build's index.html of the same size would be a 304 for ever."""
    for when in (0, 1, EPOCH_OF_ZIP):
        one, other = (FileHeaders(b"a/b", 10, when * 10**9, ctime_ns=ctime) for ctime in (5, 6))
        assert one.etag != other.etag
        assert dict(one.full).keys() == {b"content-type", b"etag", b"accept-ranges"}
    one, other = (FileHeaders(b"a/b", 10, MTIME * 10**9, ctime_ns=ctime) for ctime in (5, 6))
    assert one.etag == other.etag
    assert b"last-modified" in dict(one.full)
