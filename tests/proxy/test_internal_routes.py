"""Where an order leads: to internal routes, by path of the site or on disk, and nowhere else."""

from __future__ import annotations

import os
import time

import pytest

from trivet_common.http1.errors import HttpError
from trivet_proxy.internal_routes import InternalRoutes, answer_nothing
from trivet_proxy.orders import Order
from trivet_proxy.router import CompiledRoute


def route(order, path, **keys):
    return CompiledRoute(order=order, path=path, handler=answer_nothing, limits=None, **keys)


ROUTES = InternalRoutes(
    [
        route(0, b"/private/"),
        route(1, b"/invoices/"),
        route(2, b"/one"),
        route(3, b"/b/", hosts=("b.example",)),
    ],
    [(b"/srv/private", b"/private/"), (b"/srv/private/invoices/", b"/invoices/")],
)


@pytest.mark.parametrize(
    ("path", "is_on_disk", "place", "becomes"),
    [
        (b"/private/a/b", False, 0, b"/private/a/b"),
        (b"/one", False, 2, b"/one"),
        (b"/srv/private/a", True, 0, b"/private/a"),
        (b"/srv/private/invoices/a", True, 1, b"/invoices/a"),
    ],
)
def test_found(path, is_on_disk, place, becomes):
    order = Order(path, is_on_disk)
    assert ROUTES.try_find(order, "h").order == place
    assert order.path == becomes
    assert ROUTES.try_find(order, "h") is None  # it has been carried out


@pytest.mark.parametrize(
    ("path", "is_on_disk"),
    [
        (b"/public/a", False),
        (b"/private", False),
        (b"/b/x", False),
        (b"/srv/private", True),
        (b"/srv/privateer/a", True),
        (b"/etc/passwd", True),
        (b"/private/a", True),
    ],
)
def test_not_found(path, is_on_disk):
    with pytest.raises(HttpError) as caught:
        ROUTES.try_find(Order(path, is_on_disk), "h")
    assert caught.value.why == "upstream_bad"
    assert "internal: true" in str(caught.value.detail)


def test_hosts_count():
    assert ROUTES.try_find(Order(b"/b/x"), "b.example").order == 3


async def test_to_a_client_there_is_nothing():
    with pytest.raises(HttpError) as caught:
        await answer_nothing(None, None)
    assert caught.value.status == 404
    assert ROUTES
    assert not InternalRoutes([], [])


def test_a_root_goes_by_both_of_its_names(tmp_path, monkeypatch):
    """As it is written, and as Path.resolve() says it; a deploy may switch the link."""
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    link = tmp_path / "current"
    link.symlink_to("1")
    routes = InternalRoutes([route(0, b"/private/")], [(os.fsencode(link), b"/private/")])

    def becomes(folder):
        order = Order(os.fsencode(tmp_path / folder / "a"), True)
        routes.try_find(order, "h")
        return order.path

    assert becomes("current") == becomes("1") == b"/private/a"
    with pytest.raises(HttpError):
        becomes("2")
    link.unlink()
    link.symlink_to("2")
    later = time.monotonic() + 5
    monkeypatch.setattr("trivet_proxy.internal_routes.time.monotonic", lambda: later)
    assert becomes("2") == becomes("current") == b"/private/a"
    with pytest.raises(HttpError):
        becomes("1")
