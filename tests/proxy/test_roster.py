"""upstreams/roster.py: what of an upstream a reload keeps, through whole sites."""

import dataclasses

import pytest
import trio
import trio.testing
import trustme

from tests.proxy.test_site import FakeRequest, head_of, place, resources_of, settings_of
from trivet_common.http1.errors import HttpError
from trivet_proxy.site import SiteError, build_site

__all__ = ["place"]

ROUTES = [{"path": "/a/", "upstream": "one"}, {"path": "/b/", "upstream": "one"}]


def site_of(place, resources, **upstreams):
    routes = [*ROUTES, *({"path": f"/{name}/", "upstream": name} for name in upstreams if name != "one")]
    settings = settings_of(place, upstreams={"one": "http://127.0.0.1:9", **upstreams}, routes=routes)
    return build_site(settings, resources)


def names(resources):
    return [servers.name for servers in resources.upstreams.values()]


async def test_routes_share_and_reloads_keep_what_has_not_changed(place, nursery):
    resources = resources_of(settings_of(place), nursery)
    site_of(place, resources).begin()
    (one,) = resources.upstreams.values()
    site_of(place, resources, two="http://127.0.0.1:9").begin()
    assert one in resources.upstreams.values()
    assert names(resources) == ["one", "two"]
    site_of(place, resources, one={"servers": "http://127.0.0.1:9", "fall": 1}).begin()
    assert names(resources) == ["one"]
    assert one not in resources.upstreams.values()
    assert one._servers[0].is_gone
    nursery.cancel_scope.cancel()


async def test_what_does_not_take_over_leaves_the_old_alone(place, nursery):
    resources = resources_of(settings_of(place), nursery)
    site_of(place, resources).begin()
    (one,) = resources.upstreams.values()
    site_of(place, resources, two="http://127.0.0.1:9").drop()
    assert names(resources) == ["one"]
    assert not one._servers[0].is_gone
    nursery.cancel_scope.cancel()


async def test_a_closed_one_has_no_task_left(place):
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            resources = resources_of(settings_of(place), nursery)
            site_of(place, resources, two="http://localhost:9").begin()
            await trio.testing.wait_all_tasks_blocked()
            settings = settings_of(place, routes=[{"respond": "x"}], upstreams={})
            build_site(dataclasses.replace(settings, pools={}), resources).begin()


async def test_other_authorities_are_another_upstream(place, nursery):
    trustme.CA().cert_pem.write_to_path(str(place / "ca.pem"))
    terms = {"servers": "https://127.0.0.1:9", "tls": {"ca": "ca.pem"}}
    resources = resources_of(settings_of(place), nursery)
    site_of(place, resources, one=terms).begin()
    site_of(place, resources, one=terms).begin()
    (one,) = resources.upstreams.values()
    trustme.CA().cert_pem.write_to_path(str(place / "ca.pem"))
    site_of(place, resources, one=terms).begin()
    assert one not in resources.upstreams.values()
    nursery.cancel_scope.cancel()


async def test_authorities_that_are_gone_keep_nobody_from_the_rest(place, nursery):
    """As after a crash: then there is no old site to go on with."""
    trustme.CA().cert_pem.write_to_path(str(place / "ca.pem"))
    terms = {"servers": "https://127.0.0.1:9", "tls": {"ca": "ca.pem"}}
    settings = settings_of(place, upstreams={"one": terms}, routes=ROUTES)
    (place / "ca.pem").write_text("no certificate")
    resources = resources_of(settings, nursery)
    with pytest.raises(SiteError, match=r"ca\.pem cannot be read"):
        build_site(settings, resources)
    site = build_site(settings, resources, is_forgiving=True)
    route = site.find(head_of("/a/x"))
    with pytest.raises(HttpError) as caught:
        await route.handler(FakeRequest(head_of("/a/x"), route=route), None)
    assert caught.value.why == "upstream_refused"
