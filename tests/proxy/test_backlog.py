import os
from pathlib import Path

import pytest

from tests.proxy.fakes_core import NewPair, Peer, new_spool
from trivet_proxy import backlog as room
from trivet_proxy.backlog import Backlog
from trivet_proxy.wire import Wire, WireClosed


@pytest.fixture(params=["plain", "tls"])
def kind_of_wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def fill(wire: Wire) -> int:
    """Until the kernel takes no more; how much it took."""
    taken = 0
    while sent := wire.try_send(b"-" * 65536):
        taken += sent
    return taken


async def flush_all(backlog: Backlog, wire: Wire, peer: Peer) -> bytes:
    got = b""
    while backlog.size:
        backlog.flush(wire)
        got += await peer.receive(1 << 20)
    wire.end_sending()
    return got + await peer.receive_until_end()


async def test_keeps_the_order_through_memory_file_and_overflow(new_pair: NewPair, tmp_path: Path) -> None:
    spool = new_spool(tmp_path, memory=1000, limit=5000)
    backlog = Backlog(spool)
    wire, peer = new_pair(buffer=4096)
    pieces = [os.urandom(400) for _ in range(20)]
    assert backlog.has_room
    for piece in pieces:
        backlog.add(piece)
    assert backlog.size == 8000
    assert 4000 <= spool.used <= 5000
    assert not backlog.has_room
    assert await flush_all(backlog, wire, peer) == b"".join(pieces)
    assert backlog.has_room
    assert (spool.used, spool.files) == (0, 0)


async def test_is_used_again_after_it_ran_empty(new_pair: NewPair, tmp_path: Path) -> None:
    backlog = Backlog(new_spool(tmp_path, memory=100))
    wire, peer = new_pair()
    for _ in range(3):
        backlog.add(b"a" * 60)
        backlog.add(b"b" * 60)
        backlog.add(b"c" * 60)
        assert backlog.flush(wire) == 180
        assert await peer.receive_exactly(180) == b"a" * 60 + b"b" * 60 + b"c" * 60
    assert backlog.flush(wire) == 0


async def test_pieces_are_sent_in_part_and_later_on(new_pair: NewPair, tmp_path: Path) -> None:
    backlog = Backlog(new_spool(tmp_path, memory=1 << 20))
    wire, peer = new_pair(buffer=4096)
    backlog.add(b"-" * 500_000)
    assert 0 < backlog.flush(wire) < 500_000
    backlog.add(memoryview(b"0123456789" * 5000))
    assert backlog.flush(wire) == 0
    assert await flush_all(backlog, wire, peer) == b"-" * 500_000 + b"0123456789" * 5000
    assert backlog.size == 0


async def test_has_no_room_beyond_its_bound_until_all_is_sent(
    new_pair: NewPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST", 200_000)
    spool = new_spool(tmp_path, memory=1000)
    backlog = Backlog(spool)
    wire, peer = new_pair(buffer=4096)
    while backlog.has_room:
        backlog.add(b"x" * 10_000)
    size = backlog.size
    assert 200_000 <= size <= 211_000
    backlog.flush(wire)
    assert not backlog.has_room
    rest = await flush_all(backlog, wire, peer)
    assert backlog.has_room
    assert set(rest) == {ord("x")}


async def test_a_client_that_left_is_told_by_the_wire(new_pair: NewPair, tmp_path: Path) -> None:
    spool = new_spool(tmp_path, memory=0)
    backlog = Backlog(spool)
    wire, peer = new_pair()
    backlog.add(b"in a file")
    peer.close()
    with pytest.raises(WireClosed, match="peer"):
        backlog.flush(wire)
    backlog.clear()
    assert (backlog.size, spool.used) == (0, 0)
