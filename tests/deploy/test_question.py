"""What is typed, as the request that the proxy would see: who asks, where, and what is no question at all."""

import re
from typing import Any

import pytest

from trivet_common.config import Settings, from_mapping
from trivet_common.http1.errors import HttpError
from trivet_deploy.question import Question, Words, ask
from trivet_deploy.refusal import Refusal

SITE: dict[str, Any] = {
    "listen": [
        "127.0.0.1:8000",
        {"address": "127.0.0.1:8001", "scheme": "https", "name": "secure"},
        "unix:http.sock",
    ],
    "trusted_proxies": ["10.0.0.0/8"],
    "routes": [{"path": "/", "respond": "x"}],
}


def settings() -> Settings:
    return from_mapping(SITE, environ={})


def asked(url: str, method: str = "GET", **rest: Any) -> Question:
    return ask(Words(method, url, **rest), settings())


@pytest.mark.parametrize(
    ("url", "said", "listener"),
    [
        ("/a", "GET http://localhost/a", "127.0.0.1:8000"),
        ("/a?b=c#d", "GET http://localhost/a?b=c", "127.0.0.1:8000"),
        ("/ä b", "GET http://localhost/%C3%A4%20b", "127.0.0.1:8000"),
        ("/a\udcff", "GET http://localhost/a%FF", "127.0.0.1:8000"),  # a byte that is no text, as argv has it
        ("http://a.example", "GET http://a.example/", "127.0.0.1:8000"),
        ("http://a.example?x", "GET http://a.example/?x", "127.0.0.1:8000"),
        ("https://a.example/x", "GET https://a.example/x", "127.0.0.1:8001"),
        ("http://a.example:8001/x", "GET http://a.example:8001/x", "127.0.0.1:8000"),
        ("https://[::1]:8001/", "GET https://[::1]:8001/", "127.0.0.1:8001"),
    ],
)
def test_urls(url: str, said: str, listener: str) -> None:
    question = asked(url)
    assert (str(question), str(question.listen)) == (said, listener)


def test_a_listener_is_named() -> None:
    question = asked("/a", listener="secure")
    assert question.request.client.scheme == "https"
    assert question.request.client.listener == "127.0.0.1:8001"
    with pytest.raises(Refusal, match=r"there is no listener x; there is 127\.0\.0\.1:8000, secure"):
        asked("/a", listener="x")


def test_who_asks() -> None:
    assert asked("/").request.client.address == "127.0.0.1"
    assert asked("/", client="203.0.113.7").request.client.address == "203.0.113.7"
    assert asked("/", client="unix").request.client.peer is None
    assert asked("/", listener="unix:http.sock").request.client.peer is None
    with pytest.raises(Refusal, match="is no address"):
        asked("/", client="me")


def test_a_header_is_believed_as_the_proxy_believes_it() -> None:
    headers = ("X-Forwarded-For: 203.0.113.7", "x-forwarded-proto:https")
    assert asked("/", headers=headers).request.client.address == "127.0.0.1"
    trusted = asked("/", headers=headers, client="10.0.0.1").request.client
    assert (trusted.address, trusted.scheme) == ("203.0.113.7", "https")
    named = asked("/", headers=("Host: b.example",))
    assert (named.request.head.host, named.notes) == ("b.example", ())


def test_a_scheme_that_no_listener_speaks_is_supposed() -> None:
    question = ask(Words("GET", "https://a.example/"), from_mapping(SITE | {"listen": "80"}, environ={}))
    assert question.request.client.scheme == "https"
    assert "80 speaks http" in question.notes[0]


@pytest.mark.parametrize("url", ["", "a.example/x", "ftp://a.example/", "#x", "http://"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(Refusal, match="is no URL"):
        asked(url)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("a.example/x?y", "http://a.example/x?y"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("wss://a.example/x", "https://a.example/x"),
        ("x", "https://shop.example/path"),
        ("a.example\x1b/", "https://shop.example/path"),
    ],
)
def test_what_was_meant(url: str, meant: str) -> None:
    with pytest.raises(Refusal, match=re.escape(f"write for example {meant} or /path")):
        asked(url)


@pytest.mark.parametrize("header", ["X-A", "X-A: b\r\nX-C: d", "X-A: \0"])
def test_what_is_no_header(header: str) -> None:
    with pytest.raises(Refusal, match="write -H"):
        asked("/", headers=(header,))


@pytest.mark.parametrize(
    ("method", "url", "headers", "why"),
    [
        ("GET", "/a/../b", (), "bad_head:dot_segment"),
        ("TRACE", "/", (), "method"),
        ("GE T", "/", (), "bad_head:request_line"),
        ("GET", "http://a_b!/", (), "bad_head:host_bad"),
        ("GET", "/", ("X A: b",), "bad_head:colon_space"),
    ],
)
def test_what_the_gate_refuses(method: str, url: str, headers: tuple[str, ...], why: str) -> None:
    with pytest.raises(HttpError) as raised:
        asked(url, method, headers=headers)
    assert raised.value.why.split(":")[0] == why.split(":")[0]
