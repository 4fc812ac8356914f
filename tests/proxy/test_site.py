"""A configuration becomes routes with live handlers, or says what is wrong with the world by now."""

from __future__ import annotations

import dataclasses
import gc
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from trivet_common.access_log import AccessRecord
from trivet_common.config import Settings, from_mapping
from trivet_common.http1.errors import HttpError
from trivet_common.http1.request import HeadLimits, RequestHead, RequestReader
from trivet_common.logs import ErrorLog
from trivet_common.pool.handover import TAKES_FILES
from trivet_common.pool.places import RunDir
from trivet_proxy.access_logs import AccessLogs
from trivet_proxy.orders import NEXT, Order
from trivet_proxy.request import Client
from trivet_proxy.resources import Resources
from trivet_proxy.router import CompiledRoute
from trivet_proxy.shelf import Shelf
from trivet_proxy.site import SiteError, build_site

FILE = {
    "upstreams": {"old": ["http://127.0.0.1:9"]},
    "routes": [
        {"path": "/healthz", "health": "ready", "log": False},
        {"path": "/livez", "health": "live"},
        {"path": "/one", "file": "site/one.txt"},
        {"path": "/static/", "files": "site"},
        {"host": "old.example", "redirect": {"to": "https://new.example{uri}", "permanent": True}},
        {"path": "/gone", "respond": {"status": 410, "body": "gone"}},
        {"path": "/legacy/", "upstream": "old", "timeout": "7s"},
        {"path": "/shop/", "pool": "second", "mount": True, "stream": True},
        {"path": "/", "pool": "web", "limits": {"body": "1MiB"}, "response_headers": {"set": {"X-A": "1"}}},
    ],
    "pools": {
        "web": {"app": "a", "queue": {"limit": 11, "timeout": "3s"}, "workers": 1},
        "second": {"app": "b", "workers": 1},
    },
}


@dataclass
class FakeRequest:
    head: RequestHead
    order: Order | None = None
    route: CompiledRoute | None = None
    record: AccessRecord = field(default_factory=AccessRecord)
    client: Client = field(default_factory=lambda: Client("", None, "http", 80, "", False))


class FakeWriter:
    async def send(self, status, headers, body=b"", reason=None):
        self.status, self.headers, self.body = status, dict(headers), body


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "one.txt").write_bytes(b"one\n")
    (tmp_path / "run").mkdir()
    return tmp_path


def settings_of(place: Path, **changes) -> Settings:
    settings = from_mapping(FILE | changes, base=place)
    return dataclasses.replace(
        settings, run_dir=place / "run", spool=dataclasses.replace(settings.spool, dir=place)
    )


def resources_of(settings: Settings, nursery: trio.Nursery, index: int = 0, count: int = 1) -> Resources:
    log = ErrorLog(None, "test")
    return Resources(
        settings, index=index, count=count, nursery=nursery, access_logs=AccessLogs(), error_log=log
    )


def head_of(target: str, host: str = "h") -> RequestHead:
    head = RequestReader(HeadLimits(32768, 100)).feed(
        f"GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
    )
    assert head is not None
    return head


async def ask(site, target: str, host: str = "h") -> FakeWriter:
    head = head_of(target, host)
    route = site.find(head)
    writer = FakeWriter()
    await route.handler(FakeRequest(head), writer)
    return writer


async def test_a_site_that_is_dropped_leaves_nothing_to_the_collector(place):
    """Its shelf may hold 16 MiB, its folders descriptors; the proxy looks for cycles seldom."""
    settings = settings_of(place)
    before = len(os.listdir("/proc/self/fd"))
    async with trio.open_nursery() as nursery:
        resources = resources_of(settings, nursery)
        gc.collect()
        gc.disable()
        try:
            site = build_site(settings, resources)
            await ask(site, "/static/one.txt")
            known = sum(type(one) is Shelf for one in gc.get_objects())
            site.drop()
            del site
            assert sum(type(one) is Shelf for one in gc.get_objects()) == known - 1
            assert len(os.listdir("/proc/self/fd")) <= before + 3  # trio's own
        finally:
            gc.enable()


async def test_every_action_has_its_handler(place):
    settings = settings_of(place)
    async with trio.open_nursery() as nursery:
        site = build_site(settings, resources_of(settings, nursery))
        assert (await ask(site, "/livez")).status == 200
        assert (await ask(site, "/healthz")).status == 503
        assert (await ask(site, "/one")).body == b"one\n"
        assert (await ask(site, "/static/one.txt")).body == b"one\n"
        with pytest.raises(HttpError):
            await ask(site, "/static/none.txt")
        moved = await ask(site, "/a?b", "old.example")
        assert (moved.status, moved.headers) == (308, {b"location": b"https://new.example/a?b"})
        assert (await ask(site, "/gone")).status == 410
        slash = await ask(site, "/shop?x")
        assert (slash.status, slash.headers) == (308, {b"location": b"/shop/?x"})
        assert (await ask(site, "/static")).status == 308
        site.drop()


