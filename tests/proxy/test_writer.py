import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.proxy.fakes_core import FakeLimits, FakeProcess, NewPair, Peer, new_spool, parse
from trivet_proxy.body import EMPTY, Body
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.shape import ready_head
from trivet_proxy.stall import Stall
from trivet_proxy.wire import WireClosed
from trivet_proxy.writer import ResponseWriter


@pytest.fixture(params=["plain", "tls"])
def kind_of_wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


HTML = [(b"content-type", b"text/html")]


@dataclass
class Desk:
    """Makes writers for requests of a client that reads, or does not."""

    new_pair: NewPair
    deadlines: Deadlines
    process: FakeProcess

    def writer(
        self, method: bytes = b"GET", *, http10: bool = False, keep: bool = True, buffer: int | None = None,
        body: Body = EMPTY,
    ) -> tuple[ResponseWriter, Peer]:  # fmt: skip
        wire, peer = self.new_pair(buffer)
        stall = Stall(wire, self.deadlines)
        return ResponseWriter(wire, stall, self.process, body, method, http10, keep), peer


@pytest.fixture
async def desk(new_pair: NewPair, tmp_path: Path, nursery: trio.Nursery) -> Desk:
    deadlines = Deadlines()
    nursery.start_soon(deadlines.run)
    return Desk(new_pair, deadlines, FakeProcess(new_spool(tmp_path)))


def fields(head: bytes) -> dict[bytes, bytes]:
    return dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])


