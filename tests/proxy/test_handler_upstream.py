"""handlers/upstream.py over real sockets: turns, connections kept, and what is tried again."""

import errno
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import trio
import trio.testing

from tests.proxy.fakes_pool import OK, PATIENCE, FakeClient, Peer, Process
from trivet_common.config import Queue, Retry, Upstream
from trivet_common.config.addresses import parse_server
from trivet_common.http1.errors import HttpError
from trivet_proxy.handlers.upstream import upstream_handler
from trivet_proxy.upstreams import server as server_room
from trivet_proxy.upstreams.servers import Servers

POST = b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello"


class FakeServer:
    """`act(peer, asked)` returns what to send, or None to close the connection."""

    def __init__(self, act=lambda peer, asked: OK, path=None):
        self.act = act
        self.asked = []
        self.peers = []
        self.threads = []
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(str(path) if path else ("127.0.0.1", 0))
        self.listener.listen(16)
        self.text = f"unix:{path}" if path else f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self._start(self._accept)

    def _start(self, work, *args):
        self.threads.append(threading.Thread(target=work, args=args, daemon=True))
        self.threads[-1].start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.peers.append(Peer(sock))
            self._start(self._serve, self.peers[-1])

    def _serve(self, peer):
        try:
            while (asked := peer.receive()) is not None:
                self.asked.append(asked)
                answer = self.act(peer, asked)
                if answer is None:
                    return
                peer.send(answer)
        except OSError:
            pass
        finally:
            peer.sock.close()

    def close(self):
        for sock in [self.listener, *(peer.sock for peer in self.peers)]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()
        for thread in self.threads:
            thread.join(PATIENCE)


@pytest.fixture
def make_server():
    made = []

    def make(*args, **kwargs):
        made.append(FakeServer(*args, **kwargs))
        return made[-1]

    yield make
    for server in made:
        server.close()


@pytest.fixture
async def process(tmp_path, nursery):
    process = Process(tmp_path)
    nursery.start_soon(process.deadlines.run)
    yield process
    process.close()


@pytest.fixture
async def open_upstream(process, tmp_path):
    made = []

    def make(*servers, **terms):
        texts = [server if isinstance(server, str) else server.text for server in servers]
        places = tuple(parse_server(text, tmp_path) for text in texts)
        upstream = Upstream("legacy", places, **{"balance": "round_robin", **terms})
        made.append(Servers(upstream, process.deadlines, process.warnings.append))
        return upstream_handler(made[-1], upstream.read_timeout)

    make.made = made
    yield make
    for servers in made:
        servers.close()


async def ask(handler, client):
    with trio.fail_after(PATIENCE):
        await handler(client.request, client.writer)
    return client.read()


async def fail(handler, client):
    with pytest.raises(HttpError) as caught:
        await ask(handler, client)
    return caught.value


