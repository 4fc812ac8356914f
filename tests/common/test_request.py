"""What the gate says about a request: every reason by name, and the meaning of what it lets through."""

import time
from collections.abc import Callable

import pytest

from tests.common.gate_driver import LIMITS, bytewise
from trivet_common.http1.collector import find_head_end
from trivet_common.http1.errors import HttpError, Source
from trivet_common.http1.framing import Chunked, Counted, NoBody
from trivet_common.http1.grammar import METHODS
from trivet_common.http1.request import (
    HeadLimits,
    RequestHead,
    RequestReader,
    body_framing,
    parse_request_head,
)

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a.example\r\n"


def parse(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes | None = b"a.example") -> RequestHead:
    lines = [line, *([b"Host: " + host] if host is not None else []), *fields, b"", b""]
    return parse_request_head(b"\r\n".join(lines), LIMITS)


def why(read: Callable[[], object]) -> str:
    with pytest.raises(HttpError) as refused:
        read()
    assert refused.value.source is Source.CLIENT
    return refused.value.why


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


# The target.


@pytest.mark.parametrize(
    ("target", "raw_path", "path", "query"),
    [
        (b"/", b"/", b"/", b""),
        (b"/a/b/", b"/a/b/", b"/a/b/", b""),
        (b"/?", b"/", b"/", b""),
        (b"/a?b=c?d/e", b"/a", b"/a", b"b=c?d/e"),
        (b"/?a=%zz&b=100%", b"/", b"/", b"a=%zz&b=100%"),
        (b"/%61%2Fb%20c", b"/%61%2Fb%20c", b"/a/b c", b""),
        (b"//a///b//", b"//a///b//", b"/a/b/", b""),
        (b"/a%2f%2Fb", b"/a%2f%2Fb", b"/a/b", b""),
        (b"/%252e%252e/", b"/%252e%252e/", b"/%2e%2e/", b""),
        (b"/%c0%af", b"/%c0%af", b"/\xc0\xaf", b""),
        (b"/..a/b../...", b"/..a/b../...", b"/..a/b../...", b""),
        (b"/a%5cb", b"/a%5cb", b"/a\\b", b""),
        (b"/a|b?{c}^`\\", b"/a%7Cb", b"/a|b", b"%7Bc%7D%5E%60%5C"),
        (b"/[a]?[b]", b"/[a]", b"/[a]", b"[b]"),
        (b"http://a.example", b"/", b"/", b""),
        (b"http://a.example/%41?b", b"/%41", b"/A", b"b"),
        (b"HTTPS://A.example:443?b", b"/", b"/", b"b"),
    ],
)
def test_target_is_taken_apart(target: bytes, raw_path: bytes, path: bytes, query: bytes) -> None:
    head = parse(line=b"GET " + target + b" HTTP/1.1")
    assert (head.raw_path, head.path, head.query) == (raw_path, path, query)
    assert head.target.partition(b"?")[::2] == (raw_path, query)


def test_star_is_for_options() -> None:
    head = parse(line=b"OPTIONS * HTTP/1.1")
    assert (head.target, head.path) == (b"*", b"*")
    assert parse(line=b"OPTIONS http://a.example HTTP/1.1").path == b"*"


@pytest.mark.parametrize(
    ("value", "host", "authority"),
    [
        (b"a.example", "a.example", b"a.example"),
        (b"A.Example:8000", "a.example", b"a.example:8000"),
        (b"a.example.", "a.example", b"a.example"),
        (b"a.example.:80", "a.example", b"a.example:80"),
        (b"127.0.0.1:1", "127.0.0.1", b"127.0.0.1:1"),
        (b"[::1]", "[::1]", b"[::1]"),
        (b"[2001:DB8::1]:65535", "[2001:db8::1]", b"[2001:db8::1]:65535"),
        (b"[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]", b"[::ffff:192.0.2.1]"),
        (b"my_app", "my_app", b"my_app"),
    ],
)
def test_host_has_one_form(value: bytes, host: str, authority: bytes) -> None:
    head = parse(host=value)
    assert (head.host, head.authority, head.get(b"host")) == (host, authority, authority)


def test_host_of_http10_may_be_missing() -> None:
    head = parse(line=b"GET / HTTP/1.0", host=None)
    assert (head.host, head.authority, head.get(b"host")) == ("", b"", None)
    head = parse(line=b"GET http://A/b HTTP/1.0", host=None)
    assert (head.host, head.get(b"host")) == ("a", b"a")


def test_names_of_many_hosts_are_not_kept() -> None:
    for number in range(2000):
        assert parse(host=b"h%d.example" % number).host == f"h{number}.example"


# The fields.


def test_names_are_lowered_and_values_stripped() -> None:
    head = parse(b"X-Thing: \t a  b \t", b"COOKIE:c=\xfc", b"Empty:", b"x-thing: 2")
    assert head.headers == [
        (b"host", b"a.example"),
        (b"x-thing", b"a  b"),
        (b"cookie", b"c=\xfc"),
        (b"empty", b""),
        (b"x-thing", b"2"),
    ]
    assert head.get(b"x-thing") == b"a  b"
    assert head.get(b"nothing") is None


