from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.proxy.fakes_core import FakeLimits, NewPair, Peer, new_spool, parse
from trivet_common.http1.errors import HttpError
from trivet_proxy.body import EMPTY, Body
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.spool import Spool
from trivet_proxy.wire import Wire


@pytest.fixture(params=["plain", "tls"])
def kind_of_wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


COUNTED = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
EXPECTING = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n"


@dataclass
class Waker:
    """What a connection does when the client's time is over."""

    wire: Wire

    def expire(self, why: str) -> None:
        self.wire.wake()


@dataclass
class Desk:
    """Makes bodies of what a client sent."""

    new_pair: NewPair
    deadlines: Deadlines
    spool: Spool
    limits: FakeLimits = field(default_factory=FakeLimits)
    interims: int = 0

    def interim(self) -> None:
        self.interims += 1

    def receive(self, request: bytes) -> tuple[Body, Peer]:
        head, first = parse(request)
        wire, peer = self.new_pair()
        patience = self.deadlines.start(None, Waker(wire), "")
        body = Body(
            head, wire, first, patience=patience, limits=self.limits, spool=self.spool, interim=self.interim
        )
        return body, peer


@pytest.fixture
async def desk(new_pair: NewPair, tmp_path: Path, nursery: trio.Nursery) -> Desk:
    deadlines = Deadlines()
    nursery.start_soon(deadlines.run)
    return Desk(new_pair, deadlines, new_spool(tmp_path, memory=1000))


async def test_what_came_with_the_head_and_what_comes_later(desk: Desk) -> None:
    body, peer = desk.receive(COUNTED % 10 + b"hello")
    assert not body.is_complete
    await peer.send(b"worldGET /next")
    await body.read_all(100)
    assert body.is_complete
    assert body.in_memory == b"helloworld"
    assert body.length == 10
    assert body.take_rest() == b"GET /next"
    assert body.take_rest() == b""
    assert await body.receive() == b""


async def test_chunks_are_decoded_and_counted(desk: Desk) -> None:
    body, peer = desk.receive(CHUNKED + b"5\r\nhello\r\n")
    assert body.length is None
    await peer.send(b"5;x=y\r\nworld\r\n0\r\ntrailer: x\r\n\r\nGET /next")
    await body.read_all(10)
    assert body.in_memory == b"helloworld"
    assert body.length == 10
    assert body.take_rest() == b"GET /next"


async def test_a_large_body_is_a_file_and_can_be_read_again(desk: Desk) -> None:
    data = bytes(range(256)) * 40
    body, peer = desk.receive(COUNTED % len(data))
    await peer.send(data)
    await body.read_all(None)
    assert body.in_memory is None
    assert body.fileno is not None
    for _ in range(2):
        pieces = body.open()
        got = b""
        while piece := pieces.next(3000):
            got += piece
        assert got == data
    await body.read_all(None)
    body.close()
    assert desk.spool.used == 0


async def test_too_large_is_said_before_anything_is_read_or_asked_for(desk: Desk) -> None:
    body, _ = desk.receive(EXPECTING)
    with pytest.raises(HttpError) as refused:
        await body.read_all(4)
    assert (refused.value.status, refused.value.why) == (413, "too_large")
    assert desk.interims == 0
    assert body.received == 0
    assert not body.is_drainable(100)


async def test_chunks_beyond_the_limit_are_refused_as_soon_as_announced(desk: Desk) -> None:
    body, peer = desk.receive(CHUNKED)
    await peer.send(b"5\r\nhello\r\nffffff\r\n")
    with pytest.raises(HttpError, match="too_large"):
        await body.read_all(10)
    assert body.is_broken
    assert not await body.drain(100)


async def test_100_continue_is_sent_once_and_only_when_we_read(desk: Desk) -> None:
    body, peer = desk.receive(EXPECTING)
    assert desk.interims == 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(body.read_all, 10)
        await wait_all_tasks_blocked()
        assert desk.interims == 1
        await peer.send(b"hel")
        await wait_all_tasks_blocked()
        await peer.send(b"lo")
    assert desk.interims == 1
    assert body.in_memory == b"hello"


async def test_no_100_continue_where_the_body_is_here_already(desk: Desk) -> None:
    body, peer = desk.receive(EXPECTING + b"hel")
    await peer.send(b"lo")
    await body.read_all(10)
    assert desk.interims == 0


@pytest.mark.parametrize(
    "sent", [COUNTED % 5, COUNTED % 5 + b"hell", CHUNKED, CHUNKED + b"5\r\nhello\r\n0\r\n"]
)
async def test_a_body_cut_short_is_never_complete(desk: Desk, sent: bytes) -> None:
    body, peer = desk.receive(sent)
    peer.close()
    with pytest.raises(HttpError) as refused:
        await body.read_all(100)
    assert refused.value.why == "bad_body:truncated"
    assert not body.is_complete
    assert body.is_broken
    assert not body.is_drainable(100)


async def test_rubbish_between_chunks_breaks_it(desk: Desk) -> None:
    body, _ = desk.receive(CHUNKED + b"5\r\nhelloXX0\r\n\r\n")
    with pytest.raises(HttpError, match="bad_body:chunk_end"):
        await body.read_all(100)
    assert body.is_broken


