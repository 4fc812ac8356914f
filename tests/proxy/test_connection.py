import dataclasses
import errno
import gc
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.proxy.fakes_core import NewPair, Peer
from trivet_common.access_log import AccessRecord
from trivet_common.config import from_mapping
from trivet_common.config.settings_log import RouteLog
from trivet_common.http1.reasons import refuse
from trivet_proxy.access_logs import AccessLogs
from trivet_proxy.clients import Clients
from trivet_proxy.complaints import Complaints
from trivet_proxy.connection import Connection
from trivet_proxy.note import log_line
from trivet_proxy.omissions import Omissions
from trivet_proxy.request import Request
from trivet_proxy.resources import Resources
from trivet_proxy.router import CompiledRoute, Router
from trivet_proxy.wire import Wire
from trivet_proxy.writer import ResponseWriter


@pytest.fixture(params=["plain", "tls"])
def kind_of_wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Handler = Callable[[Request, ResponseWriter], Awaitable[None]]
HTML = [(b"content-type", b"text/html")]
GET = b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: shop.example\r\ncontent-length: %d\r\n\r\n"


class FakeSite(Router):
    errors = None


class FakeLog:
    """Keeps records instead of writing lines."""

    lost = 0

    def __init__(self) -> None:
        self.records: list[AccessRecord] = []

    def write(self, record: AccessRecord) -> None:
        self.records.append(record)


class House:
    """One process with one route, and clients that come to it."""

    def __init__(self, new_pair: NewPair, spool: Path, nursery: trio.Nursery, **limits: Any) -> None:
        settings = from_mapping(
            {"routes": [{"path": "/", "respond": "x"}], "limits": limits, "spool": {"dir": str(spool)}}
        )
        self.settings = settings
        self.log = FakeLog()
        self.complaints: list[str] = []
        self.resources = Resources(
            settings,
            index=0,
            count=1,
            nursery=nursery,
            access_logs=AccessLogs(self.log),
            error_log=SimpleNamespace(),
        )  # type: ignore[arg-type]
        self.clients = Clients(Router([]), 1000)  # type: ignore[arg-type]
        self.serve(hello)
        self.connections: list[Connection] = []
        self._new_pair = new_pair
        self._nursery = nursery
        nursery.start_soon(self.resources.deadlines.run)

    def serve(self, handler: Handler, **route: Any) -> None:
        """What `/` does."""
        made = CompiledRoute(
            order=0, handler=handler, path=b"/", id="root", limits=self.settings.routes[0].limits, **route
        )
        self.clients.site = FakeSite([made])  # type: ignore[assignment]

    def connect(self, buffer: int | None = None) -> Peer:
        wire, peer = self._new_pair(buffer)
        complaints = Complaints(self.complaints.append)
        omissions = Omissions(complaints)
        connection = Connection(wire, "http", self.resources, self.clients, complaints, omissions)
        self.connections.append(connection)
        self._nursery.start_soon(connection.run)
        return peer

    @property
    def record(self) -> AccessRecord:
        """Of the only request so far."""
        assert len(self.log.records) == 1
        return self.log.records[0]


async def hello(request: Request, writer: ResponseWriter) -> None:
    await writer.send(200, HTML, b"hello " + request.head.query)


async def echo(request: Request, writer: ResponseWriter) -> None:
    await request.body.read_all(1_000_000)
    await writer.send(200, HTML, request.body.open().next(1_000_000))


@pytest.fixture
async def house(new_pair: NewPair, tmp_path: Path, nursery: trio.Nursery) -> House:
    return House(new_pair, tmp_path, nursery)