def unused():
    """An address nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


async def test_over_tcp_with_the_connection_kept(process, make_server, open_upstream):
    server = make_server()
    handler = open_upstream(server)
    for _ in range(3):
        client = FakeClient(process)
        assert (await ask(handler, client)).startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.request.record.upstream == server.text
    assert len(server.asked) == 3
    assert len(server.peers) == 1
    head = server.asked[0].head
    assert head.authority == b"h"
    assert head.get(b"x-forwarded-for") == b"192.0.2.7"
    assert head.get(b"trivet-claim") is None


async def test_over_a_unix_socket_with_a_body(process, make_server, open_upstream, tmp_path):
    server = make_server(path=tmp_path / "s.sock")
    handler = open_upstream(server)
    assert b"200 OK" in await ask(handler, FakeClient(process, POST))
    assert server.asked[0].body == b"hello"


async def test_a_name_is_looked_up(process, make_server, open_upstream):
    server = make_server()
    handler = open_upstream(server.text.replace("127.0.0.1", "localhost"))
    assert b"200 OK" in await ask(handler, FakeClient(process))


async def test_a_name_nobody_knows_is_refused(process, open_upstream):
    error = await fail(open_upstream("http://name.invalid:80"), FakeClient(process))
    assert (error.status, error.why) == (503, "upstream_unknown")
    assert "name.invalid does not resolve" in process.warnings[0]


async def test_one_name_of_two_is_enough(process, make_server, open_upstream):
    handler = open_upstream("http://name.invalid:80", make_server())
    for _ in range(2):
        assert b"200 OK" in await ask(handler, FakeClient(process))


async def test_servers_take_turns(process, make_server, open_upstream):
    first, second = make_server(), make_server()
    handler = open_upstream(first, second)
    for _ in range(4):
        await ask(handler, FakeClient(process))
    assert (len(first.asked), len(second.asked)) == (2, 2)


async def test_one_that_refuses_is_passed_over_whatever_the_method(process, make_server, open_upstream):
    server = make_server()
    handler = open_upstream(unused(), server, unused())
    for _ in range(3):
        assert b"200 OK" in await ask(handler, FakeClient(process, POST))
    assert len(server.asked) == 3


async def test_when_all_refuse(process, open_upstream, tmp_path):
    handler = open_upstream(unused(), f"unix:{tmp_path}/nothing.sock")
    error = await fail(handler, FakeClient(process))
    assert (error.status, error.why) == (502, "upstream_refused")


@contextmanager
def a_full_backlog():
    """A listener whose backlog takes nobody else: connecting neither succeeds nor fails."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for filler in fillers:
            filler.close()


async def test_connecting_has_an_end(process, make_server, open_upstream):
    server = make_server()
    with a_full_backlog() as nowhere:
        handler = open_upstream(nowhere, server, connect_timeout=0.1)
        assert b"200 OK" in await ask(handler, FakeClient(process))


async def test_connecting_to_all_has_an_end(process, open_upstream):
    began = time.monotonic()
    with a_full_backlog() as nowhere:
        handler = open_upstream(*[nowhere] * 5, connect_timeout=0.1)
        error = await fail(handler, FakeClient(process))
    assert (error.status, error.why) == (502, "upstream_refused")
    assert time.monotonic() - began < 0.4  # attempts: 2 are two timeouts


async def test_an_answer_has_an_end(process, make_server, open_upstream):
    let_go = threading.Event()

    def sleep(peer, asked):
        let_go.wait(PATIENCE)

    handler = open_upstream(make_server(sleep))
    began = time.monotonic()
    error = await fail(handler, FakeClient(process, timeout=0.1))
    let_go.set()
    assert (error.status, error.why) == (504, "upstream_timeout")
    assert time.monotonic() - began < 0.3


def once_then_close():
    """Answers the first request of each connection and closes when a second one comes."""
    answered = {}

    def act(peer, asked):
        answered[peer] = answered.get(peer, 0) + 1
        return OK if answered[peer] == 1 else None

    return act


async def test_a_kept_connection_that_dies_under_a_get_is_replaced_once(process, make_server, open_upstream):
    server = make_server(once_then_close())
    handler = open_upstream(server)
    for _ in range(2):
        assert b"200 OK" in await ask(handler, FakeClient(process))
    assert len(server.asked) == 3
    assert len(server.peers) == 2


async def test_a_kept_connection_that_dies_under_a_post_is_not(process, make_server, open_upstream):
    server = make_server(once_then_close())
    handler = open_upstream(server)
    await ask(handler, FakeClient(process))
    error = await fail(handler, FakeClient(process, POST))
    assert (error.status, error.why) == (502, "upstream_bad")
    assert len(server.asked) == 2


async def test_a_fresh_connection_that_dies_is_not_replaced(process, make_server, open_upstream):
    server = make_server(lambda peer, asked: None)
    error = await fail(open_upstream(server), FakeClient(process))
    assert (error.status, error.why) == (502, "upstream_bad")
    assert len(server.asked) == 1


def answer_of(status):
    return b"HTTP/1.1 %d Whatever\r\ncontent-length: 2\r\n\r\nno" % status