async def test_what_a_route_carries(place):
    settings = settings_of(place)
    async with trio.open_nursery() as nursery:
        site = build_site(settings, resources_of(settings, nursery))
        shop, web = site.find(head_of("/shop/a")), site.find(head_of("/a"))
        assert (shop.slot_lines, shop.stream) == (TAKES_FILES + b"\r\ntrivet-mount: /shop", True)
        assert (shop.timeout, shop.id) == (30.0, "/shop/")
        assert (web.slot_lines, web.stream, web.limits.body) == (TAKES_FILES, False, 1024 * 1024)
        assert web.shape([(b"a", b"b")]) == [(b"a", b"b"), (b"x-a", b"1")]
        assert site.find(head_of("/legacy/x")).timeout == 7.0
        assert web.log_line is None
        assert site.find(head_of("/healthz")).log_line is not None
        slash = site.find(head_of("/shop"))
        assert (slash.id, slash.where) == (shop.id, shop.where)
        assert repr(site).startswith("<Site ")
        site.drop()


@pytest.mark.parametrize(
    ("pool", "route", "line"),
    [
        ("30s", "30s", b""),
        ("30s", "250ms", b"\r\ntrivet-timeout: 250"),
        ("30s", "off", b"\r\ntrivet-timeout: 0"),
        ("off", "2m", b"\r\ntrivet-timeout: 120000"),
        ("off", "off", b""),
    ],
)
async def test_a_slot_is_told_a_timeout_that_is_not_its_pools(place, pool, route, line):
    settings = settings_of(
        place,
        routes=[{"path": "/", "pool": "web", "timeout": route}],
        pools={"web": {"app": "a", "timeout": pool}},
    )
    async with trio.open_nursery() as nursery:
        site = build_site(settings, resources_of(settings, nursery))
        assert site.find(head_of("/a")).slot_lines == TAKES_FILES + line
        site.drop()


async def test_the_queue_is_shared_out(place):
    settings = settings_of(place)
    limits = []
    async with trio.open_nursery() as nursery:
        for index in range(4):
            resources = resources_of(settings, nursery, index, 4)
            build_site(settings, resources).begin()
            limits.append(resources.dispatches["web"].queue.limits)
        nursery.cancel_scope.cancel()
    assert [limit.limit for limit in limits] == [3, 3, 3, 2]
    assert {limit.timeout for limit in limits} == {3.0}


async def test_everything_that_has_gone_missing_is_said_at_once(place):
    settings = settings_of(place)
    (place / "site" / "one.txt").unlink()
    (place / "site").rmdir()
    async with trio.open_nursery() as nursery:
        with pytest.raises(SiteError) as raised:
            build_site(settings, resources_of(settings, nursery))
    assert len(raised.value.problems) == 2
    lines = str(raised.value).splitlines()
    assert all("there is no" in line for line in lines)
    assert all(line.startswith(route.where) for line, route in zip(lines, settings.routes[2:4], strict=True))


async def test_a_forgiving_build_serves_the_rest(place):
    settings = settings_of(place)
    (place / "site" / "one.txt").unlink()
    (place / "site").rmdir()
    async with trio.open_nursery() as nursery:
        site = build_site(settings, resources_of(settings, nursery), is_forgiving=True)
        assert (await ask(site, "/gone")).status == 410
        for target in ("/static/one.txt", "/one"):
            with pytest.raises(HttpError):
                await ask(site, target)
        (place / "site").mkdir()
        (place / "site" / "one.txt").write_bytes(b"back\n")
        assert (await ask(site, "/one")).body == b"back\n"
        site.drop()


async def test_where_a_request_goes_on_only_routes_of_its_host_stand(place):
    """Five hundred hosts had five hundred routers of all that follow: 70 MiB in each process."""
    routes = [
        {"host": f"h{number}.example", "path": "/", **action}
        for number in range(20)
        for action in ({"files": {"root": "site", "fallback": "next"}}, {"respond": "x"})
    ]
    async with trio.open_nursery() as nursery:
        settings = settings_of(place, routes=[*routes, {"path": "/", "respond": "y"}], pools={}, upstreams={})
        site = build_site(settings, resources_of(settings, nursery))
        behind = [route.rest.routes for route in site.router.routes if route.rest is not None]
        assert [len(those) for those in behind] == [2] * 20
        site.drop()


