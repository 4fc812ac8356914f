"""Every row of RFC 9110, 13.2.2, and each condition by itself (13.1)."""

from __future__ import annotations

import time
from itertools import product

import pytest

from trivet_proxy.preconditions import Verdict, asked_of, judge, range_of
from trivet_proxy.validators import FileHeaders

MTIME = 784111777  # RFC 9110's own example
FILE = FileHeaders(b"text/plain", 10, MTIME * 10**9 + 5)
ETAG, DATE = FILE.etag, b"Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER, LATER = b"Sun, 06 Nov 1994 08:49:36 GMT", b"Sun, 06 Nov 1994 08:49:38 GMT"
FUTURE = b"Sun, 06 Nov 2999 08:49:37 GMT"
SEND, UNCHANGED, FAILED = Verdict.SEND, Verdict.UNCHANGED, Verdict.FAILED

ROWS = [
    # If-Match: the strong comparison (13.1.1).
    ("if-match", ETAG, SEND),
    ("if-match", b"*", SEND),
    ("if-match", b'"x", ' + ETAG, SEND),
    ("if-match", b"W/" + ETAG, FAILED),
    ("if-match", b'"x"', FAILED),
    ("if-match", b"", FAILED),
    ("if-match", ETAG[1:-1], FAILED),
    ("if-match", b'"*"', FAILED),
    # If-None-Match: the weak one (13.1.2).
    ("if-none-match", ETAG, UNCHANGED),
    ("if-none-match", b"W/" + ETAG, UNCHANGED),
    ("if-none-match", b'"x", ' + ETAG + b', "y"', UNCHANGED),
    ("if-none-match", b'"a,b",W/' + ETAG, UNCHANGED),
    ("if-none-match", b"*", UNCHANGED),
    ("if-none-match", b'"x"', SEND),
    ("if-none-match", b'"*"', SEND),
    ("if-none-match", ETAG[1:-1], SEND),
    ("if-none-match", b'"' * 10_001, SEND),
    ("if-none-match", b"", SEND),
    # If-Modified-Since (13.1.3).
    ("if-modified-since", DATE, UNCHANGED),
    ("if-modified-since", LATER, UNCHANGED),
    ("if-modified-since", b"Sunday, 06-Nov-94 08:49:37 GMT", UNCHANGED),
    ("if-modified-since", b"Sun Nov  6 08:49:37 1994", UNCHANGED),
    ("if-modified-since", EARLIER, SEND),
    ("if-modified-since", FUTURE, SEND),
    ("if-modified-since", b"yesterday", SEND),
    ("if-modified-since", b"", SEND),
    # If-Unmodified-Since (13.1.4).
    ("if-unmodified-since", DATE, SEND),
    ("if-unmodified-since", LATER, SEND),
    ("if-unmodified-since", EARLIER, FAILED),
    ("if-unmodified-since", b"yesterday", SEND),
]


@pytest.mark.parametrize(("name", "value", "verdict"), ROWS)
def test_one_condition(name, value, verdict):
    assert judge(asked_of([(name.encode(), value)]), FILE) is verdict


MATCH = {None: [], True: [(b"if-match", ETAG)], False: [(b"if-match", b'"x"')]}
UNMODIFIED = {
    None: [],
    True: [(b"if-unmodified-since", DATE)],
    False: [(b"if-unmodified-since", EARLIER)],
}
NONE_MATCH = {None: [], True: [(b"if-none-match", b'"x"')], False: [(b"if-none-match", ETAG)]}
MODIFIED = {None: [], True: [(b"if-modified-since", EARLIER)], False: [(b"if-modified-since", DATE)]}
TRUTHS = (None, True, False)


@pytest.mark.parametrize("truths", list(product(TRUTHS, repeat=4)), ids=str)
def test_every_combination_in_the_order_of_the_rfc(truths):
    """All 81 of absent, true and false, against the steps of 13.2.2 written down once more."""
    match, unmodified, none_match, modified = truths
    fields = [*MODIFIED[modified], *NONE_MATCH[none_match], *UNMODIFIED[unmodified], *MATCH[match]]
    if match is False or (match is None and unmodified is False):  # steps 1 and 2
        expected = FAILED
    elif none_match is False or (none_match is None and modified is False):  # steps 3 and 4
        expected = UNCHANGED
    else:
        expected = SEND
    assert judge(asked_of(fields), FILE) is expected


def test_lists_over_several_fields_and_dates_that_came_twice():
    assert judge(asked_of([(b"if-none-match", b'"x"'), (b"if-none-match", ETAG)]), FILE) is UNCHANGED
    assert judge(asked_of([(b"if-modified-since", DATE)] * 2), FILE) is SEND
    assert asked_of([(b"accept", b"*/*"), (b"host", b"h")]) == {}


def test_a_file_without_a_date():
    file = FileHeaders(b"a/b", 1, int((time.time() + 3600) * 10**9))
    assert judge({b"if-modified-since": FUTURE}, file) is SEND
    assert judge({b"if-modified-since": b""}, file) is SEND
    assert judge({b"if-unmodified-since": EARLIER}, file) is SEND
    assert range_of({b"range": b"bytes=0-1", b"if-range": b""}, file) is None


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (None, True),
        (ETAG, True),
        (b"W/" + ETAG, False),  # 13.1.5: the strong comparison
        (b'"x"', False),
        (DATE, True),
        (LATER, False),  # exactly that date, not a later one
        (EARLIER, False),
        (b"yesterday", False),
        (b"*", False),
    ],
)
def test_if_range(condition, holds):
    asked = {b"range": b"bytes=0-1"} | ({b"if-range": condition} if condition is not None else {})
    assert range_of(asked, FILE) == (b"bytes=0-1" if holds else None)


def test_a_date_of_this_second_is_no_strong_validator():
    """8.8.2.2: the file may change again before the second is over."""
    file = FileHeaders(b"a/b", 1, time.time_ns())
    assert range_of({b"range": b"bytes=0-1", b"if-range": file.last_modified}, file) is None
