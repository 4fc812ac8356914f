"""The order of the gates, and what routes of one site share."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.proxy.fakes_gates import Inner, client, request
from trivet_common.config import from_mapping
from trivet_common.config.settings_access import Access
from trivet_common.http1.errors import HttpError
from trivet_proxy.gating import Gating


def access_of(**keys: object) -> Access | None:
    return from_mapping({"routes": [{"respond": "x", **keys}]}, environ={}).routes[0].access


@pytest.fixture
def gating(tmp_path: Path) -> Gating:
    resources: Any = SimpleNamespace(buckets=None, error_log=SimpleNamespace(warning=lambda text: None))
    return Gating(
        resources, tmp_path / "rate.buckets", lambda name: Inner(), lambda upstream, seconds: Inner()
    )


def test_what_is_off_is_not_there(gating: Gating) -> None:
    inner = Inner()
    assert gating.guarded(access_of(), inner) is inner


async def test_who_is_denied_counts_nowhere_and_who_asks_too_often_is_not_asked_for_a_password(
    gating: Gating, tmp_path: Path
) -> None:
    (tmp_path / "users").write_text("ann:$2y$05$" + "a" * 53 + "\n")
    access = access_of(
        deny="10.0.0.0/8", rate_limit={"rate": "1/h", "burst": 0}, basic_auth=str(tmp_path / "users")
    )
    gate = gating.guarded(access, Inner())
    found = []
    for address in ("10.0.0.1", "10.0.0.1", "192.0.2.7", "192.0.2.7"):
        with pytest.raises(HttpError) as refused:
            await gate(request(who=client(address)), SimpleNamespace())
        found.append(refused.value.status)
    assert found == [403, 403, 401, 429]


def test_a_reload_keeps_the_buckets(gating: Gating, tmp_path: Path) -> None:
    gating.guarded(access_of(rate_limit="1/s"), Inner())
    resources = vars(gating)["_resources"]
    first = resources.buckets
    again = Gating(
        resources, tmp_path / "rate.buckets", lambda name: Inner(), lambda upstream, seconds: Inner()
    )
    again.guarded(access_of(rate_limit="2/s"), Inner())
    assert resources.buckets is first


def test_no_place_to_count_is_said(gating: Gating, tmp_path: Path) -> None:
    (tmp_path / "rate.buckets").mkdir()
    with pytest.raises(OSError):
        gating.guarded(access_of(rate_limit="1/s"), Inner())
