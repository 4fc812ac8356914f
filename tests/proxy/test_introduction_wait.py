"""The header's bytes are taken from a real socket, the client's own are left, and patience ends."""

import socket
from collections.abc import Iterator

import pytest
import trio

from trivet_common.config.addresses import parse_networks
from trivet_proxy.introduction import IntroductionError
from trivet_proxy.introduction_wait import hear_introduction

KNOWN = parse_networks(["10.0.0.0/8", "unix"])
nothing = bool  # to be called
LINE = b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\n"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


async def test_what_follows_stays_in_the_socket(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(LINE + b"GET / ")
    assert await hear_introduction(ours, "10.0.0.9", KNOWN, nothing) == ("192.0.2.7", 5000)
    assert ours.recv(100) == b"GET / "


async def test_in_pieces_and_with_time_between_them(
    pair: tuple[socket.socket, socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    ours, theirs = pair
    theirs.sendall(LINE[:3])
    found: list[object] = []

    async def hear() -> None:
        found.append(await hear_introduction(ours, None, KNOWN, nothing))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        for start in range(3, len(LINE), 10):
            await trio.testing.wait_all_tasks_blocked()
            theirs.sendall(LINE[start : start + 10])
    assert found == [("192.0.2.7", 5000)]


async def test_one_that_speaks_for_itself(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"PROXY UNKNOWN\r\n")
    assert await hear_introduction(ours, "10.0.0.9", KNOWN, nothing) == ("10.0.0.9", 0)


async def test_a_stranger_is_not_even_heard(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(LINE)
    with pytest.raises(IntroductionError, match="not one of those"):
        await hear_introduction(ours, "192.0.2.1", KNOWN, nothing)


async def test_patience_ends(
    pair: tuple[socket.socket, socket.socket], autojump_clock: trio.testing.MockClock
) -> None:
    ours, theirs = pair
    theirs.sendall(LINE[:20])
    with pytest.raises(IntroductionError, match="within 5 s"):
        await hear_introduction(ours, "10.0.0.9", KNOWN, nothing)


async def test_one_that_leaves(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(LINE[:20])
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(OSError, match="it has left"):
        await hear_introduction(ours, "10.0.0.9", KNOWN, nothing)
