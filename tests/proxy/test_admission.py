import pytest

from trivet_proxy.admission import peer_of


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("192.0.2.7", 80), "192.0.2.7"),
        (("::ffff:192.0.2.7", 80, 0, 0), "192.0.2.7"),
        (("2001:db8::7", 80, 0, 0), "2001:db8::7"),
        (("fe80::1%eth0", 80, 0, 2), "fe80::1"),
        ("", None),
        (b"", None),
    ],
)
def test_a_peers_address(address: object, peer: str | None) -> None:
    assert peer_of(address) == peer
