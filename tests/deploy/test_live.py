"""What is said of what runs: of the pool or the servers of a route, by the answers of their masters."""

from pathlib import Path
from typing import Any

import pytest

from trivet_common.config import Route, from_mapping
from trivet_deploy import live as room
from trivet_deploy.live import live

SITE = {
    "pools": {"web": {"app": "x:app"}},
    "upstreams": {"app": {"servers": ["http://127.0.0.1:1", "http://127.0.0.1:2"]}},
    "routes": [{"path": "/a/", "pool": "web"}, {"path": "/b/", "upstream": "app"}],
}
POOL_ROUTE, UPSTREAM_ROUTE = from_mapping(SITE, environ={}).routes
SLOTS = [{"state": "idle"}, {"state": "running"}, {"state": "reading"}, {"state": "retired"}]
TOLD: dict[str, Any] = {
    "proxy": {
        "processes": [{"ready": True}, {"ready": False}],
        "upstreams": {
            "app": {"one": {"0": "in", "1": "in"}, "two": {"0": "out", "1": "in"}, "three": {"0": "out"}}
        },
    },
    "pools": {"web": {"workers": [{"slots": SLOTS}], "queue": {"waiting": 2, "oldest_wait": 0.5}}},
    "problems": ["pool other: gone"],
}


def said(monkeypatch: pytest.MonkeyPatch, route: Route | None, told: dict[str, Any]) -> list[str]:
    monkeypatch.setattr(room.status, "collect", lambda asked, run_dir: told)
    return list(live(route, "trivet.yaml", Path("run")))


def test_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, POOL_ROUTE, TOLD) == [
        "proxy: 1 of 2 processes ready",
        "pool web: 1 of 4 slots idle, 2 busy",
        "queue: 2 waiting, the oldest for 0.5 s",
        "no answer: pool other: gone",
    ]
    assert "pool web: its master does not answer" in said(monkeypatch, POOL_ROUTE, TOLD | {"pools": {}})


def test_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, UPSTREAM_ROUTE, TOLD)[1:4] == [
        "server one: up",
        "server two: left out by some processes (0)",
        "server three: left out",
    ]
    earlier = TOLD | {"proxy": {"processes": []}}
    assert "servers: no process has said anything of them yet" in said(monkeypatch, UPSTREAM_ROUTE, earlier)
    lost = TOLD | {"proxy": {"processes": [], "upstreams": {"app": {}}}}
    assert "servers: no address of them is known" in said(monkeypatch, UPSTREAM_ROUTE, lost)


def test_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, None, TOLD | {"problems": []}) == ["proxy: 1 of 2 processes ready"]
