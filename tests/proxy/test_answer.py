"""dispatch/answer.py: what reaches the client of an answer, and whether its connection is used again."""

import socket

import pytest
import trio

from tests.proxy.fakes_pool import OK, PATIENCE, FakeClient, Process
from trivet_common.http1.errors import HttpError
from trivet_proxy.dispatch.answer import receive_head, relay
from trivet_proxy.dispatch.link import Link
from trivet_proxy.forwarded import ResponseSieve
from trivet_proxy.wire import Wire, WireClosed

GET = b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n"
HEAD = b"HEAD /a HTTP/1.1\r\nhost: h\r\n\r\n"
OLD = b"GET /a HTTP/1.0\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Upstream(Link):
    """A link whose other end the test holds."""

    __slots__ = ("fate", "server")

    def __init__(self, process):
        ours, self.server = socket.socketpair()
        super().__init__(Wire(ours), process.deadlines, "test")
        self.fate = []

    def release(self):
        self._clock.stop()
        self.fate.append("released")

    def discard(self, why="discarded"):
        super().discard(why)
        self.fate.append("discarded")

    def send(self, data):
        self.server.sendall(data)


@pytest.fixture
async def process(tmp_path, nursery):
    process = Process(tmp_path)
    nursery.start_soon(process.deadlines.run)
    yield process
    process.close()


@pytest.fixture
async def upstream(process):
    upstream = Upstream(process)
    yield upstream
    upstream.server.close()
    upstream.wire.close()


async def answer(upstream, client, seconds=None):
    sieve = ResponseSieve(lambda name: None)
    with trio.fail_after(PATIENCE):
        head = await receive_head(upstream)
        await relay(upstream, head, client.request, client.writer, sieve, seconds)


def body_of(got):
    return got.partition(b"\r\n\r\n")[2]


def fields_of(got):
    return got.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")[1:]


async def test_a_whole_answer(process, upstream):
    client = FakeClient(process)
    upstream.send(OK)
    await answer(upstream, client)
    got = client.read()
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body_of(got) == b"ok"
    assert b"content-length: 2" in fields_of(got)
    assert upstream.fate == ["released"]


async def test_an_answer_that_arrives_byte_by_byte(process, upstream, nursery):
    client = FakeClient(process)
    nursery.start_soon(answer, upstream, client)
    for byte in OK:
        upstream.send(bytes([byte]))
        await trio.testing.wait_all_tasks_blocked()
    assert body_of(client.read()) == b"ok"
    assert upstream.fate == ["released"]


async def test_a_reason_of_its_own_is_kept(process, upstream):
    client = FakeClient(process)
    upstream.send(OK.replace(b"OK", b"Fine Thanks", 1))
    await answer(upstream, client)
    assert client.read().startswith(b"HTTP/1.1 200 Fine Thanks\r\n")