async def test_what_is_no_manifest_is_said_where_it_counts(place, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(ErrorLog, "warning", lambda log, text: said.append(text))
    (place / "site" / "staticfiles.json").write_text("{")
    uploads = {"routes": [{"path": "/m/", "files": {"root": "site", "uploads": True}}], "pools": {}}
    async with trio.open_nursery() as nursery:
        for changes in ({}, uploads):
            settings = settings_of(place, **changes)
            build_site(settings, resources_of(settings, nursery)).drop()
    assert [text.partition(":")[0] for text in said] == [f"{place}/site"]
    assert "staticfiles.json is no manifest" in said[0]


async def test_a_reload_keeps_the_pools_and_takes_new_limits(place):
    first = settings_of(place)
    async with trio.open_nursery() as nursery:
        resources = resources_of(first, nursery)
        build_site(first, resources).begin()
        web = resources.dispatches["web"]
        pools = FILE["pools"] | {"web": {"app": "a", "queue": {"limit": 5, "timeout": "1s"}, "workers": 1}}
        pools["third"] = {"app": "c", "workers": 1}
        routes = [{"path": "/third", "pool": "third"}, *FILE["routes"]]
        second = settings_of(place, pools=pools, routes=routes)
        site = build_site(second, resources)
        # Nothing has happened yet.
        assert web.queue.limits.limit == 11
        assert resources.settings is first
        assert set(resources.dispatches) == {"web", "second"}
        tasks = len(nursery.child_tasks)
        site.begin()
        assert resources.dispatches["web"] is web
        assert (web.queue.limits.limit, web.queue.limits.timeout) == (5, 1.0)
        assert set(resources.dispatches) == {"web", "second", "third"}
        assert resources.settings is second
        assert len(nursery.child_tasks) == tasks + 1
        nursery.cancel_scope.cancel()


async def test_a_site_that_is_dropped_leaves_nothing(place):
    settings = settings_of(place)
    for name in settings.pools:
        RunDir(place / "run").pool(name).create()
    async with trio.open_nursery() as nursery:
        resources = resources_of(settings, nursery)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            build_site(settings, resources).drop()
        assert len(os.listdir("/proc/self/fd")) == before
        assert not resources.dispatches


async def test_readiness_ends_with_draining(place):
    settings = settings_of(place, pools={}, routes=[{"path": "/healthz", "health": "ready"}])
    async with trio.open_nursery() as nursery:
        resources = resources_of(settings, nursery)
        site = build_site(settings, resources)
        assert (await ask(site, "/healthz")).status == 200
        resources.is_draining = True
        assert (await ask(site, "/healthz")).status == 503


async def test_where_a_request_goes_on(place):
    settings = settings_of(
        place,
        routes=[
            {"path": "/private/", "internal": True, "files": "site"},
            {"path": "/only", "internal": True, "file": "site/one.txt"},
            {"path": "/", "files": {"root": "site", "fallback": "next"}},
            {"path": "/a", "respond": "a"},
            {"path": "/", "pool": "web"},
            {"path": "/second/", "pool": "second"},
        ][:5],
        pools={"web": {"app": "a", "workers": 1}},
        upstreams={},
    )
    async with trio.open_nursery() as nursery:
        site = build_site(settings, resources_of(settings, nursery))
        # First the files, then the next route that matches.
        for target, then in (("/a", "/a"), ("/b", "/")):
            head = head_of(target)
            request = FakeRequest(head, route=site.find(head))
            assert (request.route.order, request.route.limits) == (2, None)
            await request.route.handler(request, FakeWriter())
            assert request.order is NEXT
            found = site.find_next(request)
            assert (found.path, request.route, request.order) == (then.encode(), found, None)
            assert found.order > 2
            assert request.record.route == found.id
        assert (await ask(site, "/one.txt")).body == b"one\n"
        # An application's order leads to what clients do not find.
        for target, path in (("/private/one.txt", b"/private/one.txt"), ("/only", b"/only")):
            with pytest.raises(HttpError) as caught:
                await ask(site, target)
            assert caught.value.status == 404
            request, writer = FakeRequest(head_of("/b"), Order(path), route=found), FakeWriter()
            await site.find_next(request).handler(request, writer)
            assert (writer.status, writer.body, request.route) == (200, b"one\n", found)
        request.order = Order(os.fsencode(place / "site" / "one.txt"), is_on_disk=True)
        assert site.find_next(request).path == b"/private/"
        assert site.find(head_of("/b")).obeys or found.obeys
        site.drop()


async def test_without_internal_routes_no_order_is_obeyed(place):
    settings = settings_of(place)
    async with trio.open_nursery() as nursery:
        site = build_site(settings, resources_of(settings, nursery))
        assert not any(route.obeys for route in site.router.routes)
        site.drop()