class TestOrder:
    async def test_one_request_after_the_other(self, house: House) -> None:
        peer = house.connect()
        for at in range(3):
            await peer.send(b"GET /?%d HTTP/1.1\r\nhost: shop.example\r\n\r\n" % at)
            status, fields, body = await peer.receive_answer()
            assert (status, body) == (200, b"hello %d" % at)
            assert b"connection" not in fields
        assert house.clients.requests == 3

    async def test_pipelined_requests_are_answered_in_order_and_one_at_a_time(self, house: House) -> None:
        active = most = 0

        async def slow(request: Request, writer: ResponseWriter) -> None:
            nonlocal active, most
            active += 1
            most = max(most, active)
            await trio.sleep(0.001)
            await hello(request, writer)
            active -= 1

        house.serve(slow)
        peer = house.connect()
        await peer.send(b"".join(b"GET /?%d HTTP/1.1\r\nhost: a\r\n\r\n" % at for at in range(20)))
        for at in range(20):
            assert (await peer.receive_answer())[2] == b"hello %d" % at
        assert most == 1

    async def test_bodies_and_requests_behind_them(self, house: House) -> None:
        house.serve(echo)
        peer = house.connect()
        chunked = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
        await peer.send(POST % 3 + b"one" + chunked + GET + POST % 4 + b"fo")
        assert (await peer.receive_answer())[2] == b"one"
        assert (await peer.receive_answer())[2] == b"two"
        assert (await peer.receive_answer())[2] == b""
        await peer.send(b"ur")
        assert (await peer.receive_answer())[2] == b"four"

    async def test_a_request_in_single_bytes(self, house: House) -> None:
        house.serve(echo)
        peer = house.connect()
        for byte in POST % 3 + b"abc":
            await peer.send(bytes([byte]))
            await wait_all_tasks_blocked()
        assert (await peer.receive_answer())[2] == b"abc"

    async def test_an_ordinary_request_switches_tasks_once(self, house: House) -> None:
        """Once, for the client's request: the answer is taken by the kernel at once."""
        peer = house.connect()
        steps = 0

        class Count(trio.abc.Instrument):
            def before_task_step(self, task: trio.lowlevel.Task) -> None:
                nonlocal steps
                steps += "Connection.run" in task.name

        await peer.send(GET)
        await peer.receive_answer()
        await wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(Count())
        for _ in range(10):
            peer.raw.send(GET)
            await wait_all_tasks_blocked()
            peer.raw.recv(1000)
        assert steps == 10

    async def test_a_client_that_is_done(self, house: House) -> None:
        peer = house.connect()
        await peer.send(GET)
        await peer.receive_answer()
        peer.close()
        await wait_all_tasks_blocked()
        assert house.clients.connections == 0


class TestClose:
    async def test_when_the_client_says_so(self, house: House) -> None:
        peer = house.connect()
        await peer.send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert (await peer.receive_answer())[1][b"connection"] == b"close"
        assert await peer.receive() == b""

    async def test_when_we_are_leaving(self, house: House) -> None:
        peer, idle = house.connect(), house.connect()
        await idle.send(GET)
        await idle.receive_answer()
        await wait_all_tasks_blocked()
        house.resources.is_draining = True
        assert house.clients.close_idle(10, "draining") == 1
        assert await idle.receive() == b""
        await peer.send(GET)
        assert (await peer.receive_answer())[1][b"connection"] == b"close"
        assert await peer.receive() == b""

    async def test_a_small_unread_body_is_drained_and_the_connection_kept(self, house: House) -> None:
        peer = house.connect()
        await peer.send(POST % 5)
        assert (await peer.receive_answer())[2] == b"hello "
        await peer.send(b"abcde" + GET)
        assert (await peer.receive_answer())[0] == 200

    async def test_a_large_one_ends_it_and_the_answer_arrives(self, house: House) -> None:
        """Without lingering the unread bytes would make the close a reset, and the answer could be lost."""
        peer = house.connect()
        await peer.send(POST % 10_000_000 + b"x" * 50_000)
        status, fields, _ = await peer.receive_answer()
        assert (status, fields[b"connection"]) == (200, b"close")
        await peer.send(b"x" * 50_000)
        assert await peer.receive() == b""
        peer.close()
        await wait_all_tasks_blocked()
        assert house.clients.connections == 0

    async def test_lingering_ends(self, autojump_clock: MockClock, house: House) -> None:
        peer = house.connect()
        await peer.send(POST % 10_000_000)
        await peer.receive_answer()
        before = trio.current_time()
        while house.clients.connections:
            await trio.sleep(0.1)
        assert trio.current_time() - before < 2.5
        assert len(house.log.records) == 1

    async def test_100_continue_comes_when_the_body_is_read(self, house: House) -> None:
        house.serve(echo)
        peer = house.connect()
        await peer.send((POST % 3)[:-2] + b"expect: 100-continue\r\n\r\n")
        assert await peer.receive_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.send(b"abc")
        assert (await peer.receive_answer())[2] == b"abc"

    async def test_refused_without_100_continue_the_connection_ends(self, house: House) -> None:
        peer = house.connect()
        await peer.send((POST % 3)[:-2] + b"expect: 100-continue\r\n\r\n")
        assert (await peer.receive_answer())[1][b"connection"] == b"close"
        assert await peer.receive() == b""

    async def test_http10(self, house: House) -> None:
        peer = house.connect()
        await peer.send(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        assert (await peer.receive_answer())[1][b"connection"] == b"keep-alive"
        await peer.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await peer.receive_answer())[1][b"connection"] == b"close"
        assert await peer.receive() == b""
        assert house.log.records[0].version == "HTTP/1.0"


