"""Validators: what a file's state is called, and who has it already (RFC 9110, 13.1)."""

from __future__ import annotations

import time

import pytest

from trivet_proxy.validators import FileHeaders, file_headers

MTIME = 784111777  # RFC 9110's own example
FILE = FileHeaders(b"text/plain", 10, MTIME * 10**9 + 5)
ETAG, DATE = FILE.etag, b"Sun, 06 Nov 1994 08:49:37 GMT"


def test_headers():
    assert FILE.full == [(b"content-type", b"text/plain"), (b"etag", ETAG), (b"last-modified", DATE)]
    assert FILE.unchanged == FILE.full[1:]
    assert b'"a-ae1b4bd3c75e205"'.replace(b"ae1b4bd3c75e205", b"%x" % (MTIME * 10**9 + 5)) == ETAG


def test_each_state_has_its_own_etag():
    states = [(10, 5), (10, 6), (11, 5), (0, 0), (1, 10**18)]
    assert len({FileHeaders(b"a/b", *state).etag for state in states}) == len(states)
    assert file_headers(b"a/b", 1, 2) is file_headers(b"a/b", 1, 2)


def test_a_date_that_cannot_be_has_no_last_modified():
    for when in (time.time() + 3600, -1):
        assert [name for name, _ in FileHeaders(b"a/b", 1, int(when * 10**9)).unchanged] == [b"etag"]


@pytest.mark.parametrize(
    ("headers", "is_known"),
    [
        ([], False),
        ([(b"if-none-match", ETAG)], True),
        ([(b"if-none-match", b"W/" + ETAG)], True),
        ([(b"if-none-match", b'"x", ' + ETAG + b', "y"')], True),
        ([(b"if-none-match", b'"x"'), (b"if-none-match", ETAG)], True),
        ([(b"if-none-match", b" * ")], True),
        ([(b"if-none-match", b'"*"')], False),
        ([(b"if-none-match", ETAG[1:-1])], False),
        ([(b"if-none-match", b'"' * 10_001)], False),
        ([(b"if-modified-since", DATE)], True),
        ([(b"if-modified-since", b"Sun, 06 Nov 1994 08:49:36 GMT")], False),
        ([(b"if-modified-since", b"Sun, 06 Nov 1994 08:49:38 GMT")], True),
        ([(b"if-modified-since", b"never")], False),
        ([(b"if-modified-since", b"Sun, 06 Nov 2999 08:49:37 GMT")], False),
        ([(b"if-modified-since", DATE), (b"if-none-match", b'"x"')], False),
        ([(b"if-match", ETAG)], False),
    ],
)
def test_who_has_it_already(headers, is_known):
    assert FILE.is_known_to(headers) is is_known


def test_a_file_without_a_date_is_never_unmodified():
    assert not FileHeaders(b"a/b", 1, int((time.time() + 3600) * 10**9)).is_known_to(
        [(b"if-modified-since", b"")]
    )
