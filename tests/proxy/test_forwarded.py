"""forwarded.py: the forwarding headers in both directions, and who is believed."""

import dataclasses
from types import SimpleNamespace

import pytest

from trivet_common.config.addresses import parse_networks
from trivet_common.http1.request import HeadLimits, RequestReader
from trivet_common.http1.response import ResponseReader
from trivet_proxy.forwarded import (
    ResponseSieve,
    build_upstream_head,
    client_of,
    parse_hop,
    response_headers_for_client,
)
from trivet_proxy.request import Client

STRANGER = Client("192.0.2.7", "192.0.2.7", "http", 80, "192.0.2.7", False)
BEHIND_A_PROXY = Client("198.51.100.4", "10.0.0.2", "https", 443, "198.51.100.4, 10.0.0.2", True)


def parse(*lines, target=b"/a?b"):
    raw = b"\r\n".join([b"GET %b HTTP/1.1" % target, b"host: example.com", *lines, b"", b""])
    return RequestReader(HeadLimits()).feed(raw)


def forward(*lines, client=STRANGER, framing=b"", extra=(), target=b"/a?b", hidden=(), added=()):
    asked = parse(*lines, target=target)
    request = SimpleNamespace(
        head=asked,
        asked=asked,
        client=client,
        request_id="abc",
        hidden=frozenset(hidden),
        added=added,
    )
    head = build_upstream_head(request, framing, extra)
    upstream = RequestReader(HeadLimits()).feed(head)
    assert upstream is not None
    return upstream


def values(head, name):
    return [value for field, value in head.headers if field == name]


def test_what_a_client_says_goes_on_and_what_we_know_is_added():
    head = forward(
        b"cookie: a=1", b"x-custom: 1", framing=b"\r\ncontent-length: 3", extra=[b"\r\ntrivet-claim: 1 2"]
    )
    assert (head.method, head.target, head.authority) == (b"GET", b"/a?b", b"example.com")
    assert dict(head.headers) == {
        b"host": b"example.com",
        b"cookie": b"a=1",
        b"x-custom": b"1",
        b"x-forwarded-for": b"192.0.2.7",
        b"x-forwarded-host": b"example.com",
        b"x-forwarded-port": b"80",
        b"x-forwarded-proto": b"http",
        b"x-real-ip": b"192.0.2.7",
        b"x-request-id": b"abc",
        b"content-length": b"3",
        b"trivet-claim": b"1 2",
    }


def test_fields_that_come_twice_go_on_twice():
    assert values(forward(b"accept: a", b"accept: b"), b"accept") == [b"a", b"b"]


@pytest.mark.parametrize(
    "line",
    [
        b"connection: keep-alive",
        b"keep-alive: timeout=5",
        b"proxy-connection: keep-alive",
        b"te: trailers",
        b"trailer: x",
        b"upgrade: websocket",
        b"http2-settings: AAA",
        b"proxy: http://evil",
        b"forwarded: for=1.2.3.4",
        b"x-accel-redirect: /etc/passwd",
        b"x-sendfile-type: X-Accel-Redirect",
        b"trivet-claim: 1 1",
        b"trivet-mount: /evil",
        b"x-client-ip: 1.2.3.4",
        b"true-client-ip: 1.2.3.4",
        b"cf-connecting-ip: 1.2.3.4",
        b"x-original-url: /admin",
        b"x-rewrite-url: /admin",
        b"x-forwarded-prefix: /evil",
        b"x-forwarded-ssl: on",
        b"x-scheme: https",
        b"x-ssl-client-s-dn: CN=admin",
    ],
)
def test_what_a_client_may_not_say_is_dropped(line):
    assert forward(line).get(line.partition(b":")[0]) is None


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        (b"X-Forwarded-For: 1.2.3.4", b"192.0.2.7"),
        (b"X-Real-IP: 1.2.3.4", b"192.0.2.7"),
        (b"X-Forwarded-Proto: https", b"http"),
        (b"X-Forwarded-Host: evil", b"example.com"),
        (b"X-Forwarded-Port: 1", b"80"),
        (b"X-Request-ID: evil", b"abc"),
    ],
)
def test_what_a_client_forges_is_overwritten(line, ours):
    name = line.partition(b":")[0].lower()
    assert values(forward(line), name) == [ours]
    nominated = forward(line, b"connection: close, %b" % name)
    assert values(nominated, name) == [ours]


def test_what_connection_names_ends_here():
    head = forward(b"x-hop: 1", b"cookie: a", b"connection: X-Hop, cookie, host, x-real-ip")
    assert head.get(b"x-hop") is None
    assert head.get(b"cookie") is None
    assert head.authority == b"example.com"
    assert head.get(b"x-real-ip") == b"192.0.2.7"


def test_a_flood_of_names_is_not_remembered():
    for number in range(3000):
        assert forward(b"x-flood-%d: 1" % number).get(b"x-flood-%d" % number) == b"1"
    assert forward(b"x-forwarded-flood: 1").get(b"x-forwarded-flood") is None


