import ipaddress
from types import SimpleNamespace

import pytest

from tests.proxy.fakes_gates import Inner, client, request
from trivet_common.config import from_mapping
from trivet_common.config.settings_access import Doorkeeping
from trivet_common.http1.errors import HttpError
from trivet_proxy.gates.doorkeeping import doorkeeping_gate, may_enter


def settings(**keys: object) -> Doorkeeping:
    access = from_mapping({"routes": [{"respond": "x", **keys}]}, environ={}).routes[0].access
    assert access is not None
    assert access.doorkeeping is not None
    return access.doorkeeping


OFFICE = {"allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": "10.9.0.0/16"}


@pytest.mark.parametrize(
    ("keys", "address", "expected"),
    [
        (OFFICE, "10.1.2.3", True),
        (OFFICE, "10.9.2.3", False),
        (OFFICE, "::ffff:10.1.2.3", True),
        (OFFICE, "::ffff:10.9.2.3", False),
        (OFFICE, "2001:db8::1", True),
        (OFFICE, "2001:db9::1", False),
        (OFFICE, "fe80::1%eth0", False),
        (OFFICE, "192.0.2.7", False),
        (OFFICE, "", False),
        (OFFICE, "unknown", False),
        ({"allow": "unix"}, "", True),
        ({"allow": "unix"}, "127.0.0.1", False),
        ({"deny": "unix"}, "", False),
        ({"deny": "unix"}, "127.0.0.1", True),
        ({"deny": "192.0.2.0/24"}, "192.0.2.7", False),
        ({"deny": "192.0.2.0/24"}, "::ffff:192.0.2.7", False),
        ({"deny": "192.0.2.0/24"}, "unknown", False),
        ({"deny": "192.0.2.0/24"}, "", True),
        ({"deny": "all"}, "", False),
        ({"deny": "all"}, "::1", False),
        ({"allow": "all", "deny": "192.0.2.7"}, "192.0.2.7", False),
        ({"allow": "all", "deny": "192.0.2.7"}, "192.0.2.8", True),
        ({"allow": "all", "deny": "192.0.2.7"}, "", True),
        ({"allow": "192.0.2.7", "deny": "all"}, "192.0.2.7", True),
        ({"allow": "192.0.2.7", "deny": "all"}, "192.0.2.8", False),
        ({"allow": "private", "deny": "127.0.0.0/8"}, "127.0.0.1", False),
        ({"allow": "private", "deny": "127.0.0.0/8"}, "192.168.1.1", True),
    ],
)
def test_who_may_enter(keys: dict[str, object], address: str, expected: bool) -> None:
    assert may_enter(settings(**keys), address) is expected


async def test_the_gate_asks_for_the_address_that_is_believed() -> None:
    inner = Inner()
    gate = doorkeeping_gate(settings(allow="10.0.0.0/8"), inner)
    await gate(request(who=client("10.0.0.1")), SimpleNamespace())
    for _ in range(2):
        with pytest.raises(HttpError) as refused:
            await gate(request("x-forwarded-for: 10.0.0.1", who=client("192.0.2.7")), SimpleNamespace())
        assert (refused.value.status, refused.value.why) == (403, "denied")
    assert inner.calls == 1


async def test_many_addresses_are_not_remembered_without_end() -> None:
    inner = Inner()
    gate = doorkeeping_gate(settings(deny="192.0.2.0/24"), inner)
    for number in range(5000):
        await gate(request(who=client(str(ipaddress.ip_address(number)))), SimpleNamespace())
    known = next(cell.cell_contents for cell in gate.__closure__ if isinstance(cell.cell_contents, dict))
    assert len(known) <= 4096
    assert inner.calls == 5000
