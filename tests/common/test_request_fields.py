"""What the fields of a request say, once they say one thing only."""

import pytest

from tests.common.gate_driver import parse


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
    assert head.hop_by_hop == nominated


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
    assert parse(asked[0], b"Upgrade: H2C").upgrade is None
    for body in (b"Content-Length: 1", b"Transfer-Encoding: chunked"):
        head = parse(*asked, body)
        assert head.upgrade is None
        assert head.has_body


def test_expect_waits_only_for_a_body() -> None:
    expect = b"Expect: 100-Continue"
    assert parse(expect, b"Content-Length: 1").expects_continue
    assert parse(expect, b"Transfer-Encoding: chunked").expects_continue
    assert not parse(expect, b"Content-Length: 0").expects_continue
    assert not parse(expect).expects_continue
    assert not parse(expect, b"Content-Length: 1", line=b"POST / HTTP/1.0").expects_continue
