import socket
import time

import pytest
import trio
from trio.testing import MockClock

from trivet_proxy.deadlines import Deadlines
from trivet_proxy.stall import Stall
from trivet_proxy.wire import Wire


@pytest.fixture
def tcp_pair():
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    listener.close()
    wire = Wire(server)
    yield wire, client
    wire._sock.close()
    client.close()


def fill(wire: Wire) -> None:
    while wire.try_send(b"x" * 65536):
        pass


def take(wire: Wire, client: socket.socket, count: int) -> None:
    """Receive so much, and wait until the other side has heard of it."""
    before = wire.unsent()
    while count:
        count -= len(client.recv(count))
    deadline = time.monotonic() + 5
    while wire.unsent() == before and time.monotonic() < deadline:
        time.sleep(0.001)


async def test_ends_a_client_that_takes_nothing(
    autojump_clock: MockClock, nursery: trio.Nursery, tcp_pair: tuple[Wire, socket.socket]
) -> None:
    wire, _ = tcp_pair
    deadlines = Deadlines()
    nursery.start_soon(deadlines.run)
    stall = Stall(wire, deadlines)
    fill(wire)
    await trio.sleep(1000)
    stall.start(30)
    await trio.sleep(29)
    assert wire.fd >= 0
    await trio.sleep(1.1)
    assert wire.ended_by == "write_timeout"


async def test_spares_one_that_takes_less_than_makes_the_socket_writable(
    autojump_clock: MockClock, nursery: trio.Nursery, tcp_pair: tuple[Wire, socket.socket]
) -> None:
    wire, client = tcp_pair
    deadlines = Deadlines()
    nursery.start_soon(deadlines.run)
    stall = Stall(wire, deadlines)
    fill(wire)
    stall.start(30)
    for _ in range(4):
        await trio.sleep(25)
        # As much as lets the receiver open its window again: with less it says nothing.
        take(wire, client, 400_000)
        assert wire.fd >= 0
    stall.stop()
    await trio.sleep(100)
    assert wire.fd >= 0
