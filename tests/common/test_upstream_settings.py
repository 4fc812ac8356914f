"""model_upstreams.py and resolve_upstreams.py: each key of an upstream, how it is written, what it means."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from trivet_common.config import Queue, Retry, ServerTls, Settings, Upstream, from_mapping
from trivet_common.config.addresses import Server

HTTP = Server("http://a:1", "http", "a", 1)
PLAIN = Upstream("api", (HTTP,))


def site_of(folder: Path, upstream: Any, **route: Any) -> Settings:
    keys = {"upstreams": {"api": upstream}, "routes": [{"path": "/", "upstream": "api", **route}]}
    return from_mapping(keys, base=folder, environ={})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({}, {}),
        ({"balance": "round_robin"}, {"balance": "round_robin"}),
        ({"balance": "least_connections"}, {"balance": "least_connections"}),
        ({"connect_timeout": "500ms"}, {"connect_timeout": 0.5}),
        ({"response_timeout": "2m"}, {"response_timeout": 120.0}),
        (
            {"response_timeout": "off", "read_timeout": False},
            {"response_timeout": None, "read_timeout": None},
        ),
        ({"read_timeout": "1h"}, {"read_timeout": 3600.0}),
        ({"max_connections": 8}, {"max_connections": 8}),
        ({"max_connections": "off"}, {}),
        (
            {"max_connections": 8, "queue": {"limit": 5, "timeout": "1s"}},
            {"max_connections": 8, "queue": Queue(5, 1.0)},
        ),
        ({"fall": 1}, {"fall": 1}),
        ({"fall": "off"}, {"fall": None}),
        ({"retry": "off"}, {"retry": Retry(1, frozenset())}),
        ({"retry": {"attempts": 4}}, {"retry": Retry(4, frozenset({"connect", "502"}))}),
        ({"retry": {"on": "504"}}, {"retry": Retry(2, frozenset({"504"}))}),
        (
            {"retry": {"on": ["connect", 502, "503"]}},
            {"retry": Retry(2, frozenset({"connect", "502", "503"}))},
        ),
    ],
    ids=" ".join,  # of the keys alone: the order of a set is another one in each process
)
def test_each_key(tmp_path: Path, written: dict[str, Any], meant: dict[str, Any]) -> None:
    settings = site_of(tmp_path, {"servers": ["http://a:1"], **written})
    assert settings.upstreams["api"] == replace(PLAIN, **meant)
    assert settings.routes[0].upstream is settings.upstreams["api"]
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("servers", "meant"),
    [
        ("http://a:1", [HTTP]),
        (["http://a:1", "unix:/run/x"], [HTTP, Server("unix:/run/x", path=Path("/run/x"))]),
        ({"address": "http://a:1", "weight": 3}, [replace(HTTP, weight=3)]),
        (["http://a:1", {"address": "http://a:1", "backup": True}], [HTTP, replace(HTTP, backup=True)]),
        (["https://a"], [Server("https://a", "https", "a", 443)]),
        (["https://[::1]:9443/"], [Server("https://[::1]:9443", "https", "::1", 9443)]),
    ],
    ids=str,
)
def test_servers(tmp_path: Path, servers: Any, meant: list[Server]) -> None:
    assert list(site_of(tmp_path, {"servers": servers}).upstreams["api"].servers) == meant


def test_tls(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    servers = {"servers": "https://10.0.0.1"}
    found = site_of(tmp_path, {**servers, "tls": {"ca": "ca.pem", "name": "api.example"}}).upstreams["api"]
    assert found.tls == ServerTls(True, tmp_path / "ca.pem", "api.example")
    assert site_of(tmp_path, {**servers, "tls": {"verify": False}}).upstreams["api"].tls == ServerTls(False)


def test_a_route_s_timeout_stands_above_both_of_its_upstream(tmp_path: Path) -> None:
    terms = {"servers": "http://a:1", "response_timeout": "2s", "read_timeout": "3s"}
    usual, own, off = (
        site_of(tmp_path, terms, **route).routes[0] for route in ({}, {"timeout": "7s"}, {"timeout": "off"})
    )
    assert (usual.timeout, usual.read_timeout, usual.tunnel_timeout) == (2.0, 3.0, 3600.0)
    assert (own.timeout, own.read_timeout) == (7.0, 7.0)
    assert (off.timeout, off.read_timeout) == (None, None)
    assert site_of(tmp_path, terms, tunnel_timeout="5m").routes[0].tunnel_timeout == 300.0


def test_defaults_may_name_a_tunnel_timeout(tmp_path: Path) -> None:
    keys = {
        "defaults": {"tunnel_timeout": "2m"},
        "routes": [
            {"path": "/a/", "upstream": "http://a:1"},
            {"upstream": "http://a:1", "tunnel_timeout": "1m"},
        ],
    }
    routes = from_mapping(keys, base=tmp_path, environ={}).routes
    assert [route.tunnel_timeout for route in routes] == [120.0, 60.0]


def test_a_route_s_own_servers_have_the_usual_terms(tmp_path: Path) -> None:
    keys = {"routes": [{"path": "/x/", "upstream": ["http://a:1"]}, {"path": "/", "respond": "y"}]}
    assert from_mapping(keys, base=tmp_path, environ={}).routes[0].upstream == replace(PLAIN, name="/x/")


def test_what_is_odd_is_said(tmp_path: Path) -> None:
    settings = site_of(tmp_path, {"servers": ["http://a:1", "http://a:1"], "queue": {"limit": 5}})
    assert [str(each).partition(": ")[2] for each in settings.warnings] == [
        "upstreams.api.queue: without max_connections nobody ever waits; write max_connections: 100",
        "upstreams.api.servers: a server stands there twice; write weight: 2",
    ]