RUBBISH = b"220 mail.example ESMTP\r\n"


@pytest.mark.parametrize(
    ("said", "on", "raw", "asked_elsewhere"),
    [
        (None, ["502"], None, True),
        (RUBBISH, ["502"], None, True),
        (answer_of(502), ["502"], None, True),
        (answer_of(503), ["503"], None, True),
        (answer_of(504), ["504"], None, True),
        (None, ["connect", "503", "504"], None, False),
        (RUBBISH, ["connect"], None, False),
        (answer_of(503), ["502", "504"], None, False),
        (answer_of(500), ["502", "503", "504"], None, False),
        (None, ["502"], POST, False),
        (answer_of(502), ["502"], POST, False),
    ],
)  # fmt: skip
async def test_which_failures_lead_to_another_server(
    process, make_server, open_upstream, said, on, raw, asked_elsewhere
):
    def act(peer, asked):
        if said is not None:
            peer.send(said)

    bad, good = make_server(act), make_server()
    handler = open_upstream(bad, good, retry=Retry(2, frozenset(on)))
    client = FakeClient(process) if raw is None else FakeClient(process, raw)
    if asked_elsewhere or (said or b"").startswith(b"HTTP"):
        expected = OK if asked_elsewhere else said
        assert (await ask(handler, client)).startswith(expected[:13])
    else:
        assert (await fail(handler, client)).why == "upstream_bad"
    assert (len(bad.asked), len(good.asked)) == (1, int(asked_elsewhere))