class TestRefusals:
    @pytest.mark.parametrize("split", [0, 1, 20, 37, 38, 60])
    async def test_a_bad_head_is_answered_and_nothing_after_it_is_run(self, house: House, split: int) -> None:
        """RFC 9112, 9.6."""
        bad = b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n" + GET
        peer = house.connect()
        await peer.send(bad[:split])
        await wait_all_tasks_blocked()
        await peer.send(bad[split:])
        status, fields, page = await peer.receive_answer()
        assert (status, fields[b"connection"]) == (400, b"close")
        assert b"bad_head:host_twice" in page
        assert await peer.receive() == b""
        assert house.clients.requests == 0
        assert house.record.why == "bad_head:host_twice"
        assert house.record.status == 400
        assert house.record.request_id.encode() in page

    async def test_no_route(self, house: House) -> None:
        house.clients.site = FakeSite([])  # type: ignore[assignment]
        peer = house.connect()
        await peer.send(GET)
        assert (await peer.receive_answer())[0] == 404
        await peer.send(GET[:-2] + b"accept: text/html\r\n\r\n")
        status, fields, page = await peer.receive_answer()
        assert (status, fields[b"content-type"]) == (404, b"text/html; charset=utf-8")
        assert page.startswith(b"<!doctype html>")
        assert house.log.records[0].why == "no_route"
        assert house.complaints == []

    async def test_an_error_of_a_handler_keeps_the_connection(self, house: House) -> None:
        async def busy(request: Request, writer: ResponseWriter) -> None:
            raise refuse("queue_full", headers=((b"retry-after", b"1"),))

        house.serve(busy)
        peer = house.connect()
        await peer.send(GET)
        status, fields, _ = await peer.receive_answer()
        assert (status, fields[b"retry-after"]) == (503, b"1")
        assert b"connection" not in fields
        assert (house.record.status, house.record.why, house.record.route) == (503, "queue_full", "root")

    async def test_too_large_is_refused_before_it_is_sent(self, house: House) -> None:
        async def small(request: Request, writer: ResponseWriter) -> None:
            await request.body.read_all(10)

        house.serve(small)
        peer = house.connect()
        await peer.send((POST % 11)[:-2] + b"expect: 100-continue\r\n\r\n")
        assert (await peer.receive_answer())[0] == 413
        assert await peer.receive() == b""

    async def test_a_broken_body_ends_it(self, house: House) -> None:
        house.serve(echo)
        peer = house.connect()
        await peer.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\ntwoXX" + GET)
        status, fields, _ = await peer.receive_answer()
        assert (status, fields[b"connection"]) == (400, b"close")
        assert await peer.receive() == b""
        assert house.record.why == "bad_body:chunk_end"
        assert house.clients.requests == 1