async def test_a_full_spool_refuses(desk: Desk) -> None:
    desk.spool.limit = 1500
    body, peer = desk.receive(COUNTED % 4000)
    await peer.send(b"x" * 4000)
    with pytest.raises(HttpError) as full:
        await body.read_all(None)
    assert full.value.status == 507
    body.close()
    assert desk.spool.used == 0


class TestStreamed:
    async def test_piece_by_piece(self, desk: Desk) -> None:
        body, peer = desk.receive(CHUNKED + b"3\r\none\r\n")
        assert body.try_receive() == b"one"
        assert body.try_receive() is None
        await peer.send(b"3\r\ntwo\r\n")
        assert await body.receive() == b"two"
        await peer.send(b"0\r\n\r\n")
        assert await body.receive() == b""
        assert body.is_complete
        assert body.in_memory is None
        assert body.try_receive() == b""

    async def test_the_limit_holds(self, desk: Desk) -> None:
        body, _ = desk.receive(COUNTED % 5)
        body.limit = 4
        with pytest.raises(HttpError, match="too_large"):
            body.try_receive()


class TestPatience:
    async def expect_end(self, desk: Desk, body: Body, why: str) -> float:
        """Read until the client's time is over, which leaves the wire open to say so; how long that took."""
        before = trio.current_time()
        with pytest.raises(HttpError, match=why):
            await body.read_all(None)
        assert body.wire.fd >= 0
        assert not body.is_drainable(1_000_000)
        return trio.current_time() - before

    async def test_a_body_that_stops_arriving(self, autojump_clock: MockClock, desk: Desk) -> None:
        desk.limits.body_rate = None
        body, _ = desk.receive(COUNTED % 10 + b"hello")
        assert 29.9 < await self.expect_end(desk, body, "body_timeout") < 30.2

    async def test_a_body_slower_than_the_rate(
        self, autojump_clock: MockClock, desk: Desk, nursery: trio.Nursery
    ) -> None:
        """One byte a second is never a pause of body_timeout: RUDY."""
        body, peer = desk.receive(COUNTED % 100_000)

        async def dribble() -> None:
            while True:
                await trio.sleep(1)
                await peer.send(b"x")

        nursery.start_soon(dribble)
        assert 29.9 < await self.expect_end(desk, body, "too_slow") < 31.2

    async def test_a_slow_but_honest_body(
        self, autojump_clock: MockClock, desk: Desk, nursery: trio.Nursery
    ) -> None:
        body, peer = desk.receive(COUNTED % 60_000)

        async def walk() -> None:
            for _ in range(40):
                await trio.sleep(1)
                await peer.send(b"x" * 1500)

        nursery.start_soon(walk)
        await body.read_all(None)
        assert body.length == 60_000

    @pytest.mark.parametrize("stop", [Body.close, None])
    async def test_a_slow_application_is_not_the_clients_fault(
        self, autojump_clock: MockClock, desk: Desk, stop: Callable[[Body], None] | None
    ) -> None:
        body, peer = desk.receive(COUNTED % 100 + b"hello")
        assert body.try_receive() == b"hello"
        await trio.sleep(1000)
        assert body.try_receive() is None
        await trio.sleep(5)
        await peer.send(b"more")
        assert body.try_receive() == b"more"
        await trio.sleep(1000)
        if stop is not None:
            assert body.try_receive() is None
            stop(body)
            await trio.sleep(1000)
        assert body.wire.fd >= 0

    async def test_nobody_waits_after_a_cancelled_receive(
        self, autojump_clock: MockClock, desk: Desk
    ) -> None:
        body, _ = desk.receive(COUNTED % 100)
        with trio.move_on_after(1):
            await body.receive()
        await trio.sleep(1000)
        assert body.wire.fd >= 0


class TestDrain:
    async def test_a_small_rest_is_read_away(self, desk: Desk) -> None:
        body, peer = desk.receive(COUNTED % 10 + b"hello")
        await peer.send(b"worldGET /next")
        assert body.is_drainable(10)
        assert await body.drain(10)
        assert body.take_rest() == b"GET /next"

    async def test_a_large_one_is_not(self, desk: Desk) -> None:
        body, _ = desk.receive(COUNTED % 1000)
        assert not await body.drain(999)

    async def test_what_has_no_known_end_is_not(self, desk: Desk) -> None:
        body, _ = desk.receive(CHUNKED)
        assert not body.is_drainable(1000)

    async def test_what_may_never_come_is_not(self, desk: Desk) -> None:
        """Without 100 Continue the client may send the body or the next request (RFC 9110, 10.1.1)."""
        body, _ = desk.receive(EXPECTING)
        assert not body.is_drainable(1000)

    async def test_a_cut_is_no_success(self, desk: Desk) -> None:
        body, peer = desk.receive(COUNTED % 10 + b"hello")
        peer.close()
        assert not await body.drain(10)


async def test_no_body_is_always_complete() -> None:
    await EMPTY.read_all(0)
    assert EMPTY.in_memory == b""
    assert EMPTY.fileno is None
    assert EMPTY.open().next() == b""
    assert EMPTY.length == 0
    assert EMPTY.is_drainable(0)
    assert await EMPTY.drain(0)
    assert EMPTY.try_receive() == b""
    assert await EMPTY.receive() == b""
    assert EMPTY.take_rest() == b""
    EMPTY.close()
    assert EMPTY.in_memory == b""