@pytest.mark.parametrize("raw", [GET, OLD])
async def test_a_chunked_body_that_is_all_there_is_counted(process, upstream, raw):
    client = FakeClient(process, raw)
    upstream.send(CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    await answer(upstream, client)
    got = client.read()
    assert b"content-length: 5" in fields_of(got)
    assert body_of(got) == b"abcde"
    assert upstream.fate == ["released"]


async def test_an_old_client_gets_a_body_without_a_length_to_the_end(process, upstream, nursery):
    client = FakeClient(process, OLD)
    nursery.start_soon(answer, upstream, client)
    upstream.send(CHUNKED + b"3\r\nabc\r\n")
    assert body_of(await client.read_until(b"abc")) == b"abc"
    upstream.send(b"2\r\nde\r\n0\r\n\r\n")
    assert await client.read_until(b"de") == b"de"
    await trio.testing.wait_all_tasks_blocked()
    assert not client.writer.keep_alive
    assert upstream.fate == ["released"]


async def test_pieces_go_out_as_they_come(process, upstream, nursery):
    client = FakeClient(process)
    nursery.start_soon(answer, upstream, client)
    upstream.send(CHUNKED)
    assert await client.read_until(b"\r\n\r\n")
    for event in (b"one", b"two", b"three"):
        upstream.send(b"%x\r\n%b\r\n" % (len(event), event))
        assert await client.read_until(event + b"\r\n") == b"%x\r\n%b\r\n" % (len(event), event)
    upstream.send(b"0\r\n\r\n")
    assert await client.read_until(b"0\r\n\r\n")
    assert upstream.fate == ["released"]


async def test_a_body_that_ends_with_its_connection(process, upstream):
    client = FakeClient(process)
    upstream.send(b"HTTP/1.1 200 OK\r\n\r\nwhole")
    upstream.server.shutdown(socket.SHUT_WR)
    await answer(upstream, client)
    assert body_of(client.read()) == b"5\r\nwhole\r\n0\r\n\r\n"
    assert upstream.fate == ["discarded"]


@pytest.mark.parametrize(
    ("raw", "head", "expected"),
    [
        (HEAD, b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n", b"content-length: 12"),
        (GET, b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n", b"etag: x"),
        (GET, b"HTTP/1.1 204 No Content\r\nx-y: z\r\n\r\n", b"x-y: z"),
    ],
)
async def test_answers_without_a_body(process, upstream, raw, head, expected):
    client = FakeClient(process, raw)
    upstream.send(head)
    await answer(upstream, client)
    got = client.read()
    assert expected in fields_of(got)
    assert body_of(got) == b""
    assert client.writer.finished
    assert upstream.fate == ["released"]


async def test_a_body_where_there_may_be_none_is_not_taken_for_the_next_answer(process, upstream):
    client = FakeClient(process, HEAD)
    upstream.send(OK)
    await answer(upstream, client)
    assert body_of(client.read()) == b""
    assert upstream.fate == ["discarded"]


async def test_an_upstream_that_wants_to_close_is_not_used_again(process, upstream):
    client = FakeClient(process)
    upstream.send(OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
    await answer(upstream, client)
    assert client.writer.keep_alive
    assert upstream.fate == ["discarded"]


async def test_more_than_was_announced_is_cut_off(process, upstream):
    client = FakeClient(process)
    upstream.send(OK + b"HTTP/1.1 200 OK\r\n\r\nevil")
    await answer(upstream, client)
    assert body_of(client.read()) == b"ok"
    assert upstream.fate == ["discarded"]


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        CHUNKED + b"4\r\nhalf\r\n",
        CHUNKED + b"8\r\nhalf",
    ],
)
async def test_a_body_cut_short_ends_the_clients_connection(process, upstream, cut):
    client = FakeClient(process)
    upstream.send(cut)
    upstream.server.shutdown(socket.SHUT_WR)
    await answer(upstream, client)
    got = client.read()
    assert b"half" in got
    assert not got.endswith(b"0\r\n\r\n")
    assert client.wire.fd < 0
    assert client.request.record.why == "upstream_bad"
    assert upstream.fate == ["discarded"]


async def test_a_body_whose_framing_breaks_ends_the_clients_connection(process, upstream, nursery):
    client = FakeClient(process)
    nursery.start_soon(answer, upstream, client)
    upstream.send(CHUNKED + b"4\r\nhalf\r\n")
    await client.read_until(b"half")
    upstream.send(b"rubbish\r\n")
    with trio.fail_after(PATIENCE):
        while client.wire.fd >= 0:
            await trio.sleep(0.001)
    assert client.request.record.why == "upstream_bad"
    assert upstream.fate == ["discarded"]


async def test_a_body_whose_framing_is_broken_from_the_start_is_a_bad_gateway(process, upstream):
    client = FakeClient(process)
    upstream.send(CHUNKED + b"rubbish\r\n")
    with pytest.raises(HttpError) as caught:
        await answer(upstream, client)
    assert caught.value.why == "upstream_bad"
    assert client.read() == b""
    assert upstream.fate == ["discarded"]


async def test_interim_answers_are_not_the_answer(process, upstream):
    client = FakeClient(process)
    upstream.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK)
    await answer(upstream, client)
    assert client.read().startswith(b"HTTP/1.1 200 OK\r\n")
    assert upstream.fate == ["released"]


@pytest.mark.parametrize("interim", [b"HTTP/1.1 101 Switching\r\n\r\n", b"HTTP/1.1 100 Go on\r\n\r\n" * 50])
async def test_interim_answers_nobody_can_mean(process, upstream, interim):
    upstream.send(interim)
    with pytest.raises(HttpError) as caught:
        await answer(upstream, FakeClient(process))
    assert caught.value.why == "upstream_bad"


async def test_no_answer_is_none(process, upstream):
    upstream.send(b"HTTP/1.1 200 ")
    upstream.server.shutdown(socket.SHUT_WR)
    assert await receive_head(upstream) is None


def feed(upstream, data):
    """Send without waiting; how much went."""
    upstream.server.setblocking(False)
    sent = 0
    try:
        while sent < len(data):
            sent += upstream.server.send(data[sent:])
    except BlockingIOError:
        pass
    return sent


async def test_a_slow_client_does_not_hold_the_upstream(process, upstream, nursery):
    client = FakeClient(process)
    body = bytes(5 << 20)
    rest = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    nursery.start_soon(answer, upstream, client)
    with trio.fail_after(PATIENCE):
        while rest:
            rest = rest[feed(upstream, rest) :]
            await trio.sleep(0.001)
        while not upstream.fate:
            await trio.sleep(0.001)
    assert upstream.fate == ["released"]
    assert not client.writer.finished
    got = bytearray()
    client.theirs.setblocking(False)
    with trio.fail_after(PATIENCE):
        while len(got) < len(body):
            await trio.lowlevel.wait_readable(client.theirs)
            got += client.theirs.recv(1 << 20)
    assert got.endswith(body)


async def test_a_client_slower_than_the_spool_is_large_slows_the_upstream(process, upstream, nursery):
    process.spool.limit = 256 * 1024
    client = FakeClient(process)
    body = bytes(8 << 20)
    rest = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    nursery.start_soon(answer, upstream, client, 0.2)
    stuck = 0
    while stuck < 50:
        sent = feed(upstream, rest)
        rest = rest[sent:]
        stuck = 0 if sent else stuck + 1
        await trio.sleep(0.01)
    # Half a second without a byte taken: its patience does not run while it is the client we wait for.
    assert len(rest) > 4 << 20
    assert not upstream.fate
    got = bytearray()
    client.theirs.setblocking(False)
    with trio.fail_after(PATIENCE):
        while len(got) < len(body):
            rest = rest[feed(upstream, rest) :]
            try:
                got += client.theirs.recv(1 << 20)
            except BlockingIOError:
                await trio.sleep(0.001)
        await trio.testing.wait_all_tasks_blocked()
    assert got.endswith(body)
    assert upstream.fate == ["released"]


async def test_a_client_that_leaves_ends_the_exchange(process, upstream):
    client = FakeClient(process)
    upstream.send(CHUNKED + b"4\r\nhalf\r\n")
    client.leave()
    with pytest.raises(WireClosed):
        await answer(upstream, client)
    assert upstream.fate == ["discarded"]


async def test_a_client_that_leaves_before_a_whole_answer_costs_no_connection(process, upstream):
    client = FakeClient(process)
    upstream.send(OK)
    client.leave()
    with pytest.raises(WireClosed):
        await answer(upstream, client)
    assert upstream.fate == ["released"]


async def test_a_cancelled_exchange_leaves_nothing_on_the_wire(process, upstream):
    client = FakeClient(process)
    upstream.send(CHUNKED + b"4\r\nhalf\r\n")
    with trio.move_on_after(0.02):
        await answer(upstream, client)
    assert upstream.fate == ["discarded"]