def test_what_is_hidden_is_hidden_of_known_fields_too():
    """They stay known where nobody said what is hidden: with forward_auth names are hidden on all routes."""
    lines = [b"cookie: a=1", b"remote-role: admin", b"x-custom: 1"]
    for hidden in ([], [b"remote-role"], [b"x-other"], [b"remote-role", b"x-other"], []):
        head = forward(*lines, hidden=hidden)
        assert values(head, b"remote-role") == ([] if b"remote-role" in hidden else [b"admin"])
        assert values(head, b"x-custom") == [b"1"]
    other = [b"cookie: b=1"]
    parse(*other)
    forward(*other, hidden=[b"remote-role"])
    assert b"b=1" in parse(*other).found["for client"]


def test_a_trusted_peer_may_say_more():
    head = forward(
        b"x-ssl-client-verify: SUCCESS", b"x-forwarded-host: shop.example", b"x-forwarded-prefix: /p",
        b"trivet-claim: 1 1", client=BEHIND_A_PROXY,
    )  # fmt: skip
    assert head.get(b"x-ssl-client-verify") == b"SUCCESS"
    assert head.get(b"x-forwarded-prefix") == b"/p"
    assert head.get(b"x-forwarded-host") == b"shop.example"
    assert head.authority == b"example.com"
    assert head.get(b"x-forwarded-for") == b"198.51.100.4, 10.0.0.2"
    assert head.get(b"trivet-claim") is None


@pytest.mark.parametrize("client", [STRANGER, BEHIND_A_PROXY])
def test_what_gates_add_stands_whatever_the_client_says(client):
    head = forward(
        b"x-remote-user: root",
        b"remote-groups: admins",
        b"authorization: Basic YTpi",
        b"connection: x-remote-user",
        client=client,
        hidden=[b"authorization", b"remote-groups", b"x-remote-user"],
        added=((b"x-remote-user", b"ann"),),
    )
    assert values(head, b"x-remote-user") == [b"ann"]
    assert head.get(b"authorization") is head.get(b"remote-groups") is None


def test_an_absolute_target_goes_on_in_origin_form():
    head = forward(target=b"http://example.com/x?y")
    assert (head.target, values(head, b"host")) == (b"/x?y", [b"example.com"])


def test_http10_without_a_host_still_makes_a_valid_head():
    old = RequestReader(HeadLimits()).feed(b"GET / HTTP/1.0\r\n\r\n")
    request = SimpleNamespace(
        head=old, asked=old, client=STRANGER, request_id="abc", hidden=frozenset(), added=()
    )
    head = RequestReader(HeadLimits()).feed(build_upstream_head(request, b""))
    assert head.authority == b"localhost"


# Who is believed.


def who(
    *lines, peer="10.0.0.2", trusted=("10.0.0.0/8",), client_ip="X-Forwarded-For", scheme="http", host=b"h"
):
    raw = b"\r\n".join([b"GET / HTTP/1.1", b"host: " + host, *lines, b"", b""])
    head = RequestReader(HeadLimits()).feed(raw)
    settings = SimpleNamespace(trusted_proxies=parse_networks(list(trusted)), client_ip=client_ip)
    return client_of(peer, head, settings, scheme)


def test_a_stranger_is_believed_nothing():
    client = who(
        b"x-forwarded-for: 1.2.3.4", b"x-forwarded-proto: https", b"x-forwarded-port: 9", peer="192.0.2.7"
    )
    assert client == STRANGER


@pytest.mark.parametrize(
    ("chain", "address", "passed_on"),
    [
        (b"1.2.3.4", "1.2.3.4", "1.2.3.4, 10.0.0.2"),
        (b"6.6.6.6, 1.2.3.4", "1.2.3.4", "1.2.3.4, 10.0.0.2"),
        (b"1.2.3.4, 10.9.9.9", "1.2.3.4", "1.2.3.4, 10.9.9.9, 10.0.0.2"),
        (b"10.1.1.1, 10.9.9.9", "10.1.1.1", "10.1.1.1, 10.9.9.9, 10.0.0.2"),
        (b"1.2.3.4, unknown", "10.0.0.2", "10.0.0.2"),
        (b"1.2.3.4, <script>, 10.9.9.9", "10.9.9.9", "10.9.9.9, 10.0.0.2"),
        (b"", "10.0.0.2", "10.0.0.2"),
        (b"1.2.3.4:5678", "1.2.3.4", "1.2.3.4, 10.0.0.2"),
        (b"[2001:db8::1]:80", "2001:db8::1", "2001:db8::1, 10.0.0.2"),
        (b"2001:DB8::1", "2001:db8::1", "2001:db8::1, 10.0.0.2"),
    ],
)
def test_the_rightmost_hop_nobody_vouches_for_is_the_client(chain, address, passed_on):
    client = who(b"x-forwarded-for: " + chain)
    assert (client.address, client.forwarded_for, client.peer) == (address, passed_on, "10.0.0.2")


