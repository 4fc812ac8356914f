"""What the gate says about a request: every reason by name, at the byte that makes it one."""

import pytest

from tests.common.gate_driver import LIMITS, bytewise, parse, why
from trivet_common.http1 import request
from trivet_common.http1.errors import HttpError
from trivet_common.http1.framing import Chunked, Counted, NoBody
from trivet_common.http1.grammar import METHODS
from trivet_common.http1.request import RequestReader, body_framing

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a.example\r\n"


REASONS = [
    (b"GET / HTTP/1.1\n", "bad_head:bare_lf"),
    (b"GET / HTTP/1.1\rH", "bad_head:bare_cr"),
    (GET + b"\n", "bad_head:bare_lf"),
    (GET + b"X: a\rb", "bad_head:bare_cr"),
    (b"\n", "bad_head:bare_lf"),
    (b"\rX", "bad_head:bare_cr"),
    (b"\r\n\r", "bad_head:blank_lines"),
    (b"\x16", "bad_head:tls"),
    (b"\x00", "bad_head:method"),
    (b"G(T / HTTP/1.1\r\n", "bad_head:method"),
    (b"BREW / HTTP/1.1\r\n", "method_unknown"),
    (b"TRACE / HTTP/1.1\r\n", "method"),
    (b"CONNECT a:1 HTTP/1.1\r\n", "method"),
    (b"GET /  HTTP/1.1\r\n", "bad_head:request_line"),
    (b"GET /\r\n", "bad_head:version"),
    (b"GET / HTTP/2.0\r\n", "bad_head:version"),
    (b"GET / RTSP/1.0\r\n", "bad_head:protocol"),
    (b"GET a HTTP/1.1\r\n", "bad_head:target_form"),
    (b"GET * HTTP/1.1\r\n", "bad_head:target_form"),
    (b"GET ftp://a/ HTTP/1.1\r\n", "bad_head:target_form"),
    (b"GET /\xff HTTP/1.1\r\n", "bad_head:target"),
    (b"GET /# HTTP/1.1\r\n", "bad_head:target"),
    (b"GET http://a/#b HTTP/1.1\r\n", "bad_head:target"),
    (b"GET http://u@a/ HTTP/1.1\r\n", "bad_head:host_bad"),
    (b"GET /%zz HTTP/1.1\r\n", "bad_head:target_escape"),
    (b"GET /%00 HTTP/1.1\r\n", "bad_head:target_control"),
    (b"GET /a/%2e%2E HTTP/1.1\r\n", "bad_head:dot_segment"),
    (b"GET /" + b"a" * LIMITS.header_bytes, "bad_head:target_long"),
    (GET + b"X: " + b"a" * LIMITS.header_bytes, "bad_head:too_big"),
    (GET + b"X: y\r\n" * 100 + b"\r\n", "bad_head:too_many"),
    (GET + b"a b: c\r\n\r\n", "bad_head:field_name"),
    (GET + b"X: \x00\r\n\r\n", "bad_head:field_value"),
    (GET + b"nonsense\r\n\r\n", "bad_head:field_line"),
    (GET + b"X : y\r\n\r\n", "bad_head:colon_space"),
    (GET + b" X: y\r\n\r\n", "bad_head:fold"),
    (b"GET / HTTP/1.1\r\n\r\n", "bad_head:host_missing"),
    (GET + b"Host: a.example\r\n\r\n", "bad_head:host_twice"),
    (b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "bad_head:host_bad"),
    (b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "bad_head:host_mismatch"),
    (POST + b"Content-Length: +5\r\n\r\n", "bad_head:length_bad"),
    (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "bad_head:length_twice"),
    (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_head:length_and_coding"),
    (POST + b"Transfer-Encoding: identity\r\n\r\n", "bad_head:coding"),
    (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_head:coding"),
    (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "bad_head:coding_unknown"),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_head:coding_http10"),
    (GET + b"Expect: y\r\n\r\n", "expectation"),
]


@pytest.mark.parametrize(
    ("data", "reason"), REASONS, ids=[f"{reason}-{n}" for n, (_, reason) in enumerate(REASONS)]
)
def test_each_fault_has_its_reason(data: bytes, reason: str) -> None:
    assert why(lambda: RequestReader(LIMITS).feed(data)) == reason


@pytest.mark.parametrize(
    ("data", "reason"), REASONS, ids=[f"{reason}-{n}" for n, (_, reason) in enumerate(REASONS)]
)
def test_the_reason_is_found_at_the_byte_that_makes_it_one(data: bytes, reason: str) -> None:
    reader = RequestReader(LIMITS)

    def feed_all() -> None:
        for byte in bytewise(data):
            assert reader.feed(byte) is None

    assert why(feed_all) == reason


def test_what_llhttp_alone_refuses_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing we know of: should the two ever count fields differently, neither is believed."""
    monkeypatch.setattr(request, "cut_request", lambda head: [])
    with pytest.raises(HttpError) as caught:
        parse(b"X: a")
    assert (caught.value.status, caught.value.why) == (400, "bad_head:syntax")


def test_a_405_names_what_is_allowed() -> None:
    with pytest.raises(HttpError) as refused:
        parse(line=b"TRACE / HTTP/1.1")
    assert dict(refused.value.headers)[b"allow"].startswith(b"GET, HEAD, POST")


def test_a_refused_reader_stays_refused() -> None:
    reader = RequestReader(LIMITS)
    assert why(lambda: reader.feed(b"GET / HTTP/1.1\r\n\r\n")) == "bad_head:host_missing"
    assert why(lambda: reader.feed(GET + b"\r\n")) == "bad_head:host_missing"
    assert reader.take_rest() == b""


@pytest.mark.parametrize("method", sorted(METHODS))
def test_llhttp_knows_every_method_that_we_serve(method: bytes) -> None:
    assert parse(b"X: y", line=method + b" / HTTP/1.1").method == method


def test_framing_of_the_body() -> None:
    assert isinstance(body_framing(parse()), NoBody)
    assert isinstance(body_framing(parse(b"Content-Length: 0")), NoBody)
    counted = body_framing(parse(b"Content-Length: 007"))
    assert isinstance(counted, Counted)
    assert repr(counted) == "<Counted 7 to come>"
    assert isinstance(body_framing(parse(b"Transfer-Encoding: Chunked")), Chunked)
    with pytest.raises(HttpError, match="413 why=too_large"):
        body_framing(parse(b"Content-Length: 6"), limit=5)


def test_requests_follow_one_another() -> None:
    reader = RequestReader(LIMITS)
    head = reader.feed(GET + b"\r\n" + POST + b"Content-Length: 2\r\n\r\nhiG")
    assert head is not None
    assert head.method == b"GET"
    head = reader.feed(reader.take_rest())
    assert head is not None
    assert head.content_length == 2
    assert reader.take_rest() == b"hiG"
    assert reader.is_between_requests
    assert reader.feed(b"G") is None
    assert not reader.is_between_requests
    head = reader.feed(memoryview(GET[1:] + b"\r\n"))
    assert head is not None
    assert head.host == "a.example"
    assert reader.is_between_requests
    assert reader.take_rest() == b""


def test_an_empty_line_is_not_yet_a_request() -> None:
    reader = RequestReader(LIMITS)
    for _ in range(3):
        for byte in (b"\r", b"\n"):
            assert reader.feed(byte) is None
            assert reader.is_between_requests
        assert reader.feed(GET + b"\r\n") is not None
    assert reader.feed(b"\r\n" + GET + b"\r\n") is not None