@pytest.mark.parametrize("kind", ["usual", "close", "draining", "http10", "head", "shaped"])
async def test_a_ready_head_says_what_the_headers_would(
    desk: Desk, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trivet_proxy.writer.date_now", lambda: b"Sun, 06 Nov 1994 08:49:37 GMT")
    desk.process.is_draining = kind == "draining"
    answers = []
    for is_ready in (True, False):
        method = b"HEAD" if kind == "head" else b"GET"
        writer, peer = desk.writer(method, http10=kind == "http10", keep=kind != "close")
        if kind == "shaped":
            writer.shape = lambda headers: [*headers, (b"x-a", b"b")]
        if is_ready:
            shaped = HTML if writer.shape is None else writer.shape(HTML)
            await writer.send_ready(HTML, ready_head(shaped, 5), b"hello")
        else:
            await writer.send(200, HTML, b"hello")
        writer.wire.end_sending()
        answers.append((await peer.receive_until_end(), writer.sent, writer.keep_alive, writer.finished))
    assert answers[0] == answers[1]


async def test_a_whole_answer_is_one_send(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, peer = desk.writer()
    sends = []
    real = type(writer.wire).try_send

    def count(wire: Any, data: Any, more: bool = False) -> int:
        sends.append(len(data))
        return real(wire, data, more)

    monkeypatch.setattr(type(writer.wire), "try_send", count)
    await writer.send(200, HTML, b"hello")
    status, found, body = await peer.receive_answer()
    assert (status, body, len(sends)) == (200, b"hello", 1)
    assert found.keys() == {b"content-type", b"content-length", b"date"}
    assert found[b"date"].endswith(b" GMT")
    assert (writer.status, writer.sent) == (200, 5)
    assert writer.started
    assert writer.finished
    assert writer.keep_alive
    assert HTML == [(b"content-type", b"text/html")]


async def test_a_large_answer_waits_for_the_client_and_arrives_whole(desk: Desk) -> None:
    writer, peer = desk.writer(buffer=4096)
    data = os.urandom(3_000_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.send, 200, HTML, data)
        assert (await peer.receive_answer())[2] == data
    assert writer.finished
    writer.close()
    assert writer.sent == len(data)
    assert desk.process.spool.used == 0


async def test_the_origins_date_and_reason_stay(desk: Desk) -> None:
    writer, peer = desk.writer()
    await writer.send(200, [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")], b"", b"Fine")
    head = await peer.receive_head()
    assert head.startswith(b"HTTP/1.1 200 Fine\r\n")
    assert head.count(b"date:") == 1


async def test_the_routes_shape_is_applied(desk: Desk) -> None:
    writer, peer = desk.writer()
    writer.shape = lambda headers: [*headers, (b"x-shaped", b"yes")]
    await writer.send(200, HTML)
    assert fields(await peer.receive_head())[b"x-shaped"] == b"yes"


async def test_a_header_that_would_split_the_answer_is_never_sent(desk: Desk) -> None:
    writer, _ = desk.writer()
    with pytest.raises(ValueError, match="CR or LF"):
        await writer.send(200, [(b"x", b"a\r\nset-cookie: b=c")], b"")
    assert writer.take_back()


class TestFraming:
    async def test_unknown_length_is_chunked(self, desk: Desk) -> None:
        writer, peer = desk.writer()
        writer.start(200, None, HTML, None)
        writer.write(b"hello")
        writer.write(b"")
        writer.write(b"x" * 100_000)
        assert fields(await peer.receive_head())[b"transfer-encoding"] == b"chunked"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.finish)
            expected = b"5\r\nhello\r\n186a0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n"
            assert await peer.receive_exactly(len(expected)) == expected
        assert writer.keep_alive
        assert writer.sent == 100_005

    async def test_nothing_at_all_is_an_empty_chunked_body_in_one_piece(self, desk: Desk) -> None:
        writer, peer = desk.writer()
        writer.start(200, None, HTML, None)
        await writer.finish()
        assert (await peer.receive()).endswith(b"\r\n\r\n0\r\n\r\n")

    @pytest.mark.parametrize(
        ("method", "status", "length"), [(b"HEAD", 200, b"5"), (b"GET", 204, None), (b"GET", 304, None)]
    )
    async def test_what_has_no_body_gets_none(
        self, desk: Desk, tmp_path: Path, method: bytes, status: int, length: bytes | None
    ) -> None:
        writer, peer = desk.writer(method)
        writer.start(status, None, HTML, 5)
        writer.write(b"hello")
        assert await writer.send_file(-1, 0, 7) == 7
        await writer.finish()
        head = await peer.receive_head()
        assert fields(head).get(b"content-length") == length
        assert writer.keep_alive
        assert writer.sent == 0
        writer.wire.close()
        assert await peer.receive() == b""

    async def test_head_of_unknown_length_announces_none(self, desk: Desk) -> None:
        writer, peer = desk.writer(b"HEAD")
        writer.start(200, None, HTML, None)
        await writer.finish()
        found = fields(await peer.receive_head())
        assert not found.keys() & {b"content-length", b"transfer-encoding"}

    async def test_more_than_announced_is_cut_and_the_connection_with_it(self, desk: Desk) -> None:
        writer, peer = desk.writer()
        writer.start(200, None, HTML, 5)
        writer.write(b"hel")
        writer.write(b"lo, and an answer nobody asked for")
        writer.write(b"more")
        await writer.finish()
        assert (await peer.receive_answer())[2] == b"hello"
        assert not writer.keep_alive
        assert not peer_has_more(peer)

    async def test_less_than_announced_ends_the_connection(self, desk: Desk) -> None:
        writer, peer = desk.writer()
        writer.start(200, None, HTML, 5)
        writer.write(b"hel")
        await writer.finish()
        assert not writer.finished
        assert not writer.keep_alive
        assert (await peer.receive_until_end()).endswith(b"\r\n\r\nhel")


def peer_has_more(peer: Peer) -> bool:
    try:
        return bool(peer.raw.recv(1))
    except (BlockingIOError, ssl.SSLWantReadError):
        return False


class TestKeepOrClose:
    @pytest.mark.parametrize(
        ("http10", "keep", "draining", "expected"),
        [
            (False, True, False, None),
            (False, False, False, b"close"),
            (False, True, True, b"close"),
            (True, True, False, b"keep-alive"),
            (True, False, False, b"close"),
            (True, True, True, b"close"),
        ],
    )
    async def test_is_said_in_the_head(
        self, desk: Desk, http10: bool, keep: bool, draining: bool, expected: bytes | None
    ) -> None:
        desk.process.is_draining = draining
        writer, peer = desk.writer(http10=http10, keep=keep)
        await writer.send(200, HTML, b"x")
        assert (await peer.receive_answer())[1].get(b"connection") == expected
        assert writer.keep_alive == (expected != b"close")

    async def test_an_http10_client_reads_an_unknown_length_to_the_end(self, desk: Desk) -> None:
        writer, peer = desk.writer(http10=True)
        writer.start(200, None, HTML, None)
        writer.write(b"hello")
        await writer.finish()
        head = await peer.receive_head()
        assert fields(head)[b"connection"] == b"close"
        assert b"chunked" not in head
        assert not writer.keep_alive
        assert await peer.receive() == b"hello"

    @pytest.mark.parametrize(("length", "keeps"), [(64 * 1024, True), (64 * 1024 + 1, False)])
    async def test_a_body_that_is_too_much_to_drain_ends_it(
        self, desk: Desk, length: int, keeps: bool
    ) -> None:
        head, first = parse(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % length)
        wire, _ = desk.new_pair()
        body = Body(
            head, wire, first, patience=desk.deadlines.start(None, wire, ""), limits=FakeLimits(),
            spool=desk.process.spool, interim=lambda: None,
        )  # fmt: skip
        writer, _ = desk.writer(b"POST", body=body)
        await writer.send(200, HTML, b"x")
        assert writer.keep_alive == keeps


class TestSlowClient:
    async def test_writing_never_waits_and_everything_arrives(self, desk: Desk, tmp_path: Path) -> None:
        writer, peer = desk.writer(buffer=4096)
        pieces = [os.urandom(50_000) for _ in range(20)]
        writer.start(200, None, HTML, 1_000_000)
        for piece in pieces:
            assert writer.has_room
            writer.write(piece)
        assert desk.process.spool.files == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.finish)
            assert (await peer.receive_answer())[2] == b"".join(pieces)
        assert (desk.process.spool.files, desk.process.spool.used) == (0, 0)
        assert os.listdir(tmp_path) == []

    async def test_a_full_backlog_is_said_and_waited_for(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("trivet_proxy.backlog.MOST", 200_000)
        writer, peer = desk.writer(buffer=4096)
        writer.start(200, None, HTML, None)
        while writer.has_room:
            writer.write(b"x" * 30_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.wait, None)
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            while nursery.child_tasks:
                await peer.receive(1 << 20)
                await wait_all_tasks_blocked()
        assert writer.has_room

    async def test_a_spool_without_room_slows_down_and_loses_nothing(self, desk: Desk) -> None:
        desk.process.spool.limit = 100_000
        writer, peer = desk.writer(buffer=4096)
        data = os.urandom(600_000)
        writer.start(200, None, HTML, len(data))

        async def relay() -> None:
            for at in range(0, len(data), 30_000):
                if not writer.has_room:
                    await writer.wait(None)
                writer.write(data[at : at + 30_000])
            await writer.finish()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(relay)
            assert (await peer.receive_answer())[2] == data
        assert desk.process.spool.used == 0

    async def test_while_the_upstream_is_waited_for_the_backlog_goes_out(self, desk: Desk) -> None:
        writer, peer = desk.writer(buffer=4096)
        upstream, slot = desk.new_pair()
        writer.start(200, None, HTML, None)
        writer.write(b"x" * 300_000)

        async def relay() -> None:
            while (data := upstream.try_receive()) != b"":
                if data is None:
                    await writer.wait(upstream)
                else:
                    writer.write(data)
            await writer.finish()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(relay)
            await peer.receive_head()
            assert len(await peer.receive_exactly(300_009)) == 300_009
            await wait_all_tasks_blocked()
            await slot.send(b"last words")
            assert await peer.receive_exactly(13) == b"a\r\nlast words"
            slot.close()
            assert await peer.receive_exactly(7) == b"\r\n0\r\n\r\n"

    async def test_the_head_goes_out_before_the_upstream_is_waited_for(self, desk: Desk) -> None:
        """Server-sent events: the browser's connection is open before the first event."""
        writer, peer = desk.writer()
        upstream, slot = desk.new_pair()
        writer.start(200, None, HTML, None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.wait, upstream)
            await peer.receive_head()
            await slot.send(b"event")

    @pytest.mark.parametrize("how", ["finish", "wait", "file"])
    async def test_a_client_that_takes_nothing_is_given_up(
        self, autojump_clock: MockClock, desk: Desk, tmp_path: Path, how: str
    ) -> None:
        writer, _ = desk.writer(buffer=4096)
        upstream, slot = desk.new_pair()
        path = tmp_path / "file"
        path.write_bytes(b"x" * 3_000_000)
        writer.start(200, None, HTML, 3_000_000)

        async def chatter() -> None:
            while True:
                await slot.send(b".")
                await trio.sleep(1)

        async def finish() -> None:
            writer.write(b"x" * 3_000_000)
            await writer.finish()

        async def wait() -> None:
            writer.write(b"x" * 1_000_000)
            while True:
                writer.write(upstream.try_receive() or b"")
                await writer.wait(upstream)

        async def file() -> None:
            with path.open("rb") as opened:
                await writer.send_file(opened.fileno(), 0, 3_000_000)

        before = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chatter)
            with pytest.raises(WireClosed, match="write_timeout"):
                await {"finish": finish, "wait": wait, "file": file}[how]()
            nursery.cancel_scope.cancel()
        assert 29.9 < trio.current_time() - before < 32
        writer.close()
        assert desk.process.spool.files == 0

    async def test_one_that_takes_a_little_is_not(self, autojump_clock: MockClock, desk: Desk) -> None:
        writer, peer = desk.writer(buffer=4096)
        writer.start(200, None, HTML, 1_400_000)
        writer.write(b"x" * 1_400_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.finish)
            await peer.receive_head()
            for _ in range(20):
                await trio.sleep(20)
                await peer.receive_exactly(70_000)  # a Unix socket's progress comes in pages of 64 KiB
        assert writer.finished


class TestFile:
    async def test_goes_out_behind_the_head(self, desk: Desk, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(os.urandom(500_000))
        writer, peer = desk.writer(buffer=4096)

        async def send() -> None:
            with path.open("rb") as file:
                writer.start(200, None, HTML, 400_000)
                assert await writer.send_file(file.fileno(), 100_000, 400_000) == 400_000
                await writer.finish()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert (await peer.receive_answer())[2] == path.read_bytes()[100_000:]
        assert writer.finished
        assert writer.sent == 400_000

    async def test_that_shrank_is_neither_padded_nor_finished(self, desk: Desk, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"short")
        writer, peer = desk.writer()
        with path.open("rb") as file:
            writer.start(200, None, HTML, 100)
            assert await writer.send_file(file.fileno(), 0, 100) == 5
            await writer.finish()
        assert not writer.finished
        assert (await peer.receive_until_end()).endswith(b"short")

    async def test_waits_for_what_was_written_before(self, desk: Desk, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"tail")
        writer, peer = desk.writer(buffer=4096)
        writer.start(200, None, HTML, 100_004)
        writer.write(b"x" * 100_000)

        async def send() -> None:
            with path.open("rb") as file:
                await writer.send_file(file.fileno(), 0, 4)
            await writer.finish()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert (await peer.receive_answer())[2] == b"x" * 100_000 + b"tail"


class TestEnd:
    @pytest.mark.parametrize("length", [None, 100])
    async def test_a_cut_is_seen_by_the_client(self, desk: Desk, length: int | None) -> None:
        writer, peer = desk.writer()
        writer.start(200, None, HTML, length)
        writer.write(b"half")
        writer.close_without_end()
        got = await peer.receive_until_end()
        assert got.endswith(b"half" if length else b"half\r\n")
        assert not writer.keep_alive

    async def test_a_cut_that_would_look_like_an_end_is_a_reset(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aborted: list[str] = []
        writer, _ = desk.writer(http10=True)
        monkeypatch.setattr("trivet_proxy.wire.Wire.abort", lambda wire, why: aborted.append(why))
        writer.start(200, None, HTML, None)
        writer.write(b"half")
        writer.close_without_end()
        assert aborted == ["cut"]

    async def test_what_was_not_sent_can_be_taken_back(self, desk: Desk) -> None:
        writer, peer = desk.writer()
        writer.start(200, None, HTML, 100)
        assert writer.take_back()
        await writer.send(500, HTML, b"sorry")
        assert (await peer.receive_answer())[0] == 500
        assert not writer.take_back()

    async def test_a_client_that_left_is_noticed(self, desk: Desk) -> None:
        writer, peer = desk.writer()
        assert not writer.is_gone()
        peer.close()
        assert writer.is_gone()
        with pytest.raises(WireClosed, match="peer"):
            await writer.send(200, HTML, b"x")
        assert writer.sent == 0
        assert writer.take_back()

    @pytest.mark.parametrize(("http10", "started"), [(False, False), (True, False), (False, True)])
    async def test_100_continue_only_where_it_can_be_understood(
        self, desk: Desk, http10: bool, started: bool
    ) -> None:
        writer, peer = desk.writer(b"POST", http10=http10)
        if started:
            writer.start(200, None, HTML, 0)
        writer.interim()
        expected = b"" if http10 or started else b"HTTP/1.1 100 Continue\r\n\r\n"
        if not started:
            await writer.send(200, [], b"")
        else:
            await writer.finish()
        writer.wire.close()
        got = await peer.receive_until_end()
        assert got.startswith(expected + b"HTTP/1.1 200 OK\r\n")

    async def test_only_one_answer(self, desk: Desk) -> None:
        writer, _ = desk.writer()
        await writer.send(200, HTML)
        with pytest.raises(AssertionError):
            await writer.send(200, HTML)
