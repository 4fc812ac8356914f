"""The order of the gates, and what routes of one site share."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.proxy.fakes_gates import Inner, client, request
from trivet_common.config import Route, from_mapping
from trivet_common.http1.errors import HttpError
from trivet_proxy.gating import Gating


def route_of(**keys: object) -> Route:
    return from_mapping({"routes": [{"respond": "x", **keys}]}, environ={}).routes[0]


@pytest.fixture
def gating(tmp_path: Path) -> Gating:
    resources: Any = SimpleNamespace(buckets=None, error_log=SimpleNamespace(warning=lambda text: None))
    return Gating(
        resources, tmp_path / "rate.buckets", lambda name: Inner(), lambda upstream, seconds: Inner()
    )


def test_what_is_off_is_not_there(gating: Gating) -> None:
    inner = Inner()
    assert gating.guarded(route_of(), inner) is inner


async def test_who_is_denied_counts_nowhere_and_who_asks_too_often_is_not_asked_for_a_password(
    gating: Gating, tmp_path: Path
) -> None:
    (tmp_path / "users").write_text("ann:$2y$05$" + "a" * 53 + "\n")
    route = route_of(
        deny="10.0.0.0/8", rate_limit={"rate": "1/h", "burst": 0}, basic_auth=str(tmp_path / "users")
    )
    gate = gating.guarded(route, Inner())
    found = []
    for address in ("10.0.0.1", "10.0.0.1", "192.0.2.7", "192.0.2.7"):
        with pytest.raises(HttpError) as refused:
            await gate(request(who=client(address)), SimpleNamespace())
        found.append(refused.value.status)
    assert found == [403, 403, 401, 429]


def test_a_reload_keeps_the_buckets(gating: Gating, tmp_path: Path) -> None:
    gating.guarded(route_of(rate_limit="1/s"), Inner())
    resources = vars(gating)["_resources"]
    first = resources.buckets
    again = Gating(
        resources, tmp_path / "rate.buckets", lambda name: Inner(), lambda upstream, seconds: Inner()
    )
    again.guarded(route_of(rate_limit="2/s"), Inner())
    assert resources.buckets is first


def test_no_place_to_count_is_said(gating: Gating, tmp_path: Path) -> None:
    (tmp_path / "rate.buckets").mkdir()
    with pytest.raises(OSError):
        gating.guarded(route_of(rate_limit="1/s"), Inner())


async def test_a_closed_site_counts_nobody(gating: Gating, tmp_path: Path) -> None:
    """Maintenance stands before all that asks who it is; one look at the file is for all routes."""
    when = tmp_path / "closed"
    keys = {"maintenance": {"when": str(when)}, "rate_limit": {"rate": "1/h", "burst": 0}}
    gates = [gating.guarded(route_of(**keys), Inner()) for _ in range(2)]
    when.touch()
    for gate in (*gates, *gates):
        with pytest.raises(HttpError) as refused:
            await gate(request(who=client("192.0.2.7")), SimpleNamespace())
        assert refused.value.why == "maintenance"
    assert repr(gating) == f"<Gating 0 files of passwords, flags [<Flag {when} up>]>"