def test_what_no_client_may_say_is_dropped() -> None:
    names = [
        b"X_Forwarded_For",
        b"Proxy",
        b"X-Accel-Redirect",
        b"x-sendfile-type",
        b"a.b",
        b"Content_Length",
        b"-",
    ]
    head = parse(*[name + b": 5" for name in names], b"Proxy-Thing: ok")
    assert head.dropped == [name.lower() for name in names]
    assert head.headers == [(b"host", b"a.example"), (b"proxy-thing", b"ok")]
    assert not head.has_body


@pytest.mark.parametrize(
    ("version", "value", "keep_alive", "nominated"),
    [
        (b"1.1", None, True, set()),
        (b"1.1", b"keep-alive", True, set()),
        (b"1.1", b"Close", False, set()),
        (b"1.1", b"close, keep-alive", False, set()),
        (b"1.1", b"Keep-Alive, X-Forwarded-For,x-a,", True, {b"x-forwarded-for", b"x-a"}),
        (b"1.1", b"Host, Content-Length, transfer-Encoding, cookie", True, {b"cookie"}),
        (b"1.1", b"two words, a;b", True, set()),
        (b"1.0", None, False, set()),
        (b"1.0", b"Keep-Alive", True, set()),
        (b"1.0", b"te, keep-alive", True, set()),
    ],
)
def test_connection(version: bytes, value: bytes | None, keep_alive: bool, nominated: set[bytes]) -> None:
    fields = [b"Connection: " + value] if value is not None else []
    head = parse(*fields, line=b"GET / HTTP/" + version)
    assert head.keep_alive is keep_alive
    assert {name for name in head.hop_by_hop if name not in (b"close", b"keep-alive")} == nominated


def test_two_connection_fields_are_one_list() -> None:
    head = parse(b"Connection: x-a", b"Connection: close")
    assert not head.keep_alive
    assert b"x-a" in head.hop_by_hop


def test_upgrade_is_seen_only_where_it_may_happen() -> None:
    asked = (b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket")
    assert parse(*asked).upgrade == b"websocket"
    assert parse(*asked, line=b"GET / HTTP/1.0").upgrade is None
    assert parse(asked[1]).upgrade is None
    assert parse(asked[0]).upgrade is None
    assert parse(*asked, b"Upgrade: h2c").upgrade is None
    assert parse(*asked, b"Content-Length: 0").upgrade == b"websocket"
    for body in (b"Content-Length: 1", b"Transfer-Encoding: chunked"):
        head = parse(*asked, body)
        assert head.upgrade is None
        assert head.has_body


def test_framing_of_the_body() -> None:
    assert isinstance(body_framing(parse()), NoBody)
    assert isinstance(body_framing(parse(b"Content-Length: 0")), NoBody)
    counted = body_framing(parse(b"Content-Length: 007"))
    assert isinstance(counted, Counted)
    assert counted.remaining == 7
    assert isinstance(body_framing(parse(b"Transfer-Encoding: Chunked")), Chunked)
    with pytest.raises(HttpError, match="413 why=too_large"):
        body_framing(parse(b"Content-Length: 6"), limit=5)


def test_expect_waits_only_for_a_body() -> None:
    expect = b"Expect: 100-Continue"
    assert parse(expect, b"Content-Length: 1").expects_continue
    assert parse(expect, b"Transfer-Encoding: chunked").expects_continue
    assert not parse(expect, b"Content-Length: 0").expects_continue
    assert not parse(expect).expects_continue
    assert not parse(expect, b"Content-Length: 1", line=b"POST / HTTP/1.0").expects_continue


# Collecting.


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


def test_limits_count_whole_heads() -> None:
    exact = GET + b"X: " + b"a" * (200 - len(GET) - 7) + b"\r\n\r\n"
    assert len(exact) == 200
    limits = HeadLimits(200, 2)
    assert RequestReader(limits).feed(exact + b"body") is not None
    assert why(lambda: RequestReader(HeadLimits(199, 2)).feed(exact)) == "bad_head:too_big"
    assert why(lambda: RequestReader(HeadLimits(200, 1)).feed(exact)) == "bad_head:too_many"


def test_find_head_end_resumes() -> None:
    head = bytearray(GET + b"\r\n")
    for searched in range(len(head)):
        assert find_head_end(head, searched) == len(head)
    assert find_head_end(head[:-1], 0) == -1


def test_small_pieces_cost_no_more_than_linear_time() -> None:
    def cost(size: int) -> float:
        data = GET + b"X: " + b"a" * size
        reader = RequestReader(HeadLimits(10**6, 100))
        started = time.process_time()
        for byte in bytewise(data):
            reader.feed(byte)
        return time.process_time() - started

    small, large = min(cost(8_000) for _ in range(3)), min(cost(64_000) for _ in range(2))
    assert large < 24 * small  # eight times the bytes; quadratic would be 64