def test_a_chain_in_several_fields_is_one_chain():
    assert who(b"x-forwarded-for: 6.6.6.6", b"x-forwarded-for: 1.2.3.4").address == "1.2.3.4"


def test_a_chain_of_a_thousand_trusted_hops_costs_no_more_than_32():
    assert who(b"x-forwarded-for: " + b",".join([b"10.1.1.1"] * 1000)).forwarded_for.count(",") == 32


@pytest.mark.parametrize("name", ["CF-Connecting-IP", "X-Real-IP"])
def test_another_header_may_name_the_client(name):
    field = name.lower().encode()
    client = who(field + b": 1.2.3.4", b"x-forwarded-for: 6.6.6.6", client_ip=name)
    assert (client.address, client.forwarded_for) == ("1.2.3.4", "1.2.3.4, 10.0.0.2")
    assert who(field + b": rubbish", client_ip=name).address == "10.0.0.2"


@pytest.mark.parametrize(
    ("said", "scheme"),
    [(b"https", "https"), (b"HTTP", "http"), (b"http, https", "https"), (b"gopher", "http")],
)
def test_the_scheme_of_a_trusted_peer(said, scheme):
    assert who(b"x-forwarded-proto: " + said).scheme == scheme


def test_ports():
    assert who(peer="192.0.2.7").port == 80
    assert who(peer="192.0.2.7", scheme="https").port == 443
    assert who(peer="192.0.2.7", host=b"h:8080").port == 8080
    assert who(peer="192.0.2.7", host=b"[::1]").port == 80
    assert who(b"x-forwarded-proto: https").port == 443
    assert who(b"x-forwarded-port: 8443").port == 8443
    assert who(b"x-forwarded-port: 99999").port == 80
    assert who(b"x-forwarded-host: shop.example:81").port == 81


def test_a_unix_socket():
    unknown = who(b"x-forwarded-for: 1.2.3.4", peer=None)
    assert (unknown.address, unknown.forwarded_for, unknown.is_trusted) == ("", "", False)
    believed = who(b"x-forwarded-for: 1.2.3.4", peer=None, trusted=("unix",))
    assert (believed.address, believed.forwarded_for) == ("1.2.3.4", "1.2.3.4")


@pytest.mark.parametrize(
    "text", [b"", b"x", b"1.2.3", b"1.2.3.4.5", b"fe80::1%eth0", b"::1]", b"\xff", b"1" * 100]
)
def test_what_is_no_address(text):
    assert parse_hop(text) is None


@pytest.mark.parametrize(
    "text", [b"192.0.2.7", b"192.0.2.7:80", b"::ffff:192.0.2.7", b"[::ffff:c000:207]:80"]
)
def test_a_client_has_one_name(text):
    """A dual-stack proxy writes IPv4 as IPv6: the log then named somebody whom no ban was for."""
    assert parse_hop(text) == "192.0.2.7"


# On the way back.


def sieved(*lines, tell=lambda name: None):
    raw = b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""])
    return dict(response_headers_for_client(ResponseReader().feed(raw), ResponseSieve(tell)))


def test_what_a_client_sees_of_an_answer():
    assert sieved(
        b"content-type: text/html", b"server: x", b"connection: x-hop", b"x-hop: 1", b"keep-alive: 1",
        b"trivet-why: x", b"content-length: 0", b"set-cookie: a", b"date: now", b"upgrade: h2c",
    ) == {b"content-type": b"text/html", b"set-cookie": b"a", b"date": b"now"}  # fmt: skip


def test_orders_to_send_a_file_are_dropped_and_told_each_time():
    told = []
    for _ in range(2):
        assert sieved(b"x-accel-redirect: /a", b"x-sendfile: /b", tell=told.append) == {}
    assert told == [b"x-accel-redirect", b"x-sendfile"] * 2


CREDENTIALS = b"\r\nx-ssl-client-verify: SUCCESS\r\nx-ssl-client-s-dn: CN=me"


@pytest.mark.parametrize("client", [STRANGER, BEHIND_A_PROXY])
def test_only_we_say_whose_certificate_we_saw(client):
    known = dataclasses.replace(client, credentials=CREDENTIALS)
    forged = [b"x-ssl-client-s-dn: CN=root", b"X-SSL-Client-Verify: SUCCESS", b"x-ssl-client-cert: x"]
    head = forward(*forged, client=known)
    assert values(head, b"x-ssl-client-s-dn") == [b"CN=me"]
    assert values(head, b"x-ssl-client-verify") == [b"SUCCESS"]
    assert values(head, b"x-ssl-client-cert") == []
    # Where we asked for none, a proxy in front of us may have, and nobody else.
    assert values(forward(*forged, client=client), b"x-ssl-client-s-dn") == [b"CN=root"] * client.is_trusted
