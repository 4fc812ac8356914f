"""What the gate says about an upstream's answer, and that no head of ours can be split."""

from collections.abc import Callable, Iterator

import pytest

from tests.common.gate_driver import bytewise
from trivet_common.http1.errors import HttpError, Source
from trivet_common.http1.framing import Chunked, Counted, NoBody, UntilClose
from trivet_common.http1.response import (
    STATUS_LINES,
    ResponseHead,
    ResponseReader,
    body_framing,
    build_response_head,
    parse_response_head,
)

OK = b"HTTP/1.1 200 OK\r\n"

BAD = {
    "lf-after-status-line": b"HTTP/1.1 200 OK\nX: y\r\n\r\n",
    "lf-after-field": OK + b"X: y\nA: b\r\n\r\n",
    "lf-only": b"HTTP/1.1 200 OK\n\n",
    "cr-in-value": OK + b"X: a\rb\r\n\r\n",
    "cr-after-status-line": b"HTTP/1.1 200 OK\rX: y\r\n\r\n",
    "fold": OK + b"X: a\r\n b\r\n\r\n",
    "space-before-colon": OK + b"X : y\r\n\r\n",
    "no-colon": OK + b"nonsense\r\n\r\n",
    "empty-name": OK + b": y\r\n\r\n",
    "nul": OK + b"X: \x00\r\n\r\n",
    "control": OK + b"X: \x01\r\n\r\n",
    "high-byte-in-name": OK + b"\xe4: y\r\n\r\n",
    "length-and-coding": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding-and-length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "two-lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "two-same-lengths": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "length-list": OK + b"Content-Length: 5, 5\r\n\r\n",
    "length-minus": OK + b"Content-Length: -5\r\n\r\n",
    "length-plus": OK + b"Content-Length: +5\r\n\r\n",
    "length-empty": OK + b"Content-Length:\r\n\r\n",
    "length-huge": OK + b"Content-Length: 99999999999999999999\r\n\r\n",
    "coding-gzip": OK + b"Transfer-Encoding: gzip\r\n\r\n",
    "coding-stacked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "coding-chunked-first": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "coding-identity": OK + b"Transfer-Encoding: identity\r\n\r\n",
    "coding-twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding-empty": OK + b"Transfer-Encoding:\r\n\r\n",
    "coding-http10": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "status-099": b"HTTP/1.1 099 X\r\n\r\n",
    "status-600": b"HTTP/1.1 600 X\r\n\r\n",
    "status-999": b"HTTP/1.1 999 X\r\n\r\n",
    "status-short": b"HTTP/1.1 20 OK\r\n\r\n",
    "status-long": b"HTTP/1.1 2000 OK\r\n\r\n",
    "status-word": b"HTTP/1.1 abc OK\r\n\r\n",
    "status-missing": b"HTTP/1.1 \r\n\r\n",
    "reason-control": b"HTTP/1.1 200 O\x01K\r\n\r\n",
    "reason-escape": b"HTTP/1.1 200 \x1b[31m\r\n\r\n",
    "reason-nul": b"HTTP/1.1 200 O\x00K\r\n\r\n",
    "version-2.0": b"HTTP/2.0 200 OK\r\n\r\n",
    "version-1.2": b"HTTP/1.2 200 OK\r\n\r\n",
    "version-0.9": b"HTTP/0.9 200 OK\r\n\r\n",
    "rtsp": b"RTSP/1.0 200 OK\r\n\r\n",
    "icecast": b"ICY 200 OK\r\n\r\n",
    "lower-case": b"http/1.1 200 OK\r\n\r\n",
    "two-spaces": b"HTTP/1.1  200 OK\r\n\r\n",
    "tab": b"HTTP/1.1\t200 OK\r\n\r\n",
    "empty-line-first": b"\r\n" + OK + b"\r\n",
    "rubbish": b"hello world\r\n\r\n",
    "html": b"<html>",
    "tls": b"\x15\x03\x01",
    "too-big": OK + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    "without-end": OK + b"X: " + b"a" * 70_000,
    "line-without-end": b"HTTP/1.1 200 " + b"a" * 70_000,
}


@pytest.mark.parametrize("name", BAD)
def test_bad_answers_are_refused(name: str) -> None:
    assert refusal([BAD[name]]) == refusal(bytewise(BAD[name]))


def refusal(pieces: list[bytes] | Iterator[bytes]) -> str:
    reader = ResponseReader()

    def feed_all() -> None:
        for piece in pieces:
            assert reader.feed(piece) is None

    with pytest.raises(HttpError) as refused:
        feed_all()
    error = refused.value
    assert (error.status, error.why, error.source) == (502, "upstream_bad", Source.UPSTREAM)
    with pytest.raises(HttpError) as again:
        reader.feed(OK + b"\r\n")
    assert again.value.detail == error.detail
    return error.detail


