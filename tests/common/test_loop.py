"""Turns of the loop: order, timers, signals, and what may change under it."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from trivet_common.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    old = {signum: signal.getsignal(signum) for signum in (signal.SIGUSR1, signal.SIGUSR2)}
    loop = Loop()
    yield loop
    loop.close()
    for signum, handler in old.items():
        signal.signal(signum, handler)


def test_timers_run_in_order_of_time_then_of_asking(loop: Loop) -> None:
    ran: list[str] = []
    loop.call_later(0.02, lambda: ran.append("late"))
    loop.call_later(0.0, lambda: ran.append("first"))
    loop.call_later(0.0, lambda: ran.append("second"))
    while "late" not in ran:
        loop.turn()
    assert ran == ["first", "second", "late"]


def test_a_timer_that_sets_itself_again_does_not_hold_a_turn(loop: Loop) -> None:
    ran: list[int] = []

    def again() -> None:
        ran.append(1)
        loop.call_later(0.0, again)

    again()
    for _ in range(5):
        loop.turn()
    assert len(ran) == 6


def test_what_a_callback_unwatched_is_not_called_in_the_same_turn(loop: Loop) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []

    def only_one(mine: int) -> None:
        called.append(mine)
        loop.unwatch(pairs[1 - mine][0])
        pairs[1 - mine][0].close()

    for index, (ours, theirs) in enumerate(pairs):
        loop.watch(ours, lambda index=index: only_one(index))  # type: ignore[misc]
        theirs.send(b"x")
    loop.turn()
    assert len(called) == 1
    loop.unwatch(pairs[0][0])
    loop.unwatch(pairs[0][0])  # no error
    for pair in pairs:
        for end in pair:
            end.close()


def test_a_flood_of_one_signal_loses_no_other(loop: Loop) -> None:
    heard: list[int] = []
    loop.queue_signals((signal.SIGUSR1, signal.SIGUSR2), heard.append)
    for _ in range(3000):  # more than the wake-up socket holds
        os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR2)
    loop.turn()
    assert heard == [signal.SIGUSR1, signal.SIGUSR2]
    os.kill(os.getpid(), signal.SIGUSR2)
    loop.turn()
    assert heard[2:] == [signal.SIGUSR2]


def test_signals_mean_nothing_once_it_is_closed(loop: Loop) -> None:
    heard: list[int] = []
    loop.queue_signals((signal.SIGUSR1,), heard.append)
    loop.close()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert heard == []
