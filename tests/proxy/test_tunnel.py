"""handlers/tunnel.py: what opens a tunnel, what goes through it, and its ends."""

import os
import socket
import time

import pytest
import trio
import trio.testing

from tests.proxy.fakes_pool import PATIENCE, FakeClient
from tests.proxy.test_handler_upstream import make_server, process
from trivet_common.config import HeaderChanges, Upstream
from trivet_common.config.addresses import parse_server
from trivet_common.http1.errors import HttpError
from trivet_proxy.body import no_body_before
from trivet_proxy.handlers import tunnel as room
from trivet_proxy.handlers.tunnel import tunnel_handler
from trivet_proxy.handlers.upstream import upstream_handler
from trivet_proxy.shape import compile_shape
from trivet_proxy.upstreams.servers import Servers

__all__ = ["make_server", "process"]

ASKED = b"GET /ws HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: Echo\r\nsec-x: 1\r\n\r\n"
SWITCHES = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\nsec-y: 2\r\n\r\n"


@pytest.fixture
async def open_tunnels(process, tmp_path):
    made = []

    def make(server, seconds=5.0):
        upstream = Upstream("ws", (parse_server(server.text, tmp_path),))
        made.append(Servers(upstream, process.deadlines, process.warnings.append))
        return tunnel_handler(upstream_handler(made[-1], 5.0), made[-1], 5.0, seconds)

    make.made = made
    yield make
    for servers in made:
        servers.close()


class Visitor:
    """A client whose request is under way in a task of its own."""

    def __init__(self, process, raw=ASKED):
        self.client = FakeClient(process, raw)
        self.theirs = self.client.theirs
        self.is_over = trio.Event()
        self.error = None

    async def run(self, handler):
        try:
            await handler(self.client.request, self.client.writer)
        except HttpError as error:
            self.error = error
        self.is_over.set()


def echo(peer, asked):
    """Says everything again, until its end; then its own."""
    peer.send(SWITCHES)
    rest = peer.take_rest()
    peer.sock.sendall(rest)
    while data := peer.sock.recv(65536):
        peer.sock.sendall(data)


async def test_both_ways_and_half_closed(process, make_server, open_tunnels, nursery):
    server = make_server(echo)
    visitor = Visitor(process)
    nursery.start_soon(visitor.run, open_tunnels(server))
    head = await visitor.client.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nconnection: upgrade\r\nupgrade: echo\r\n" in head
    assert b"\r\nsec-y: 2\r\n" in head
    asked = server.asked[0]
    assert (asked.get(b"upgrade"), asked.get(b"connection"), asked.get(b"sec-x")) == (
        b"echo",
        b"upgrade",
        b"1",
    )
    assert open_tunnels.made[0].tunnels == 1
    await trio.lowlevel.checkpoint()
    visitor.theirs.send(b"one")
    assert await visitor.client.read_until(b"one") == b"one"
    visitor.theirs.send(b"two")
    visitor.theirs.shutdown(socket.SHUT_WR)
    got = await visitor.client.read_until(b"two")
    assert got == b"two"
    with trio.fail_after(PATIENCE):
        await visitor.is_over.wait()
    assert visitor.client.writer.sent == 6
    assert visitor.client.writer.status == 101
    assert not visitor.client.writer.keep_alive
    assert open_tunnels.made[0].tunnels == 0
    assert open_tunnels.made[0]._servers[0].busy == 0


async def test_the_switch_has_the_routes_headers(process, make_server, open_tunnels, nursery):
    """As every answer: a cookie or an id is set, whatever the protocol is from here on."""
    visitor = Visitor(process)
    changes = HeaderChanges(set=(("X-Site", "shop"),), remove=("Sec-Y",))
    visitor.client.writer.shape = compile_shape(changes)
    nursery.start_soon(visitor.run, open_tunnels(make_server(echo)))
    head = await visitor.client.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nx-site: shop\r\n" in head
    assert b"sec-y" not in head
    assert b"\r\nconnection: upgrade\r\nupgrade: echo\r\n" in head


async def test_what_either_side_said_too_early(process, make_server, open_tunnels, nursery):
    def act(peer, asked):
        peer.send(SWITCHES + b"hello")
        peer.sock.sendall(peer.sock.recv(5))

    visitor = Visitor(process)
    visitor.client.request.body = no_body_before(b"early")
    nursery.start_soon(visitor.run, open_tunnels(make_server(act)))
    got = await visitor.client.read_until(b"early")
    assert got.endswith(b"\r\n\r\nhelloearly")


async def test_a_megabyte_both_ways_at_once(process, make_server, open_tunnels, nursery):
    visitor = Visitor(process)
    nursery.start_soon(visitor.run, open_tunnels(make_server(echo)))
    await visitor.client.read_until(b"\r\n\r\n")
    said = os.urandom(1 << 20)

    async def talk():
        rest = memoryview(said)
        while rest:
            await trio.lowlevel.wait_writable(visitor.theirs)
            rest = rest[visitor.theirs.send(rest) :]
        visitor.theirs.shutdown(socket.SHUT_WR)

    nursery.start_soon(talk)
    got = b""
    with trio.fail_after(PATIENCE):
        while len(got) < len(said):
            await trio.lowlevel.wait_readable(visitor.theirs)
            got += visitor.theirs.recv(1 << 20)
    assert got == said


