import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.proxy.fakes_core import Peer
from tests.proxy.test_connection import GET, House, echo
from trivet_proxy.crumbs import Crumbs
from trivet_proxy.wire import Wire

OURS = str(Path(__file__).parents[2])
PAD = b"x-pad-%02d: " + b"p" * 300 + b"\r\n"
HEAD = GET[:-2] + b"".join(PAD % at for at in range(51)) + b"x-last: "
HEAD += b"l" * (16384 - len(HEAD) - 4) + b"\r\n\r\n"


def test_the_first_continuation_is_awaited_at_once() -> None:
    crumbs = Crumbs()
    assert crumbs.pause_after(1, 10.0) == 0
    assert crumbs.pause_after(1, 10.001) == 0.01
    assert crumbs.pause_after(1, 10.02) < 0.0401
    assert crumbs.pause_after(1, 10.1) < 0.201
    assert crumbs.pause_after(1, 19.0) == 0.25


def test_whole_segments_are_no_crumbs_nor_is_a_remainder() -> None:
    crumbs = Crumbs()
    for at in range(100):
        assert crumbs.pause_after(1460, at) == 0
        assert crumbs.pause_after(200, at + 0.5) == 0


@contextmanager
def counted_calls() -> Iterator[dict[str, int]]:
    """Calls of Python functions, ours and trio's, without those of the test."""
    counts = {"calls": 0}

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and ("trivet_" in name or "/trio/_core/" in name):
            counts["calls"] += 1

    sys.setprofile(profile)
    try:
        yield counts
    finally:
        sys.setprofile(None)


@contextmanager
def counted_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    reads: list[int] = []
    real = Wire.try_receive

    def try_receive(wire: Wire, limit: int = 65536) -> bytes | None:
        data = real(wire, limit)
        reads.append(len(data or b""))
        return data

    with monkeypatch.context() as patched:
        patched.setattr(Wire, "try_receive", try_receive)
        yield reads


def tcp_pair() -> tuple[Wire, Peer]:
    """A Unix socket keeps 300 bytes sent one by one, TCP joins them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setblocking(False)
    return Wire(server, "127.0.0.1"), Peer(client)


@pytest.fixture
async def house(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[House]:
    made: list[tuple[Wire, Peer]] = []

    def new_pair(buffer: int | None = None) -> tuple[Wire, Peer]:
        made.append(tcp_pair())
        return made[-1]

    yield House(new_pair, tmp_path, nursery)
    for wire, peer in made:
        wire._sock.close()
        peer.raw.close()


async def feed(peer: Peer, data: bytes) -> None:
    """A segment every 10 us, as fast as one sender can: 16 KiB take 0.16 s."""
    for at in range(0, len(data), 100):
        for byte in data[at : at + 100]:
            peer.raw.send(bytes([byte]))
        await trio.sleep(0.001)


async def test_a_head_in_single_bytes_is_read_a_few_times(
    autojump_clock: MockClock, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(HEAD) == 16384
    peer = house.connect()
    with counted_reads(monkeypatch) as reads:
        await feed(peer, HEAD)
        assert (await peer.receive_answer())[0] == 200
    assert sum(reads) == len(HEAD)
    assert len(reads) <= 12, reads


async def test_it_costs_at_most_three_times_the_calls(autojump_clock: MockClock, house: House) -> None:
    """Issue 3, point 7: what it costs apart from the system calls, in calls of our functions and trio's."""
    peer = house.connect()

    async def calls(data: bytes, is_asked: bool = True) -> int:
        with counted_calls() as counts:
            await feed(peer, data if is_asked else b"")
            if not is_asked:
                for _ in range(0, len(data), 100):
                    await trio.sleep(0.001)
            await trio.sleep(1)
        if is_asked:
            assert b"hello" in peer.raw.recv(9999)
        return counts["calls"]

    await calls(HEAD)
    in_bytes = await calls(HEAD) - await calls(HEAD, is_asked=False)
    peer.raw.send(HEAD)
    with counted_calls() as counts:
        await trio.sleep(1)
    print(f"{in_bytes} calls in single bytes, {counts['calls']} at once")
    assert in_bytes < 3 * counts["calls"]


async def test_two_segments_cost_no_pause(autojump_clock: MockClock, house: House) -> None:
    peer = house.connect()
    await peer.send(GET[:20])
    await trio.sleep(0.03)
    before = trio.current_time()
    await peer.send(GET[20:])
    assert (await peer.receive_answer())[0] == 200
    assert trio.current_time() == before


async def test_a_body_in_single_bytes_is_read_a_few_times(
    autojump_clock: MockClock, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.serve(echo)
    peer = house.connect()
    body = bytes(range(256)) * 64
    with counted_reads(monkeypatch) as reads:
        await peer.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body))
        await feed(peer, body)
        assert (await peer.receive_answer())[2] == body
    assert len(reads) <= 16, reads


async def test_a_pause_is_time_the_client_takes(autojump_clock: MockClock, house: House) -> None:
    """Five bytes a second that come while we look away are still less than body_rate."""
    house.serve(echo)
    peer = house.connect()
    await peer.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4096\r\n\r\n")
    before = trio.current_time()
    while house.log.records == [] and trio.current_time() < before + 60:
        await peer.send(b"x")
        await trio.sleep(0.2)
    assert 29 < trio.current_time() - before < 33
    assert (await peer.receive_answer())[0] == 408
    assert house.record.why == "too_slow"
