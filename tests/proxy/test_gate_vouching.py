from types import SimpleNamespace
from typing import Any

from tests.proxy.fakes_gates import Inner, client, request
from trivet_common.config import from_mapping
from trivet_proxy.forwarded import build_upstream_head
from trivet_proxy.gates.vouching import vouched_names, vouching_gate
from trivet_proxy.gating import Gating

FORGED = ("X-User-Id: 1", "cookie: a=1", "connection: x-user-id")
ROUTES = [
    {
        "path": "/admin/",
        "upstream": "http://127.0.0.1:9",
        "forward_auth": {"url": "http://127.0.0.1:8/", "copy": ["X-User-Id", "Cookie", "Authorization"]},
    },
    {"path": "/x", "respond": "x"},
    {"path": "/", "upstream": "http://127.0.0.1:9"},
]


def test_what_clients_send_for_themselves_stays_theirs() -> None:
    settings = from_mapping({"routes": ROUTES}, environ={})
    assert vouched_names(route.access for route in settings.routes) == {b"x-user-id"}
    assert vouched_names([None]) == frozenset()


async def test_a_client_cannot_say_it_on_the_route_that_asks_nobody() -> None:
    """The application behind /admin/ is behind / as well, and believes the header there too."""
    settings = from_mapping({"routes": ROUTES}, environ={})
    resources: Any = SimpleNamespace(buckets=None, error_log=None)
    ask: Any = lambda *_: Inner()  # noqa: E731
    gating = Gating(resources, settings.run_dir, ask, ask, frozenset({b"x-user-id"}))  # type: ignore[arg-type]
    inner = Inner()
    asked = request(*FORGED)
    await gating.guarded(settings.routes[2], inner)(asked, SimpleNamespace())  # type: ignore[arg-type]
    head = build_upstream_head(asked, b"")
    assert b"x-user-id" not in head
    assert b"cookie: a=1" in head
    assert gating.guarded(settings.routes[1], inner) is inner, "nobody reads it there"


async def test_a_trusted_proxy_may() -> None:
    asked = request("X-User-Id: 1", who=client(is_trusted=True))
    await vouching_gate(frozenset({b"x-user-id"}), Inner())(asked, SimpleNamespace())  # type: ignore[arg-type]
    assert b"\r\nx-user-id: 1\r\n" in build_upstream_head(asked, b"")