async def test_who_does_not_read_is_not_read_for(process, make_server, open_tunnels, nursery):
    """Of what one side says and the other does not take, no more waits here than the kernels hold."""
    taken = []

    def act(peer, asked):
        peer.send(SWITCHES)
        peer.sock.settimeout(0.5)
        try:
            while True:
                taken.append(peer.sock.send(b"x" * 65536))
        except OSError:
            pass

    visitor = Visitor(process)
    nursery.start_soon(visitor.run, open_tunnels(make_server(act)))
    with trio.fail_after(PATIENCE):
        seen = -1
        while seen != sum(taken):
            seen = sum(taken)
            await trio.sleep(0.2)
    assert sum(taken) < 16 << 20
    visitor.theirs.close()


async def test_any_other_answer_is_an_answer(process, make_server, open_tunnels):
    server = make_server(lambda peer, asked: b"HTTP/1.1 426 Upgrade Required\r\ncontent-length: 2\r\n\r\nno")
    visitor = Visitor(process)
    with trio.fail_after(PATIENCE):
        await visitor.run(open_tunnels(server))
    assert visitor.client.read().startswith(b"HTTP/1.1 426 Upgrade Required\r\n")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"GET /ws HTTP/1.1\r\nhost: h\r\n\r\n", SWITCHES),  # nobody asked
        (ASKED, SWITCHES.replace(b"upgrade: echo", b"upgrade: other")),
        (ASKED, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ],
)
async def test_a_switch_to_something_else_opens_nothing(process, make_server, open_tunnels, raw, said):
    visitor = Visitor(process, raw)
    with trio.fail_after(PATIENCE):
        await visitor.run(open_tunnels(make_server(lambda peer, asked: said)))
    assert visitor.error.why == "upstream_bad"


async def test_silence_ends_it(process, make_server, open_tunnels, nursery):
    visitor = Visitor(process)
    began = time.monotonic()
    nursery.start_soon(visitor.run, open_tunnels(make_server(echo), 0.2))
    with trio.fail_after(PATIENCE):
        await visitor.is_over.wait()
    assert time.monotonic() - began < 2
    assert visitor.client.request.record.why == "tunnel_timeout"
    assert visitor.client.wire.fd < 0


async def test_words_keep_it_open(process, make_server, open_tunnels, nursery):
    visitor = Visitor(process)
    nursery.start_soon(visitor.run, open_tunnels(make_server(echo), 0.3))
    await visitor.client.read_until(b"\r\n\r\n")
    for _ in range(10):
        await trio.sleep(0.1)
        visitor.theirs.send(b"x")
        await visitor.client.read_until(b"x")
    assert not visitor.is_over.is_set()
    visitor.theirs.close()


async def test_a_side_that_is_reset_ends_both(process, make_server, open_tunnels, nursery):
    servers_side = []

    def act(peer, asked):
        peer.send(SWITCHES)
        peer.sock.recv(1)
        servers_side.append("ended")

    visitor = Visitor(process)
    nursery.start_soon(visitor.run, open_tunnels(make_server(act)))
    await visitor.client.read_until(b"\r\n\r\n")
    visitor.client.wire.close("peer")
    with trio.fail_after(PATIENCE):
        await visitor.is_over.wait()
        while not servers_side:
            await trio.sleep(0.01)


async def test_the_last_words_of_a_server_that_listens_no_more(
    process, make_server, open_tunnels, nursery, tmp_path
):
    """Our own words to it fail then; what it said before is in the kernel, and the client reads slowly."""
    last = b"x" * 2_000_000

    def act(peer, asked):
        peer.send(SWITCHES)
        peer.sock.recv(5)
        peer.sock.shutdown(socket.SHUT_RD)
        peer.sock.sendall(last)

    visitor = Visitor(process)
    nursery.start_soon(visitor.run, open_tunnels(make_server(act, path=tmp_path / "s.sock")))
    await visitor.client.read_until(b"\r\n\r\n")
    visitor.theirs.send(b"hello")
    got = 0
    with trio.fail_after(PATIENCE):
        while got < len(last):
            await trio.lowlevel.wait_readable(visitor.theirs)
            got += len(visitor.theirs.recv(100_000))
            visitor.theirs.send(b"more")


async def test_half_closed_and_silent_is_not_put_up_with_for_long(
    process, make_server, open_tunnels, nursery, monkeypatch
):
    monkeypatch.setattr(room, "_HALF_CLOSED", 0.1)

    def act(peer, asked):
        peer.send(SWITCHES)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.sock.recv(1)

    visitor = Visitor(process)
    nursery.start_soon(visitor.run, open_tunnels(make_server(act), 60.0))
    with trio.fail_after(PATIENCE):
        await visitor.is_over.wait()


async def test_the_time_of_a_request_is_not_that_of_a_tunnel(process, make_server, open_tunnels, nursery):
    visitor = Visitor(process)
    visitor.client.request.route.timeout = 0.1
    nursery.start_soon(visitor.run, open_tunnels(make_server(echo)))
    await visitor.client.read_until(b"\r\n\r\n")
    await trio.sleep(0.3)
    visitor.theirs.send(b"still here")
    await visitor.client.read_until(b"still here")
    visitor.theirs.close()


async def test_what_comes_before_the_switch_is_passed_on(process, make_server, open_tunnels, nursery):
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\nconnection: x-a\r\nx-a: 1\r\n\r\n"

    def act(peer, asked):
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" + hints)
        echo(peer, asked)

    visitor = Visitor(process)
    nursery.start_soon(visitor.run, open_tunnels(make_server(act)))
    got = await visitor.client.read_until(b"101 Switching")
    assert got.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\nHTTP/1.1 101 ")
    visitor.theirs.close()
