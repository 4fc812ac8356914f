from collections.abc import Iterator

import pytest

from tests.proxy.fakes_core import NewPair, Peer, pair
from tests.proxy.fakes_tls import tls_pair
from trivet_proxy.wire import Wire


@pytest.fixture
def kind_of_wire() -> str:
    """A test file that is about both kinds overrides this one with parameters."""
    return "plain"


@pytest.fixture
def new_pair(kind_of_wire: str) -> Iterator[NewPair]:
    """Makes wires with a peer; closes what a test leaves open."""
    made: list[tuple[Wire, Peer]] = []

    def make(buffer: int | None = None) -> tuple[Wire, Peer]:
        made.append(pair(buffer) if kind_of_wire == "plain" else tls_pair(buffer))
        return made[-1]

    yield make
    for wire, peer in made:
        wire._sock.close()
        peer.raw.close()
