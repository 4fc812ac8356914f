"""The decoders of bodies: what they give, where they end, and what they call an end."""

import pytest

from tests.common.gate_driver import feed_body
from trivet_common.http1.errors import HttpError, Source
from trivet_common.http1.framing import Chunked, Counted, NoBody, UntilClose


def test_no_body() -> None:
    body = NoBody()
    assert body.is_complete
    assert body.feed(b"next") == b""
    assert body.rest == b"next"
    body.eof()


def test_counted() -> None:
    body = Counted(5)
    assert feed_body(body, b"he") == b"he"
    assert not body.is_complete
    assert feed_body(body, b"lloGET") == b"llo"
    assert (body.is_complete, body.rest) == (True, b"GET")
    body.eof()
    assert Counted(0).is_complete


def test_counted_takes_any_buffer() -> None:
    body = Counted(3)
    assert body.feed(memoryview(b"abcd")) == b"abc"
    assert body.rest == b"d"


def test_truncation_is_an_error() -> None:
    for body, data in ((Counted(5), b"hell"), (Chunked(), b"0\r\n"), (Chunked(), b"")):
        feed_body(body, data)
        with pytest.raises(HttpError, match="bad_body:truncated"):
            body.eof()


def test_until_close() -> None:
    body = UntilClose(Source.UPSTREAM)
    assert feed_body(body, b"a", b"b") == b"ab"
    assert not body.is_complete
    body.eof()
    assert body.is_complete


def test_limits_are_known_early() -> None:
    with pytest.raises(HttpError, match="too_large"):
        Counted(6, limit=5)