class TestSurprises:
    async def test_an_exception_is_a_500_logged_once_and_ends_only_this_connection(
        self, house: House
    ) -> None:
        async def broken(request: Request, writer: ResponseWriter) -> None:
            raise ZeroDivisionError("surprise")

        other = house.connect()
        house.serve(broken)
        peer = house.connect()
        await peer.send(GET)
        status, fields, page = await peer.receive_answer()
        assert (status, fields[b"connection"]) == (500, b"close")
        assert b"surprise" not in page
        assert await peer.receive() == b""
        assert (house.record.status, house.record.why) == (500, "internal")
        tracebacks = [text for text in house.complaints if "Traceback" in text]
        assert len(tracebacks) == 1
        assert "ZeroDivisionError: surprise" in tracebacks[0]
        house.serve(hello)
        await other.send(GET)
        assert (await other.receive_answer())[0] == 200

    async def test_after_the_head_it_is_a_cut(self, house: House) -> None:
        async def broken(request: Request, writer: ResponseWriter) -> None:
            writer.start(200, None, HTML, None)
            writer.write(b"half")
            raise ZeroDivisionError

        house.serve(broken)
        peer = house.connect()
        await peer.send(GET)
        assert (await peer.receive_until_end()).endswith(b"4\r\nhalf\r\n")
        assert (house.record.status, house.record.why, house.record.sent) == (200, "internal", 4)

    async def test_what_was_started_and_not_sent_is_taken_back(self, house: House) -> None:
        async def late(request: Request, writer: ResponseWriter) -> None:
            writer.start(200, None, HTML, None)
            raise refuse("worker_died")

        house.serve(late)
        peer = house.connect()
        await peer.send(GET)
        assert (await peer.receive_answer())[0] == 502
        assert house.record.status == 502

    async def test_a_handler_that_forgets_to_answer(self, house: House) -> None:
        async def silent(request: Request, writer: ResponseWriter) -> None:
            pass

        house.serve(silent)
        peer = house.connect()
        await peer.send(GET)
        assert (await peer.receive_answer())[0] == 500

    async def test_out_of_descriptors_is_overload_and_no_traceback(self, house: House) -> None:
        async def full(request: Request, writer: ResponseWriter) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        house.serve(full)
        peer = house.connect()
        await peer.send(GET)
        assert (await peer.receive_answer())[0] == 503
        assert house.record.why == "overloaded"
        assert not any("Traceback" in text for text in house.complaints)

    async def test_a_client_that_leaves_while_it_is_served(self, house: House) -> None:
        async def slow(request: Request, writer: ResponseWriter) -> None:
            while not writer.is_gone():
                await trio.sleep(0.001)
            raise refuse("client_left")

        house.serve(slow)
        peer = house.connect()
        await peer.send(GET)
        await wait_all_tasks_blocked()
        peer.close()
        while house.clients.connections:
            await trio.sleep(0.001)
        assert (house.record.status, house.record.why) == (499, "client_left")

    @pytest.mark.parametrize("started", [False, True])
    async def test_a_client_that_is_gone_when_its_answer_comes(self, house: House, started: bool) -> None:
        async def late(request: Request, writer: ResponseWriter) -> None:
            writer.start(200, None, HTML, None)
            if started:
                writer.write(b"half")
            peer.close()
            writer.write(b"the rest")

        house.serve(late)
        peer = house.connect()
        await peer.send(GET)
        while house.clients.connections:
            await trio.sleep(0.001)
        assert (house.record.status, house.record.why) == (200 if started else 499, "client_left")
        assert house.complaints == []

    async def test_a_truncated_body_is_never_answered_with_2xx(self, house: House) -> None:
        house.serve(echo)
        peer = house.connect()
        await peer.send(POST % 10 + b"half")
        await wait_all_tasks_blocked()
        peer.close()
        while house.clients.connections:
            await trio.sleep(0.001)
        assert house.record.why == "bad_body:truncated"
        assert house.record.status in (400, 499)  # nobody was there to read it

    async def test_a_spooled_body_is_given_back_whatever_happens(self, house: House) -> None:
        async def broken(request: Request, writer: ResponseWriter) -> None:
            await request.body.read_all(None)
            assert house.resources.spool.files == 1
            raise ZeroDivisionError

        house.serve(broken)
        peer = house.connect()
        await peer.send(POST % 200_000 + b"x" * 200_000)
        await peer.receive_answer()
        await wait_all_tasks_blocked()
        assert house.resources.spool.files == 0