async def test_nothing_is_tried_again_after_the_head_went_on(process, make_server, open_upstream):
    good = make_server()
    half = make_server(lambda peer, asked: peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"))
    client = FakeClient(process)
    got = await ask(open_upstream(half, good), client)
    assert got.endswith(b"half")
    assert client.request.record.why == "upstream_bad"
    assert client.wire.fd < 0
    assert good.asked == []


async def test_a_server_that_is_too_slow_may_be_passed_over(process, make_server, open_upstream):
    let_go = threading.Event()
    slow = make_server(lambda peer, asked: let_go.wait(PATIENCE) and None)
    handler = open_upstream(slow, make_server(), retry=Retry(2, frozenset(["504"])))
    assert b"200 OK" in await ask(handler, FakeClient(process, timeout=0.1))
    let_go.set()


async def test_attempts_are_counted_in_servers_that_were_given_it(process, make_server, open_upstream):
    bad = [make_server(lambda peer, asked: None) for _ in range(4)]
    handler = open_upstream(unused(), *bad, retry=Retry(3, frozenset(["connect", "502"])))
    error = await fail(handler, FakeClient(process))
    assert error.why == "upstream_bad"
    assert sum(len(server.asked) for server in bad) == 3


async def test_without_connect_a_refusal_is_final(process, make_server, open_upstream):
    handler = open_upstream(unused(), make_server(), retry=Retry(1, frozenset()))
    error = await fail(handler, FakeClient(process))
    assert error.why == "upstream_refused"


async def test_a_spooled_body_is_sent_again(process, make_server, open_upstream):
    good = make_server()
    handler = open_upstream(make_server(lambda peer, asked: None), good)
    body = b"x" * 300_000
    raw = b"GET /a HTTP/1.1\r\nhost: h\r\ncontent-length: 300000\r\n\r\n" + body
    assert b"200 OK" in await ask(handler, FakeClient(process, raw))
    assert good.asked[0].body == body


async def test_one_that_failed_thrice_is_left_out(process, make_server, open_upstream):
    bad, good = make_server(lambda peer, asked: None), make_server()
    handler = open_upstream(bad, good)
    for _ in range(20):
        assert b"200 OK" in await ask(handler, FakeClient(process))
    assert len(bad.asked) == 3
    assert [text for text in process.warnings if "left out" in text] == [
        f"upstream legacy: {bad.text} is left out for a moment after 3 failures in a row "
        "(The upstream closed the connection without an answer.)"
    ]


async def test_when_all_are_out_all_are_tried(process, make_server, open_upstream):
    is_broken = True
    servers = [make_server(lambda peer, asked: None if is_broken else OK) for _ in range(2)]
    handler = open_upstream(*servers)
    for _ in range(6):
        await fail(handler, FakeClient(process))
    is_broken = False
    assert b"200 OK" in await ask(handler, FakeClient(process))
    assert process.warnings[-1].endswith("is back")


async def test_a_server_has_no_more_connections_than_it_may(process, make_server, open_upstream, nursery):
    let_go = threading.Event()

    def act(peer, asked):
        let_go.wait(PATIENCE)
        return OK

    server = make_server(act)
    handler = open_upstream(server, max_connections=2, queue=Queue(2, 5.0))
    clients = [FakeClient(process) for _ in range(5)]
    done = []

    async def visit(client):
        try:
            await handler(client.request, client.writer)
            done.append(client.request.record.queued)
        except HttpError as error:
            done.append(error.why)

    for client in clients:
        nursery.start_soon(visit, client)
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert done == ["queue_full"]
    assert len(server.peers) == 2
    let_go.set()
    with trio.fail_after(PATIENCE):
        while len(done) < 5:
            await trio.sleep(0.005)
    assert len(server.peers) == 2
    assert sum(waited > 0.04 for waited in done[1:]) == 2


async def test_time_in_the_line_is_not_the_connections(process, make_server, open_upstream, nursery):
    let_go = threading.Event()

    def act(peer, asked):
        let_go.wait(PATIENCE)
        return OK.replace(b"200 OK", b"200 OK\r\nconnection: close", 1)

    handler = open_upstream(make_server(act), max_connections=1, connect_timeout=0.1)
    first, second = FakeClient(process), FakeClient(process)
    nursery.start_soon(handler, first.request, first.writer)
    await trio.testing.wait_all_tasks_blocked(0.01)
    threading.Timer(0.3, let_go.set).start()
    assert b"200 OK" in await ask(handler, second)
    assert second.request.record.queued > 0.25


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
async def test_what_we_have_run_out_of_is_no_failure_of_a_server(
    process, make_server, open_upstream, monkeypatch, number
):
    async def connect(*_):
        raise OSError(number, "none left")

    handler = open_upstream(make_server(), fall=1)
    monkeypatch.setattr(server_room, "_connect", connect)
    with pytest.raises(OSError):
        await ask(handler, FakeClient(process))
    (server,) = open_upstream.made[-1]._servers
    assert (server.busy, server.ejection.pauses) == (0, 0)


async def test_who_leaves_is_not_answered(process, make_server, open_upstream, nursery):
    """The server may stop, and its connection is free for others."""
    left = threading.Event()

    def act(peer, asked):
        if not peer.sock.recv(1):
            left.set()

    handler = open_upstream(make_server(act), max_connections=1, fall=1)
    nursery.start_soon(open_upstream.made[-1].run)
    client = FakeClient(process)

    async def leave():
        await trio.sleep(0.05)
        client.leave()

    nursery.start_soon(leave)
    error = await fail(handler, client)
    assert error.why == "client_left"
    await trio.to_thread.run_sync(left.wait, PATIENCE)
    assert left.is_set()
    (server,) = open_upstream.made[-1]._servers
    assert (server.busy, server.ejection.pauses) == (0, 0)


async def leave_after(handler, client, nursery, seconds):
    """The error of a request whose client has so much patience."""

    async def leave():
        await trio.sleep(seconds)
        client.leave()

    nursery.start_soon(leave)
    return await fail(handler, client)


async def test_a_server_that_answers_nobody_while_clients_leave_is_left_out(
    process, make_server, open_upstream, nursery
):
    """People leave long before response_timeout: a server that hangs would be asked for ever."""
    let_go = threading.Event()
    hung = make_server(lambda peer, asked: let_go.wait(PATIENCE) and None)
    handler = open_upstream(hung, fall=2, connect_timeout=0.3)
    nursery.start_soon(open_upstream.made[-1].run)
    (server,) = open_upstream.made[-1]._servers
    assert (await leave_after(handler, FakeClient(process), nursery, 0.01)).why == "client_left"
    for pauses in (0, 1):
        assert server.ejection.pauses == 0, "who was in a hurry says nothing"
        assert (await leave_after(handler, FakeClient(process), nursery, 0.4)).why == "client_left"
        assert server.ejection.pauses == pauses
    let_go.set()
    assert "2 failures in a row (no answer to anybody for 0.3 s, and clients leave)" in process.warnings[0]


async def test_a_slow_page_that_clients_leave_is_no_failure_while_others_are_answered(
    process, make_server, open_upstream, nursery
):
    let_go = threading.Event()
    slow = make_server(lambda peer, asked: OK if asked.head.path == b"/b" else let_go.wait(PATIENCE) and None)
    handler = open_upstream(slow, fall=1, connect_timeout=0.3)
    nursery.start_soon(open_upstream.made[-1].run)

    async def another():
        await trio.sleep(0.1)
        await ask(handler, FakeClient(process, b"GET /b HTTP/1.1\r\nhost: h\r\n\r\n"))

    nursery.start_soon(another)
    assert (await leave_after(handler, FakeClient(process), nursery, 0.4)).why == "client_left"
    let_go.set()
    assert open_upstream.made[-1]._servers[0].ejection.pauses == 0


async def test_who_leaves_is_noticed_though_nobody_names_the_upstream_any_more(
    process, make_server, open_upstream, nursery
):
    """A reload changed it while the request was under way."""
    let_go = threading.Event()
    handler = open_upstream(make_server(lambda peer, asked: let_go.wait(PATIENCE) and None))
    nursery.start_soon(open_upstream.made[-1].run)
    client = FakeClient(process)

    async def leave():
        await trio.sleep(0.05)
        open_upstream.made[-1].close()
        client.leave()

    nursery.start_soon(leave)
    error = await fail(handler, client)
    let_go.set()
    assert error.why == "client_left"


HALF = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"


async def test_who_leaves_an_event_stream_is_noticed_before_the_next_event(
    process, make_server, open_upstream, nursery
):
    """With `read_timeout: off` the next may come in days; two connections were held for each page left."""
    left = threading.Event()

    def act(peer, asked):
        peer.send(HALF)
        if not peer.sock.recv(1):
            left.set()

    handler = open_upstream(make_server(act), read_timeout=None, fall=1)
    nursery.start_soon(open_upstream.made[-1].run)
    client = FakeClient(process)

    async def leave():
        await client.read_until(b"one\r\n")
        client.leave()

    nursery.start_soon(leave)
    with trio.fail_after(PATIENCE):
        await handler(client.request, client.writer)
        await trio.to_thread.run_sync(left.wait, PATIENCE)
    assert left.is_set()
    assert client.request.record.why == "client_left"
    assert client.wire.fd < 0
    (server,) = open_upstream.made[-1]._servers
    assert (server.busy, server.ejection.pauses) == (0, 0)


async def test_who_has_said_all_and_reads_on_gets_all(process, make_server, open_upstream, nursery):
    def act(peer, asked):
        peer.send(HALF)
        for _ in range(12):
            time.sleep(0.08)
            peer.send(b"3\r\none\r\n")
        return b"0\r\n\r\n"

    handler = open_upstream(make_server(act))
    nursery.start_soon(open_upstream.made[-1].run)
    client = FakeClient(process)

    async def say_no_more():
        await client.read_until(b"one\r\n")
        client.theirs.shutdown(socket.SHUT_WR)

    nursery.start_soon(say_no_more)
    got = await ask(handler, client)
    assert got.endswith(b"one\r\n0\r\n\r\n")
    assert client.request.record.why == ""


async def test_a_connection_is_not_closed_for_who_had_it_before(process, make_server, open_upstream):
    server = make_server()
    handler = open_upstream(server)
    seen = []

    class Watched(set):
        def add(self, visit):
            seen.append(visit)

    open_upstream.made[-1].under_way = Watched()
    await ask(handler, FakeClient(process))
    for _ in range(2):
        seen[0].give_up()
    await ask(handler, FakeClient(process))
    assert len(server.peers) == 1


async def test_waiting_for_a_connection_has_an_end(process, make_server, open_upstream, nursery):
    let_go = threading.Event()
    handler = open_upstream(
        make_server(lambda peer, asked: let_go.wait(PATIENCE) and OK), max_connections=1, queue=Queue(9, 0.05)
    )
    first = FakeClient(process)
    nursery.start_soon(handler, first.request, first.writer)
    await trio.testing.wait_all_tasks_blocked(0.01)
    error = await fail(handler, FakeClient(process))
    assert (error.status, error.why) == (503, "queue_timeout")
    assert error.headers
    let_go.set()


async def test_half_a_head_is_not_tried_again(process, make_server, open_upstream):
    def act(peer, asked):
        if len(server.asked) == 1:
            return OK
        peer.send(b"HTTP/1.1 2")

    server = make_server(act)
    handler = open_upstream(server)
    await ask(handler, FakeClient(process))
    error = await fail(handler, FakeClient(process))
    assert error.why == "upstream_bad"


async def test_a_connection_with_unread_bytes_is_not_used_again(process, make_server, open_upstream):
    said = threading.Event()

    def talk(peer, asked):
        peer.send(OK)
        if len(server.asked) == 1:
            time.sleep(0.02)
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
            said.set()
        return b""

    server = make_server(talk)
    handler = open_upstream(server)
    assert (await ask(handler, FakeClient(process))).endswith(b"ok")
    await trio.to_thread.run_sync(said.wait, PATIENCE)
    assert (await ask(handler, FakeClient(process))).endswith(b"ok")
    assert len(server.peers) == 2


async def test_a_kept_connection_is_closed_after_a_while(process, make_server, open_upstream, monkeypatch):
    monkeypatch.setattr(server_room, "KEEP_IDLE", 0.05)
    server = make_server()
    handler = open_upstream(server)
    await ask(handler, FakeClient(process))
    with trio.fail_after(PATIENCE):
        while not server.peers[0].sock._closed:
            await trio.sleep(0.01)
    await ask(handler, FakeClient(process))
    assert len(server.peers) == 2


async def test_a_streamed_body(process, make_server, open_upstream, nursery):
    server = make_server()
    handler = open_upstream(server)
    raw = b"POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"
    client = FakeClient(process, raw, stream=True)
    nursery.start_soon(handler, client.request, client.writer)
    with trio.fail_after(PATIENCE):
        while not server.peers:
            await trio.sleep(0.001)
    client.theirs.sendall(b"2\r\nde\r\n0\r\n\r\n")
    assert b"200 OK" in await client.read_until(b"ok")
    assert server.asked[0].body == b"abcde"
    assert server.asked[0].head.chunked


async def test_an_upgrade_is_not_asked_for_by_itself(process, make_server, open_upstream):
    server = make_server()
    raw = b"GET /ws HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    assert b"200 OK" in await ask(open_upstream(server), FakeClient(process, raw))
    assert server.asked[0].get(b"upgrade") is None
    assert server.asked[0].get(b"connection") is None


async def test_orders_to_send_a_file_are_told_once(process, make_server, open_upstream):
    answer = b"HTTP/1.1 200 OK\r\nx-accel-redirect: /etc/passwd\r\ncontent-length: 0\r\n\r\n"
    handler = open_upstream(make_server(lambda peer, asked: answer))
    for _ in range(2):
        assert b"accel" not in await ask(handler, FakeClient(process))
    assert len(process.warnings) == 1
    assert "x-accel-redirect" in process.warnings[0]
