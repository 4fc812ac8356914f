"""What a child has of its parent after a fork, and how it ends."""

import os
import signal
import sys
from collections.abc import Callable

import pytest

from trivet_common.forking import SIGNALS, fork


def run(body: Callable[[], int], complain: Callable[[str], None] = lambda text: None) -> int:
    _, status = os.waitpid(fork(body, complain), 0)
    return os.waitstatus_to_exitcode(status)


def test_its_exit_status() -> None:
    def leave(code: object) -> int:
        raise SystemExit(code)

    assert run(lambda: 0) == 0
    assert run(lambda: 5) == 5
    assert run(lambda: leave(6)) == 6
    assert run(lambda: leave("why")) == 1


def test_what_it_raises_is_complained_of_and_its_status_says_so() -> None:
    reading, writing = os.pipe()
    assert run(lambda: 1 // 0, lambda text: [os.write(writing, text.encode())].clear()) == 70
    assert b"ZeroDivisionError" in os.read(reading, 65536)
    os.close(reading), os.close(writing)


def test_no_handler_of_the_parent_runs_in_it() -> None:
    heard = []
    old = signal.signal(signal.SIGHUP, lambda *_: heard.append(1))

    def body() -> int:
        for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
            os.kill(os.getpid(), signum)  # meant for the master
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(SIGNALS)
        # Not ignored: a program it starts would inherit that. The terminal's signals may be inherited so.
        ignored = [signum for signum in SIGNALS if signal.getsignal(signum) is signal.SIG_IGN]
        return len(heard) + len(blocked) + (ignored != [signal.SIGTTIN, signal.SIGTTOU])

    try:
        assert run(body) == 0
    finally:
        signal.signal(signal.SIGHUP, old)
    assert run(lambda: os.kill(os.getpid(), signal.SIGTERM) or 0) == -signal.SIGTERM


def test_a_stdout_nobody_reads_keeps_nobody_from_forking(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    broken = open(writing, "w")  # noqa: SIM115
    broken.write("never read")
    os.close(reading)
    monkeypatch.setattr(sys, "stdout", broken)
    monkeypatch.setattr(sys, "stderr", None)
    assert run(lambda: 4) == 4
    monkeypatch.undo()
    with pytest.raises(BrokenPipeError):
        broken.close()


def test_what_waited_to_be_written_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        out.write("once")
        assert run(lambda: 0) == 0
        monkeypatch.undo()
    assert os.read(reading, 100) == b"once"
    os.close(reading)
