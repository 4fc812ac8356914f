"""llhttp cuts heads for us, and what it would do wrong with a body it never gets to do."""

import pytest

from trivet_common.http1.cutting import cut_request, cut_response


def test_fields_are_cut() -> None:
    assert cut_request(b"GET / HTTP/1.1\r\nHost:a\r\nX-B: \t c d\t \r\nEmpty:\r\n\r\n") == [
        (b"host", b"a"),
        (b"x-b", b"c d"),
        (b"empty", b""),
    ]
    assert cut_response(b"HTTP/1.1 200 OK\r\nA: b\r\na: c\r\n\r\n") == [(b"a", b"b"), (b"a", b"c")]


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: y"])
def test_an_upgrade_ends_nothing(framing: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n" + framing + b"\r\n\r\n"
    assert len(cut_request(head)) == 4


def test_a_switch_of_protocols_ends_nothing() -> None:
    assert cut_response(b"HTTP/1.1 101 X\r\nContent-Length: 0\r\n\r\n") == [(b"content-length", b"0")]


@pytest.mark.parametrize("line", [b"a b: c", b"nonsense", b" X: y", b"X: \x00", b"Content-Length: x"])
def test_a_refusal_leaves_no_fields(line: bytes) -> None:
    assert cut_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n") == []