def parse(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK") -> ResponseHead:
    return parse_response_head(b"\r\n".join([line, *fields, b"", b""]))


def test_an_answer_is_taken_apart() -> None:
    head = parse(
        b"Content-Type: text/plain", b"Set-Cookie: a", b"set-cookie:\tb ", b"X_App: kept", b"Connection: X-A"
    )
    assert (head.status, head.reason, head.is_http10, head.keep_alive) == (200, b"OK", False, True)
    assert head.headers == [
        (b"content-type", b"text/plain"),
        (b"set-cookie", b"a"),
        (b"set-cookie", b"b"),
        (b"x_app", b"kept"),
        (b"connection", b"X-A"),
    ]
    assert head.hop_by_hop == {b"x-a"}
    assert head.get(b"set-cookie") == b"a"
    assert head.get(b"nothing") is None


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        (b"HTTP/1.1 404 Not Found", 404, b"Not Found"),
        (b"HTTP/1.1 200 ", 200, b""),
        (b"HTTP/1.1 200", 200, b""),
        (b"HTTP/1.0 599 \xfc\tx", 599, b"\xfc\tx"),
    ],
)
def test_status_lines(line: bytes, status: int, reason: bytes) -> None:
    head = parse(b"X: y", line=line)
    assert (head.status, head.reason) == (status, reason)


@pytest.mark.parametrize(
    ("line", "connection", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK", None, True),
        (b"HTTP/1.1 200 OK", b"Close", False),
        (b"HTTP/1.1 200 OK", b"keep-alive, close", False),
        (b"HTTP/1.0 200 OK", None, False),
        (b"HTTP/1.0 200 OK", b"Keep-Alive", True),
    ],
)
def test_keep_alive(line: bytes, connection: bytes | None, keep_alive: bool) -> None:
    fields = [b"Connection: " + connection] if connection is not None else []
    assert parse(*fields, line=line).keep_alive is keep_alive


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
@pytest.mark.parametrize("status", [100, 101, 103, 200, 204, 304, 404, 500])
@pytest.mark.parametrize(
    "field", [None, b"Content-Length: 5", b"Content-Length: 0", b"Transfer-Encoding: chunked"]
)
def test_framing_is_decided_by_method_and_status_first(
    method: bytes, status: int, field: bytes | None
) -> None:
    head = parse(*([field] if field else []), line=b"HTTP/1.1 %d X" % status)
    body = body_framing(method, head)
    assert body.source is Source.UPSTREAM
    if method == b"HEAD" or status < 200 or status in (204, 304):
        assert isinstance(body, NoBody)
    elif field is None:
        assert isinstance(body, UntilClose)
    else:
        assert isinstance(body, Chunked if b"chunked" in field else Counted)


def test_faults_of_its_body_are_the_upstreams() -> None:
    for head, data in (
        (parse(b"Content-Length: 5"), b"abc"),
        (parse(b"Transfer-Encoding: chunked"), b"5\r\nabc"),
    ):
        body = body_framing(b"GET", head)
        body.feed(data)
        with pytest.raises(HttpError, match="502 why=upstream_bad"):
            body.eof()
    chunked = body_framing(b"GET", parse(b"Transfer-Encoding: chunked"))
    with pytest.raises(HttpError, match="502 why=upstream_bad"):
        chunked.feed(b"ffffffffffffffff\r\n")


def test_interim_answers_come_before_the_final_one() -> None:
    reader = ResponseReader()
    assert reader.is_empty
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + b"\r\nrest"
    seen = []
    while (head := reader.feed(data)) is not None:
        seen.append(head.status)
        data = reader.take_rest()
        if head.status >= 200:
            break
    assert seen == [100, 103, 200]
    assert data == b"rest"
    assert reader.is_empty
    reader.feed(b"H")
    assert not reader.is_empty


def test_heads_are_written() -> None:
    assert build_response_head(200, None, []) == b"HTTP/1.1 200 OK\r\n\r\n"
    assert build_response_head(299, None, [(b"a", b"")]) == b"HTTP/1.1 299 \r\na: \r\n\r\n"
    assert (
        build_response_head(404, b"Gone Fishing", [(b"a", b"b")])
        == b"HTTP/1.1 404 Gone Fishing\r\na: b\r\n\r\n"
    )
    assert STATUS_LINES[503] == b"HTTP/1.1 503 Service Unavailable\r\n"
    assert STATUS_LINES[499].startswith(b"HTTP/1.1 499 ")


@pytest.mark.parametrize("evil", [b"a\r\nX: y", b"a\nX: y", b"a\rb", b"\r\n\r\nbody"])
def test_no_head_can_be_split(evil: bytes) -> None:
    attempts: list[Callable[[], bytes]] = [
        lambda: build_response_head(200, None, [(b"a", evil)]),
        lambda: build_response_head(200, None, [(evil, b"b")]),
        lambda: build_response_head(200, evil, [(b"a", b"b")]),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match="CR or LF"):
            attempt()


def test_what_is_written_can_be_read() -> None:
    headers = [(b"a", b"b"), (b"content-length", b"0"), (b"x", b"\xff")]
    for status in STATUS_LINES:
        head = parse_response_head(build_response_head(status, None, headers))
        assert (head.status, head.headers) == (status, headers)