class TestCuts:
    """An answer that is not whole, and a client that reads to its end (HTTP/1.0, no length): it can tell."""

    @staticmethod
    async def begin(request: Request, writer: ResponseWriter) -> None:
        writer.start(200, None, HTML, None)
        writer.write(b"the beginning")
        await writer.wait(None)

    async def hear(self, house: House, peer: Peer) -> Connection:
        await peer.send(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n")
        answer = b""
        while b"the beginning" not in answer:
            answer += await peer.receive()
        if isinstance(peer.raw, ssl.SSLSocket):
            peer.raw.suppress_ragged_eofs = False
        return house.connections[-1]

    async def see_the_cut(self, peer: Peer, connection: Connection, why: str) -> None:
        """A bare socket pair knows no reset: what a wire is closed with stands for it."""
        if isinstance(peer.raw, ssl.SSLSocket):
            with pytest.raises(ssl.SSLError):
                await peer.receive_until_end()
        await wait_all_tasks_blocked()
        assert connection.wire.ended_by == why

    async def test_a_stop(self, new_pair: NewPair, tmp_path: Path) -> None:
        async with trio.open_nursery() as nursery:
            house = House(new_pair, tmp_path, nursery)

            async def endless(request: Request, writer: ResponseWriter) -> None:
                await self.begin(request, writer)
                await trio.sleep_forever()

            house.serve(endless)
            connection = await self.hear(house, peer := house.connect())
            nursery.cancel_scope.cancel()
        await self.see_the_cut(peer, connection, "cut")

    async def test_a_stop_of_a_refusal(self, new_pair: NewPair, tmp_path: Path) -> None:
        """Nothing was sent, and so nothing is whole."""

        async def send(*_: object) -> None:
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            house = House(new_pair, tmp_path, nursery)
            peer = house.connect()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(ResponseWriter, "send", send)
                await peer.send(b"GET\r\n\r\n")
                await wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
                await wait_all_tasks_blocked()
        assert house.connections[0].wire.ended_by == "cut"

    @pytest.mark.parametrize("what", ["deadline", "surprise"])
    async def test_a_deadline_and_a_surprise(self, house: House, what: str) -> None:
        is_heard = trio.Event()

        async def fail(request: Request, writer: ResponseWriter) -> None:
            await self.begin(request, writer)
            await is_heard.wait()
            raise refuse("deadline") if what == "deadline" else ValueError(what)

        house.serve(fail)
        connection = await self.hear(house, peer := house.connect())
        is_heard.set()
        await self.see_the_cut(peer, connection, "cut")

    async def test_a_client_that_takes_nothing(self, autojump_clock: MockClock, house: House) -> None:
        async def much(request: Request, writer: ResponseWriter) -> None:
            await self.begin(request, writer)
            writer.write(bytes(500_000))
            await writer.finish()

        house.serve(much)
        connection = await self.hear(house, peer := house.connect(4096))
        await trio.sleep(100)
        await self.see_the_cut(peer, connection, "write_timeout")


class TestTime:
    async def test_a_head_has_one_deadline_from_its_first_byte(
        self, autojump_clock: MockClock, house: House
    ) -> None:
        """Not one a read: slowloris sends a byte now and then."""
        peer = house.connect()
        await peer.send(GET)
        await peer.receive_answer()
        await trio.sleep(60)
        before = trio.current_time()
        while len(house.log.records) < 2 and trio.current_time() - before < 20:
            await peer.send(b"G")
            await trio.sleep(1)
        assert 9 < trio.current_time() - before < 13
        assert (await peer.receive_answer())[0] == 408
        while house.clients.connections:
            await trio.sleep(0.1)
        assert trio.current_time() - before < 15
        assert [record.why for record in house.log.records] == ["", "header_timeout"]
        assert house.log.records[1].status == 408

    async def test_a_new_connections_head_has_it_from_the_start(
        self, autojump_clock: MockClock, house: House
    ) -> None:
        peer = house.connect()
        await trio.sleep(6)
        await peer.send(b"GET /")
        before = trio.current_time()
        head = await peer_end(peer)
        assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert 3.5 < trio.current_time() - before < 4.5

    async def test_an_empty_line_is_no_byte_of_a_head(self, autojump_clock: MockClock, house: House) -> None:
        peer = house.connect()
        await peer.send(b"\r\n")
        assert await peer_end(peer) == b""
        assert house.log.records == []

    async def test_a_silent_connection_is_closed_without_a_line_in_the_log(
        self, autojump_clock: MockClock, house: House
    ) -> None:
        peer = house.connect()
        assert await peer_end(peer) == b""
        assert house.log.records == []

    async def test_an_idle_one_after_idle_timeout(self, autojump_clock: MockClock, house: House) -> None:
        peer = house.connect()
        await peer.send(GET)
        await peer.receive_answer()
        before = trio.current_time()
        assert await peer_end(peer) == b""
        assert 74.5 < trio.current_time() - before < 75.5
        assert len(house.log.records) == 1

    async def test_a_handlers_time_is_its_own(self, autojump_clock: MockClock, house: House) -> None:
        async def slow(request: Request, writer: ResponseWriter) -> None:
            await trio.sleep(500)
            await hello(request, writer)

        house.serve(slow)
        peer = house.connect()
        await peer.send(GET)
        await trio.sleep(501)
        assert (await peer.receive_answer())[0] == 200
        assert 499 < house.record.total < 1e6 or house.record.total < 5  # by the real clock

    async def test_a_body_that_stops(self, autojump_clock: MockClock, house: House) -> None:
        house.serve(echo)
        peer = house.connect()
        await peer.send(POST % 10 + b"half")
        with trio.fail_after(60):
            head = await peer.sock.recv(4096)
        assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"connection: close\r\n" in head
        assert b"reason: body_timeout" in head
        assert await peer_end(peer) == b""
        await wait_all_tasks_blocked()
        assert (house.record.status, house.record.why) == (408, "body_timeout")

    async def test_a_body_that_stops_after_its_answer_began(
        self, autojump_clock: MockClock, house: House
    ) -> None:
        async def early(request: Request, writer: ResponseWriter) -> None:
            writer.start(200, None, HTML, None)
            writer.write(b"early")
            await request.body.read_all(None)
            await writer.finish()

        house.serve(early)
        peer = house.connect()
        await peer.send(POST % 10 + b"half")
        with trio.fail_after(60):
            answer = b"".join([await peer.sock.recv(4096), await peer.sock.recv(4096)])
        assert answer.endswith(b"5\r\nearly\r\n")
        await wait_all_tasks_blocked()
        assert (house.record.status, house.record.why) == (200, "body_timeout")

    async def test_a_body_that_stops_while_it_is_drained(
        self, autojump_clock: MockClock, house: House
    ) -> None:
        """The answer is out: there is nothing to say any more."""
        peer = house.connect()
        await peer.send(POST % 10 + b"half")
        assert (await peer.receive_answer())[0] == 200
        assert await peer_end(peer) == b""
        while house.clients.connections:
            await trio.sleep(0.1)
        assert (house.record.status, house.record.why) == (200, "")


async def peer_end(peer: Peer) -> bytes:
    """Wait as long as it takes, by the test's clock."""
    return await peer.sock.recv(100)


class TestLog:
    async def test_a_line_says_what_happened(self, house: House) -> None:
        peer = house.connect()
        await peer.send(
            b"GET /a?b HTTP/1.1\r\nhost: Shop.Example:8000\r\nuser-agent: curl/8\r\nreferer: http://x/\r\n"
            b"authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n"
        )
        await peer.receive_answer()
        record = house.record
        assert (record.method, record.target, record.version) == ("GET", "/a?b", "HTTP/1.1")
        assert (record.status, record.sent, record.why) == (200, 7, "")
        assert (record.client, record.host, record.user) == ("192.0.2.7", "shop.example", "alice")
        assert (record.user_agent, record.referer, record.route) == ("curl/8", "http://x/", "root")
        assert len(record.request_id) == 32
        assert 0 < record.total < 5
        assert record.time > 1.6e9

    async def test_a_route_can_do_without(self, house: House) -> None:
        house.serve(hello, log_line=log_line(RouteLog(is_on=False)))
        peer = house.connect()
        await peer.send(GET)
        await peer.receive_answer()
        await wait_all_tasks_blocked()
        assert house.log.records == []

    async def test_a_stop_is_said(self, new_pair: NewPair, tmp_path: Path) -> None:
        async def slow(request: Request, writer: ResponseWriter) -> None:
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            house = House(new_pair, tmp_path, nursery)
            house.serve(slow)
            peer = house.connect()
            await peer.send(GET)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert (house.record.status, house.record.why) == (499, "draining")
        assert house.clients.connections == 0


class TestIdentity:
    async def test_a_trusted_proxys_name_for_the_request_stays(self, house: House) -> None:
        house.resources.settings = dataclasses.replace(
            house.settings, trusted_proxies=from_mapping({"trusted_proxies": ["192.0.2.0/24"], "routes": [
                {"path": "/", "respond": "x"}]}).trusted_proxies
        )  # fmt: skip
        peer = house.connect()
        await peer.send(
            GET[:-2] + b"x-request-id: from-the-balancer.1\r\nx-forwarded-for: 198.51.100.1\r\n\r\n"
        )
        await peer.receive_answer()
        assert (house.record.request_id, house.record.client) == ("from-the-balancer.1", "198.51.100.1")

    async def test_a_clients_own_does_not(self, house: House) -> None:
        peer = house.connect()
        await peer.send(GET[:-2] + b"x-request-id: forged\r\nx-forwarded-for: 198.51.100.1\r\n\r\n")
        await peer.receive_answer()
        assert house.record.request_id != "forged"
        assert house.record.client == "192.0.2.7"

    async def test_names_are_never_the_same(self, house: House) -> None:
        names = [house.resources.request_ids.new() for _ in range(1000)]
        assert len(set(names)) == 1000
        assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)


