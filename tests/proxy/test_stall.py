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
    stall.start(30, None)
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
    stall.start(30, None)
    for _ in range(4):
        await trio.sleep(25)
        # As much as lets the receiver open its window again: with less it says nothing.
        take(wire, client, 400_000)
        assert wire.fd >= 0
    stall.stop()
    await trio.sleep(100)
    assert wire.fd >= 0


async def test_a_client_below_the_rate_is_ended_after_the_grace(
    autojump_clock: MockClock, nursery: trio.Nursery, tcp_pair: tuple[Wire, socket.socket]
) -> None:
    """Slow read: something is taken within every 30 s, so nothing ever stalls."""
    wire, client = tcp_pair
    deadlines = Deadlines()
    nursery.start_soon(deadlines.run)
    stall = Stall(wire, deadlines)
    fill(wire)
    # The kernel acknowledges more than was taken, a few megabytes as its windows grow: seconds at this rate.
    stall.start(30, 1_000_000)
    await trio.sleep(20)
    take(wire, client, 400_000)
    await trio.sleep(9)
    assert wire.fd >= 0
    await trio.sleep(10)
    assert wire.ended_by == "slow_read"


async def test_the_rate_is_kept_account_of_over_pauses(
    autojump_clock: MockClock, nursery: trio.Nursery, tcp_pair: tuple[Wire, socket.socket]
) -> None:
    wire, client = tcp_pair
    deadlines = Deadlines()
    nursery.start_soon(deadlines.run)
    stall = Stall(wire, deadlines)
    fill(wire)
    stall.start(30, 10_000)
    for _ in range(4):
        await trio.sleep(25)
        take(wire, client, 400_000)
        fill(wire)
        stall.start(30, 10_000)  # as the writer does after each progress
        assert wire.fd >= 0


async def test_a_debt_that_was_paid_is_forgotten(
    autojump_clock: MockClock, nursery: trio.Nursery, tcp_pair: tuple[Wire, socket.socket]
) -> None:
    """An event stream owes something now and then; the time between is nobody's fault."""
    wire, _ = tcp_pair
    deadlines = Deadlines()
    nursery.start_soon(deadlines.run)
    stall = Stall(wire, deadlines)
    fill(wire)
    for _ in range(5):
        stall.start(30, 1_000_000)
        await trio.sleep(20)
        stall.stop()
        await trio.sleep(500)
    assert wire.fd >= 0
