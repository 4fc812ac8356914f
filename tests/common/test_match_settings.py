"""What a route asks: from the file to settings; and when one question surely includes another."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet_common.config import from_mapping
from trivet_common.config.matching import _wider, hosts_cover
from trivet_common.config.settings_match import FieldMatch, Match, Regex


def match_of(**keys: Any) -> Match | None:
    site = {"routes": [{"path": "/", "respond": 204, **keys}]}
    return from_mapping(site, environ={}).routes[0].match


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({}, None),
        ({"methods": "POST"}, Match(methods=("POST",))),
        ({"methods": ["GET", "PUT"]}, Match(methods=("GET", "PUT", "HEAD"))),
        ({"headers": {"X-Api-Version": 2}}, Match(headers=(FieldMatch("x-api-version", "2"),))),
        ({"headers": {"Cookie": True}}, Match(headers=(FieldMatch("cookie"),))),
        ({"headers": {"Cookie": False}}, Match(headers=(FieldMatch("cookie", is_absent=True),))),
        (
            {"headers": {"Accept": "~ json$"}},
            Match(headers=(FieldMatch("accept", Regex("json$", longest=8192)),)),
        ),
        ({"query": {"A b": "c"}}, Match(query=(FieldMatch("A b", "c"),))),
        ({"path_regex": r"^/(\d+)$"}, Match(path_regex=Regex(r"^/(\d+)$", groups=1))),
    ],
)
def test_what_is_written_and_what_it_means(keys: dict[str, Any], match: Match | None) -> None:
    assert match_of(**keys) == match


def test_clients() -> None:
    match = match_of(client=["private", "203.0.113.7"])
    assert match is not None
    assert match.clients is not None
    assert match.clients.trusts("203.0.113.7")
    assert match.clients.trusts("10.0.0.1")
    assert not match.clients.trusts("203.0.113.8")


A = {"headers": {"X-A": True}}
B = {"headers": {"X-A": True, "X-B": True}}


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        (A, B, True),
        (B, A, False),
        (A, {"headers": {"X-A": 1}}, False),
        ({"query": {"a": 1}}, {"query": {"a": 1}, "methods": "PUT"}, True),
        ({"methods": ["PUT", "GET"]}, {"methods": "HEAD"}, True),
        ({"methods": "HEAD"}, {"methods": "GET"}, False),
        ({"methods": "GET"}, A, False),
        ({"client": "10.0.0.0/8"}, {"client": "10.1.0.0/16"}, True),
        ({"client": "10.0.0.0/8"}, {"client": ["10.1.0.0/16", "unix"]}, False),
        ({"client": "10.0.0.0/8"}, {"client": "::/0"}, False),
        ({"client": "10.0.0.0/8"}, A, False),
        ({"path_regex": "x"}, {"path_regex": "x", "methods": "PUT"}, True),
        ({"path_regex": "x"}, {"path_regex": "xy"}, False),
    ],
)
def test_one_covers_another(wide: dict[str, Any], narrow: dict[str, Any], covers: bool) -> None:
    one = match_of(**wide)
    assert one is not None
    assert one.covers(match_of(**narrow)) is covers
    assert not one.covers(None)


def test_what_logs_call_it() -> None:
    site = {
        "routes": [
            {"path_regex": "^/a", "respond": 204},
            {"host": "a.example", "path_regex": "b", "respond": 204},
        ]
    }
    assert [route.id for route in from_mapping(site, environ={}).routes] == ["~^/a", "a.example~b"]


HOSTS = st.lists(
    st.sampled_from(["a.x", "b.x", "x", "*.x", "*.a.x", "c.a.x", "[::1]", "*.c.a.x"]), max_size=3, unique=True
)


@given(wide=HOSTS, narrow=HOSTS)
def test_what_covers_a_route_is_among_those_it_is_compared_with(wide: list[str], narrow: list[str]) -> None:
    if hosts_cover(tuple(wide), tuple(narrow)):
        assert set(wide or [""]) & set(_wider(tuple(narrow)))


def test_a_thousand_routes_are_read_soon() -> None:
    """CPU time; compared each with each they took six times as long."""
    routes = [{"host": f"h{number}.example.com", "path": "/", "respond": "x"} for number in range(1000)]
    began = time.thread_time()
    from_mapping({"routes": routes}, environ={})
    assert time.thread_time() - began < 10


@pytest.mark.parametrize(
    ("routes", "is_slow"),
    [
        ([{"path_regex": f"{number}(.*)x{number}$"} for number in range(20)], True),
        ([{"path_regex": f"^/{number}/([^/]+)/x$"} for number in range(20)], False),
        ([{"path_regex": f"{number}(.*)x{number}$", "path": f"/{number}/"} for number in range(20)], False),
        ([{"path_regex": f"{number}(.*)x$", "host": f"h{number}.example"} for number in range(20)], False),
        # Those for any host come together with those for one.
        (
            [
                {"path_regex": f"{number}(.*)x{number}$", **({"host": "a.example"} if number % 2 else {})}
                for number in range(20)
            ],
            True,
        ),
    ],
)
def test_many_slow_expressions_are_warned_of(routes: list[dict[str, Any]], is_slow: bool) -> None:
    """Each may take 30 ms for a path made for it, and one that matches none is tried on all of them."""
    site = {"routes": [{**route, "respond": 204} for route in routes]}
    warnings = [str(warning) for warning in from_mapping(site, environ={}).warnings]
    assert [("expressions together" in text, "path_regex" in text) for text in warnings] == [
        (True, True)
    ] * is_slow