@pytest.mark.parametrize("end", ["idle", "head", "refused", "no_route", "broken", "body"])
async def test_nothing_of_it_is_left_to_the_garbage_collector(house: House, end: str) -> None:
    """A full collection stops everybody for as long as there are connections; it may be seldom."""
    requests = {"idle": GET, "head": GET[:9], "refused": b"GET\r\n", "body": POST % 9, "broken": GET}
    if end == "no_route":
        house.clients.site = FakeSite([])  # type: ignore[assignment]
    elif end == "body":
        house.serve(echo)
    elif end == "broken":
        house.serve(None)  # type: ignore[arg-type]
    gc.collect()
    gc.disable()
    try:
        peer = house.connect()
        house.connections.clear()
        await peer.send(requests.get(end, GET))
        await wait_all_tasks_blocked()
        peer.close()
        with trio.fail_after(5):
            while house.clients.connections:
                await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        left = [found for found in gc.get_objects() if type(found) in (Connection, Request, ResponseWriter)]
        assert left == [], [type(one) for one in gc.get_referrers(*left)]
    finally:
        gc.enable()


async def test_idle_is_known_and_leaves_no_buffer(house: House) -> None:
    peer = house.connect()
    assert house.clients.idle == 0
    await peer.send(GET)
    await peer.receive_answer()
    await wait_all_tasks_blocked()
    assert house.clients.idle == 1
    await peer.send(b"GET")
    await wait_all_tasks_blocked()
    assert house.clients.idle == 0
    assert isinstance(house.connections[0].wire, Wire)


@pytest.mark.parametrize("framing", [b"content-length: 5", b"transfer-encoding: chunked"])
async def test_a_client_that_leaves_at_any_byte_leaves_nothing_behind(house: House, framing: bytes) -> None:
    """No 2xx for a part of a request, no traceback, no connection, no buffer."""
    runs: list[bytes] = []

    async def note(request: Request, writer: ResponseWriter) -> None:
        await request.body.read_all(100)
        runs.append(request.body.in_memory or b"")
        await writer.send(200, HTML, b"ok")

    house.serve(note)
    body = b"hello" if b"length" in framing else b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    whole = b"POST / HTTP/1.1\r\nhost: a\r\n" + framing + b"\r\n\r\n" + body
    for length in range(len(whole)):
        peer = house.connect()
        await peer.send(whole[:length])
        await wait_all_tasks_blocked()
        peer.close()
        with trio.fail_after(5):
            while house.clients.connections:
                await trio.lowlevel.checkpoint()
    assert runs == []
    assert not any(200 <= record.status < 300 for record in house.log.records)
    assert house.complaints == []
    assert house.resources.spool.files == 0
    peer = house.connect()
    await peer.send(whole)
    await peer.receive_answer()
    assert runs == [b"hello"]
