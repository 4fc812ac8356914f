"""Networks: who lies in them, whichever way the address is written."""

import pytest

from trivet_common.config.addresses import parse_networks
from trivet_proxy import networks as room
from trivet_proxy.networks import Networks


@pytest.mark.parametrize(
    ("words", "address", "is_in"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", False),
        (["10.0.0.0/8"], "2001:db8::1", False),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["private"], "192.168.7.7", True),
        (["private"], "", False),
        (["unix"], "", True),
        (["unix"], "10.1.2.3", False),
        (["0.0.0.0/0", "::/0"], "nonsense", False),
    ],
)
def test_who_is_in(words: list[str], address: str, is_in: bool) -> None:
    networks = Networks(parse_networks(words))
    assert [networks.has(address), networks.has(address)] == [is_in, is_in]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_MOST_KNOWN", 8)
    networks = Networks(parse_networks(["10.0.0.0/8"]))
    assert all(networks.has(f"10.0.0.{number}") for number in range(100))
    assert len(networks._known) <= 8
    assert repr(networks) == "<Networks 10.0.0.0/8>"
