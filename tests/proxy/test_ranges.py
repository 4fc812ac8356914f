"""RFC 9110, 14: what every kind of Range field selects of a file of 10,000 bytes."""

from __future__ import annotations

import random
import re

import pytest

from trivet_proxy.ranges import MOST, Multipart, content_range, select

SIZE = 10_000
ROWS = [
    # The RFC's own examples (14.1.2).
    (b"bytes=0-499", [(0, 500)]),
    (b"bytes=500-999", [(500, 1000)]),
    (b"bytes=-500", [(9500, SIZE)]),
    (b"bytes=9500-", [(9500, SIZE)]),
    (b"bytes=0-0,-1", [(0, 1), (SIZE - 1, SIZE)]),
    (b"bytes= 0-999, 4500-5499, -1000", [(0, 1000), (4500, 5500), (9000, SIZE)]),
    (b"bytes=500-600,601-999", [(500, 1000)]),
    (b"bytes=500-700,601-999", [(500, 1000)]),
    # One range at the edges.
    (b"bytes=0-", [(0, SIZE)]),
    (b"bytes=0-9999", [(0, SIZE)]),
    (b"bytes=0-99999", [(0, SIZE)]),
    (b"bytes=9999-", [(9999, SIZE)]),
    (b"bytes=9999-9999", [(9999, SIZE)]),
    (b"bytes=-99999", [(0, SIZE)]),
    (b"bytes=0-18446744073709551616", [(0, SIZE)]),
    (b"bytes=-18446744073709551616", [(0, SIZE)]),
    (b"Bytes=0-0", [(0, 1)]),  # range units are case-insensitive (14.1)
    (b"bytes=0-0 , ,\t-1 ", [(0, 1), (SIZE - 1, SIZE)]),  # lists may hold empty elements (5.6.1.2)
    # None that can be satisfied: 416.
    (b"bytes=10000-", []),
    (b"bytes=10000-10001", []),
    (b"bytes=18446744073709551616-", []),
    (b"bytes=-0", []),
    (b"bytes=10000-,-0", []),
    # Those that can be, among those that cannot.
    (b"bytes=10000-,0-0", [(0, 1)]),
    # Merged: overlaps, and gaps smaller than the overhead of a part; the first asked for stays first.
    (b"bytes=0-99,150-199", [(0, 200)]),
    (b"bytes=0-99,1000-1099", [(0, 100), (1000, 1100)]),
    (b"bytes=5000-5099,0-99", [(5000, 5100), (0, 100)]),
    (b"bytes=5000-5099,0-99,5050-5200", [(5000, 5201), (0, 100)]),
    (b"bytes=0-,0-,0-", [(0, SIZE)]),
    (b"bytes=" + b",".join([b"0-"] * MOST), [(0, SIZE)]),
    # To be ignored (14.2): the whole file.
    (b"bytes=" + b",".join([b"0-"] * (MOST + 1)), None),
    (b"bytes=" + b",".join(b"%d-%d" % (at, at) for at in range(0, 1300 * 5, 5)), None),
    (b"bytes=5-2", None),
    (b"bytes=0-1,5-2", None),
    (b"bytes=-", None),
    (b"bytes=", None),
    (b"bytes=,", None),
    (b"bytes=a-b", None),
    (b"bytes=0", None),
    (b"bytes=0-1-2", None),
    (b"bytes=--1", None),
    (b"bytes=+0-1", None),
    (b"bytes=0x0-1", None),
    (b"bytes=0 - 1", None),
    (b"bytes=0-1;2-3", None),
    (b"bytes = 0-1", None),
    (b"bytes=0-" + b"9" * 21, None),
    (b"bytes=\xd9\xa1-2", None),
    (b"items=0-1", None),
    (b"bytes", None),
    (b"", None),
]


@pytest.mark.parametrize(("field", "spans"), ROWS)
def test_select(field, spans):
    assert select(field, SIZE) == spans


def test_an_empty_file_has_no_range():
    assert select(b"bytes=0-", 0) == []
    assert select(b"bytes=-0", 0) == []
    assert select(b"bytes=-5", 0) is None


def test_never_more_bytes_than_the_file_has():
    """CVE-2011-3192, CVE-2024-26141; every byte asked for is there."""
    random.seed(9110)
    for _ in range(2000):
        size = random.randrange(1, 3000)
        asked = [
            (first, first + random.randrange(900))
            for first in [random.randrange(size) for _ in range(random.randrange(1, 20))]
        ]
        spans = select(b"bytes=" + b",".join(b"%d-%d" % pair for pair in asked), size)
        sent = {at for first, end in spans for at in range(first, end)}
        assert len(sent) == sum(end - first for first, end in spans) <= size
        assert all(set(range(first, min(last + 1, size))) <= sent for first, last in asked)


def test_a_multipart_answer():
    spans = [(0, 5), (100, 101)]
    parts = Multipart(spans, 200, b"text/plain")
    boundary = parts.content_type.removeprefix(b"multipart/byteranges; boundary=")
    assert re.fullmatch(rb"[0-9a-f]{24}", boundary)
    first, second = parts.heads
    assert first == b"\r\n--%b\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-4/200\r\n\r\n" % boundary
    assert b"bytes 100-100/200" in second
    assert parts.end == b"\r\n--%b--\r\n" % boundary
    assert parts.length == len(first) + 5 + len(second) + 1 + len(parts.end)
    assert Multipart(spans, 200, b"text/plain").content_type != parts.content_type
    assert content_range((0, 1), 1) == b"bytes 0-0/1"
