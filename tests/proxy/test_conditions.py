"""What a route asks: a row a question, with what holds and what does not."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from trivet_common.config.addresses import parse_networks
from trivet_common.config.regex import parse_regex
from trivet_common.config.settings_match import FieldMatch, Match
from trivet_common.http1.errors import HttpError
from trivet_proxy.conditions import all_of, compile_conditions


@dataclass
class Head:
    path: bytes = b"/"
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass
class Client:
    address: str = "192.0.2.7"
    listener: str = "80"
    is_trusted: bool = False


@dataclass
class Request:
    head: Head = field(default_factory=Head)
    client: Client = field(default_factory=Client)
    groups: tuple[bytes | None, ...] = ()


def asks(match: Match | None, request: Request, listeners: tuple[str, ...] = ()) -> bool:
    holds = all_of(compile_conditions(match, listeners))
    return holds is None or holds(request)


def header(name: str, value: object = None, is_absent: bool = False) -> Match:
    return Match(headers=(FieldMatch(name, value, is_absent),))


def parameter(name: str, value: object = None, is_absent: bool = False) -> Match:
    return Match(query=(FieldMatch(name, value, is_absent),))


TWICE = [(b"x-a", b"1"), (b"x-b", b""), (b"x-a", b"2")]


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        (header("x-a"), True),
        (header("x-b"), True),
        (header("x-c"), False),
        (header("x-c", is_absent=True), True),
        (header("x-a", is_absent=True), False),
        (header("x-a", "1"), True),
        (header("x-a", "2"), True),
        (header("x-a", "12"), False),
        (header("x-b", ""), True),
        (header("x-a", parse_regex("^[2-9]$")), True),
        (header("x-a", parse_regex("^[3-9]$")), False),
    ],
)
def test_headers(match: Match, holds: bool) -> None:
    assert asks(match, Request(Head(headers=TWICE))) is holds


@pytest.mark.parametrize(
    ("match", "query", "holds"),
    [
        (parameter("a"), b"", False),
        (parameter("a", is_absent=True), b"", True),
        (parameter("a", is_absent=True), b"b=1", True),
        (parameter("a", is_absent=True), b"b=1&a", False),
        (parameter("a"), b"a", True),
        (parameter("a"), b"ab=1", False),
        (parameter("a"), b"b=a", False),
        (parameter("a", "1"), b"a=0&a=1", True),
        (parameter("a", "1"), b"a=10", False),
        (parameter("a", ""), b"a", True),
        (parameter("a b", "c d"), b"a+b=c%20d", True),
        (parameter("ä", "1"), b"%C3%A4=1", True),
        (parameter("a", "1=2"), b"a=1=2", True),
        (parameter("a", parse_regex("^x+$")), b"a=%78x", True),
        (parameter("a", parse_regex("^x+$")), b"a=xy", False),
    ],
)
def test_parameters(match: Match, query: bytes, holds: bool) -> None:
    assert asks(match, Request(Head(query=query))) is holds


def test_clients_and_listeners() -> None:
    match = Match(clients=parse_networks(["192.0.2.0/24"]))
    assert asks(match, Request())
    assert not asks(match, Request(client=Client("198.51.100.1")))
    assert asks(None, Request(), ("80", "443"))
    assert not asks(None, Request(), ("443",))
    assert not asks(match, Request(), ("443",))


def test_groups_are_those_of_the_route_that_holds() -> None:
    match = Match(path_regex=parse_regex(r"^/(\w+)(/x)?"), headers=(FieldMatch("x-a"),))
    request = Request(Head(b"/abc", headers=TWICE))
    assert asks(match, request)
    assert request.groups == (b"abc", None)
    other = Request(Head(b"/abc"))
    assert not asks(match, other)
    assert other.groups == ()


def test_what_costs_too_much_is_refused() -> None:
    with pytest.raises(HttpError) as raised:
        asks(parameter("a"), Request(Head(query=b"&" * 1000)))
    assert raised.value.status == 414
    with pytest.raises(HttpError) as raised:
        asks(header("x-a", parse_regex("a")), Request(Head(headers=[(b"x-a", b"x" * 9000)])))
    assert raised.value.status == 431


def test_many_values_are_no_longer_together_than_one_may_be() -> None:
    """The steps of an expression are bounded for one text: thirty headers were thirty such texts."""
    regex = parse_regex("^a+$")
    with pytest.raises(HttpError) as raised:
        asks(header("x-a", regex), Request(Head(headers=[(b"x-a", b"b" * 300)] * 30)))
    assert raised.value.status == 431
    with pytest.raises(HttpError) as raised:
        asks(parameter("a", regex), Request(Head(query=b"&".join([b"a=" + b"b" * 300] * 30))))
    assert raised.value.status == 414
    assert asks(header("x-a", regex), Request(Head(headers=[(b"x-a", b"b" * 100)] * 3 + [(b"x-a", b"a")])))
    assert asks(header("x-a", "1"), Request(Head(headers=[(b"x-a", b"b" * 300)] * 30 + [(b"x-a", b"1")])))


def test_each_is_said_as_it_is_written() -> None:
    match = Match(
        path_regex=parse_regex("^/a"),
        headers=(FieldMatch("x-a"), FieldMatch("x-b", "1"), FieldMatch("x-ssl-client-verify", "SUCCESS")),
        query=(FieldMatch("q", is_absent=True), FieldMatch("r", parse_regex("^x"))),
        clients=parse_networks(["10.0.0.0/8", "unix"]),
    )
    assert [condition.says for condition in compile_conditions(match, ["80"])] == [
        "listener 80",
        "client 10.0.0.0/8, unix",
        "header x-a: true",
        "header x-b: 1",
        "header x-ssl-client-verify: SUCCESS, said by one of trusted_proxies",
        "query q: false",
        "query r: ~^x",
        "path_regex ^/a",
    ]
    assert all_of([]) is None


@pytest.mark.parametrize(
    "name", ["x-ssl-client-verify", "x-remote-user", "x-client-cert", "cf-connecting-ip", "x-forwarded-user"]
)
def test_what_only_a_proxy_may_say_is_heard_of_a_trusted_one_alone(name: str) -> None:
    """The same fields never reach an application: a route that believed them would let in whoever asks."""
    head = Head(headers=[(name.encode(), b"SUCCESS")])
    forged, believed = Request(head), Request(head, Client(is_trusted=True))
    assert not asks(header(name, "SUCCESS"), forged)
    assert not asks(header(name), forged)
    assert asks(header(name, is_absent=True), forged), "as if it were not there"
    assert asks(header(name, "SUCCESS"), believed)
    assert not asks(header(name, is_absent=True), believed)


def test_what_is_said_of_the_connection_may_be_asked_for() -> None:
    assert asks(header("upgrade", "websocket"), Request(Head(headers=[(b"upgrade", b"websocket")])))
