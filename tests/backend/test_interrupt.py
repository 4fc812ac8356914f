"""An exception in the thread that runs a late request, and never anywhere else."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

import pytest

from tests.whole.drills import share
from trivet_backend import RequestTimeout
from trivet_backend.interrupt import FOR_EVER, Alarm, of_this_thread, unwatched
from trivet_common.pool.board import DEADLINE, ROW_WORDS, SlotRow

MS = 1_000_000


class Watcher:
    """Looks when the test says so."""

    def __init__(self) -> None:
        self.looks_at = FOR_EVER
        self.woken: list[int] = []

    def wake(self, timeout: int) -> None:
        self.woken.append(timeout)


def alarm_of(watcher: Watcher, *, is_by_signal: bool = False) -> Alarm:
    row = bytearray(ROW_WORDS * 8)
    return Alarm(
        SlotRow(memoryview(row).cast("Q"), memoryview(row)), "w1.0", watcher, is_by_signal=is_by_signal
    )


@pytest.fixture(params=[False, True], ids=["exception", "signal"])
def alarm(request: pytest.FixtureRequest) -> Any:
    before = signal.getsignal(signal.SIGRTMIN)
    found = alarm_of(Watcher(), is_by_signal=request.param)
    found.belong_here()
    yield found
    signal.signal(signal.SIGRTMIN, before)


def strike_from_elsewhere(alarm: Alarm) -> Any:
    """Judge and strike as a watchdog does, in another thread; what it found."""
    found: list[Any] = []

    def strike() -> None:
        found.append(alarm.judge())
        alarm.strike()

    thread = threading.Thread(target=strike)
    thread.start()
    thread.join(5)
    return found[0]


def spin() -> None:
    """Some lines in which an exception that is on its way strikes."""
    for _ in range(100):
        os.getpid()


def test_a_late_request_is_struck_where_it_runs(alarm: Alarm) -> None:
    def application() -> None:
        assert strike_from_elsewhere(alarm)
        spin()
        raise AssertionError("not struck")

    alarm.begin(monotonic_ns() - 2 * MS, MS)
    assert isinstance(alarm.guard(application), RequestTimeout)
    assert alarm.is_late
    assert alarm.end()
    assert not alarm.is_late
    assert str(RequestTimeout()) == "the request is past its deadline"


def test_one_in_time_is_not(alarm: Alarm) -> None:
    alarm.begin(monotonic_ns(), 60_000 * MS)
    assert alarm.guard(lambda: strike_from_elsewhere(alarm) and 1 / 0) is None
    assert not alarm.end()
    alarm.begin(monotonic_ns() - 2 * MS, 0)  # off
    assert alarm.guard(lambda: strike_from_elsewhere(alarm) and 1 / 0) is None
    assert not alarm.end()


def test_nothing_is_struck_outside_the_application(alarm: Alarm) -> None:
    alarm.begin(monotonic_ns() - 2 * MS, MS)
    assert not strike_from_elsewhere(alarm)
    assert alarm.guard(spin) is None
    assert not strike_from_elsewhere(alarm)
    spin()
    assert not alarm.end()


def test_each_request_is_struck_once(alarm: Alarm) -> None:
    struck = []

    def stubborn() -> None:
        for _ in range(3):
            try:
                strike_from_elsewhere(alarm) if not alarm.is_late else alarm.strike()
                spin()
            except RequestTimeout:
                struck.append(1)

    alarm.begin(monotonic_ns() - 2 * MS, MS)
    assert alarm.guard(stubborn) is None  # it swallowed it
    assert struck == [1]
    assert alarm.end()  # and is late all the same
    assert alarm.guard(spin) is None


def test_one_that_ends_after_the_sentence_is_late_and_its_successor_unharmed(alarm: Alarm) -> None:
    """The watcher has judged; before it strikes, the application returns."""
    judged = threading.Event()

    def application() -> None:
        thread = threading.Thread(target=lambda: (alarm.judge(), judged.set()))
        thread.start()
        judged.wait(5)

    alarm.begin(monotonic_ns() - 2 * MS, MS)
    assert isinstance(alarm.guard(application), RequestTimeout)
    assert not alarm.strike()
    assert alarm.end()
    alarm.begin(monotonic_ns(), 60_000 * MS)
    alarm.strike()
    assert alarm.guard(spin) is None


def test_our_own_work_in_a_request_is_not_struck_and_takes_no_time(alarm: Alarm) -> None:
    def application() -> None:
        deadline = alarm.pause()
        assert alarm.deadline == 0
        assert not strike_from_elsewhere(alarm)
        assert alarm.pause() == -1  # a destructor that prints while we do
        alarm.resume(-1)
        assert not alarm.armed
        alarm.resume(deadline)
        assert alarm.armed
        assert alarm.deadline == deadline

    begun = monotonic_ns()
    alarm.begin(begun, 60_000 * MS)
    assert alarm.guard(application) is None
    assert not alarm.armed
    alarm.begin(begun, 0)
    assert alarm.guard(application) is None


def test_a_thread_of_the_applications_own_stops_no_clock(alarm: Alarm) -> None:
    paused: list[int] = []

    def application() -> None:
        thread = threading.Thread(target=lambda: paused.append(alarm.pause()))
        thread.start()
        thread.join(5)
        assert alarm.armed

    alarm.begin(monotonic_ns(), 60_000 * MS)
    assert alarm.guard(application) is None
    assert paused == [-1]
    assert of_this_thread() is alarm


def test_only_what_comes_before_the_next_look_wakes_the_watcher() -> None:
    watcher = Watcher()
    alarm = alarm_of(watcher)
    now = monotonic_ns()
    watcher.looks_at = now + 30_000 * MS
    alarm.begin(now, 30_000 * MS)
    alarm.begin(now, 31_000 * MS)
    assert watcher.woken == []
    alarm.begin(now, 5 * MS)
    assert watcher.woken == [5 * MS]
    alarm.renew()
    assert alarm.deadline >= now + 5 * MS


def test_what_the_application_raises_is_returned(alarm: Alarm) -> None:
    for error in (ValueError("a"), SystemExit(3), KeyboardInterrupt(), RequestTimeout()):

        def application(error: BaseException = error) -> None:
            raise error

        assert alarm.guard(application) is error
        assert not alarm.end()


def test_a_copy_is_never_struck() -> None:
    """A fork at the moment of the sentence: the parent is interrupted, the child is not."""
    alarm = alarm_of(Watcher())
    alarm.begin(monotonic_ns() - 2 * MS, MS)

    def application() -> None:
        pid = os.fork()
        if pid == 0:
            try:
                alarm.forget()
                spin()
                os._exit(0 if not alarm.judge() and not alarm.strike() else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        strike_from_elsewhere(alarm)
        spin()

    assert isinstance(alarm.guard(application), RequestTimeout)
    assert alarm.end()


def test_an_unwatched_one_is_never_late() -> None:
    alarm = unwatched()
    alarm.begin(monotonic_ns() - MS, 0)
    assert alarm.guard(spin) is None
    assert not alarm.end()
    assert "armed=False" in repr(alarm)


# ------------------------------------------------------------ races, in numbers


class Tally:
    def __init__(self) -> None:
        self.requests = self.late = self.struck = 0
        self.wrong: list[str] = []


def run_many(alarm: Alarm, count: int, timeout: int, tally: Tally) -> None:
    """Requests that end within a millisecond of their deadline, with lines of our own between them."""
    rng = random.Random(7)

    def application(until: int) -> None:
        while monotonic_ns() < until:
            rng.random() < 0.01 and time.sleep(0)

    for _ in range(count):
        tally.requests += 1
        try:
            now = monotonic_ns()
            alarm.begin(now, timeout)
            error = alarm.guard(application, now + timeout + rng.randrange(-MS, MS))
            spin()
            ended = monotonic_ns()
            late = alarm.end()
            alarm.row.words[DEADLINE] = 0
            tally.late += late
            tally.struck += error is not None
            if (error is not None and not late) or (late and ended < now + timeout):
                tally.wrong.append(f"{error!r} late={late} {(ended - now - timeout) / 1e6} ms after")
        except RequestTimeout as escaped:
            tally.wrong.append(f"outside: {escaped!r}")


def watch(alarm: Alarm, is_over: Callable[[], bool]) -> None:
    """A watchdog that looks all the time."""
    while not is_over():
        if alarm.is_late:
            alarm.strike()
            time.sleep(0.001)
        elif 0 < alarm.deadline <= monotonic_ns():
            alarm.judge()
        else:
            time.sleep(0.0001)


def race(count: int, *, is_by_signal: bool) -> Tally:
    alarm, tally = alarm_of(Watcher(), is_by_signal=is_by_signal), Tally()
    over = threading.Event()
    if is_by_signal:
        before = signal.getsignal(signal.SIGRTMIN)
        alarm.belong_here()
        watcher = threading.Thread(target=watch, args=(alarm, over.is_set))
        watcher.start()
        run_many(alarm, count, 2 * MS, tally)
        over.set()
        watcher.join(5)
        signal.signal(signal.SIGRTMIN, before)
    else:

        def run() -> None:
            alarm.belong_here()
            run_many(alarm, count, 2 * MS, tally)
            over.set()

        runner = threading.Thread(target=run)
        runner.start()
        watch(alarm, over.is_set)
        runner.join(5)
    return tally


def check(tally: Tally, count: int) -> None:
    print(f"{tally.requests} requests, {tally.late} late, {tally.struck} of them interrupted")
    assert tally.wrong == []
    assert tally.requests == count
    assert tally.late > count / 10


@pytest.mark.parametrize("is_by_signal", [False, True], ids=["exception", "signal"])
def test_requests_that_end_at_their_deadline(is_by_signal: bool) -> None:
    check(race(300, is_by_signal=is_by_signal), 300)


@pytest.mark.drill
@pytest.mark.parametrize("is_by_signal", [False, True], ids=["exception", "signal"])
def test_ten_thousand_requests_that_end_at_their_deadline(is_by_signal: bool) -> None:
    check(race(count := share(10_000), is_by_signal=is_by_signal), count)


def test_what_is_taken_back_leaves_no_flag_up() -> None:
    """Under a flag that stays up a profiled process never goes on; so: a process of its own, and a limit."""
    program = """
import sys
from trivet_backend import interrupt
interrupt._drop_what_comes()
sys.setprofile(lambda *_: None)
(lambda: None)()
sys.setprofile(None)
print("through")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("through\n", "")
