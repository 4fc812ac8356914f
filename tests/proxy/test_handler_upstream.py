"""handlers/upstream.py and dispatch/servers.py: turns, connections kept, and what is tried again."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest
import trio

from tests.proxy.fakes_pool import OK, PATIENCE, FakeClient, Peer, Process
from trivet_common.config.addresses import parse_server
from trivet_common.http1.errors import HttpError
from trivet_proxy.dispatch import servers as servers_room
from trivet_proxy.dispatch.servers import Servers
from trivet_proxy.handlers.upstream import upstream_handler

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

    def make(*servers):
        texts = [server if isinstance(server, str) else server.text for server in servers]
        places = [parse_server(text, tmp_path) for text in texts]
        made.append(Servers("legacy", places, process.deadlines, process.warnings.append))
        return upstream_handler(made[-1])

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
    assert error.why == "upstream_refused"


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


async def test_connecting_has_an_end(process, make_server, open_upstream, monkeypatch):
    monkeypatch.setattr(servers_room, "CONNECT_TIMEOUT", 0.1)
    server = make_server()
    with a_full_backlog() as nowhere:
        assert b"200 OK" in await ask(open_upstream(nowhere, server), FakeClient(process))


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
    error = await fail(open_upstream(server, server), FakeClient(process))
    assert (error.status, error.why) == (502, "upstream_bad")
    assert len(server.asked) == 1


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
    monkeypatch.setattr(servers_room, "KEEP_IDLE", 0.05)
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


async def test_an_upgrade_is_not_asked_for(process, make_server, open_upstream):
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
