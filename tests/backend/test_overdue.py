"""Whom the master stops, looks at again and kills; processes are real where it matters that they stop."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.backend.crews import Timers, child_of, release, worker
from trivet_backend import overdue as room
from trivet_backend.overdue import Case, Overdue, find_case
from trivet_backend.roster import PoolWorker
from trivet_common.pool.board import DEADLINE, NUMBER, ROW_WORDS, STATE, SlotState

GRACE = 2_000_000_000
NOW = 100_000_000_000


def row(state: SlotState, number: int = 1, late: float | None = None) -> memoryview:
    """`late`: seconds since the deadline."""
    words = memoryview(bytearray(ROW_WORDS * 8)).cast("Q")
    words[STATE], words[NUMBER] = state, number
    if late is not None:
        words[DEADLINE] = NOW - int(late * 1e9)
    return words


RUNNING, READING, IDLE, RETIRING = (
    SlotState.RUNNING,
    SlotState.READING,
    SlotState.IDLE,
    SlotState.RETIRING,
)


@pytest.mark.parametrize(
    ("rows", "deaf", "found"),
    [
        ([row(RUNNING, 5, 2.1)], [], Case(0, 5, False, True)),
        ([row(RUNNING, 5, 1.9)], [], None),
        ([row(RUNNING, 5, -3)], [], None),
        ([row(RUNNING, 5)], [], None),  # no deadline
        ([row(IDLE, 5, 9)], [], None),
        ([row(RETIRING, 5, 9)], [], None),
        ([row(READING, 5, 9)], [], Case(0, 5, False, True)),
        ([row(IDLE), row(RUNNING, 7, 3)], [], Case(1, 7, False, True)),
        ([row(RUNNING, 5, 3), row(RUNNING, 6, 1)], [], Case(0, 5, False, False)),
        ([row(RUNNING, 5, 3), row(READING, 6)], [], Case(0, 5, False, False)),
        ([row(RUNNING, 5, 3), row(RUNNING, 6, 4)], [], Case(0, 5, False, True)),  # it stands still
        ([row(IDLE, 5)], [(0, 5)], Case(0, 5, True, True)),
        ([row(IDLE, 6)], [(0, 5)], None),  # it has taken one after all
        ([row(READING, 5)], [(0, 5)], None),
        ([row(IDLE, 5), row(RUNNING, 9, 0)], [(0, 5)], Case(0, 5, True, False)),
        ([row(IDLE, 5)], [(3, 5)], None),
        ([], [(0, 5)], None),
    ],
)
def test_which_case_it_is(rows: list[memoryview], deaf: list[tuple[int, int]], found: Case | None) -> None:
    assert find_case(rows, deaf, NOW, GRACE) == found


class Court:
    """`rows` is what the board of every worker shows."""

    def __init__(self) -> None:
        self.rows = [row(RUNNING, 5, 3)]
        self.timers = Timers()
        self.stuck: list[PoolWorker] = []
        self.killed: list[tuple[int, Case]] = []
        self.knocks: list[tuple[int, Callable[[bool], None]]] = []
        self.overdue = Overdue(
            lambda worker: self.rows,
            lambda: NOW,
            self.timers.call_later,
            stuck=self.stuck.append,
            killed=lambda worker, case: self.killed.append((worker.incarnation, case)),
            knock=lambda worker, slot, then: self.knocks.append((slot, then)),
        )


@pytest.fixture
def court() -> Court:
    return Court()


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the worker's process does: the last is what /proc says."""
    states = ["S"]
    monkeypatch.setattr(room.procfs, "state_of", lambda pid: states[-1])
    return states


def test_it_is_stopped_first_and_killed_when_it_still_stands_there(court: Court, state: list[str]) -> None:
    suspect = worker(3)
    court.overdue.look(suspect)
    court.timers.fire()
    assert child_of(suspect).signals == [signal.SIGSTOP]
    state.append("T")
    court.timers.fire()
    assert child_of(suspect).signals == [signal.SIGSTOP, signal.SIGKILL]
    assert court.killed == [(3, Case(0, 5, False, True))]
    court.overdue.look(suspect)
    assert len(child_of(suspect).signals) == 2
    court.overdue.forget(suspect)
    assert "examined=[]" in repr(court.overdue)


@pytest.mark.parametrize("after", [row(IDLE, 6), row(RUNNING, 7, 3), row(RUNNING, 5)])
def test_one_that_has_moved_on_meanwhile_goes_on(court: Court, state: list[str], after: memoryview) -> None:
    suspect = worker(3)
    court.overdue.look(suspect)
    court.rows = [after]
    state.append("T")
    court.timers.fire()
    assert child_of(suspect).signals == [signal.SIGSTOP, signal.SIGCONT]
    assert court.killed == []


def test_one_that_does_not_stop_is_let_go_and_looked_at_again(court: Court, state: list[str]) -> None:
    suspect = worker(3)
    court.overdue.look(suspect)
    for _ in range(200):
        court.timers.fire()
    assert child_of(suspect).signals == [signal.SIGSTOP, signal.SIGCONT]
    court.overdue.look(suspect)
    assert child_of(suspect).signals[-1] == signal.SIGSTOP


def test_one_whose_other_slots_are_busy_is_left_alone(court: Court) -> None:
    court.rows.append(row(RUNNING, 9, 0.5))
    suspect = worker(3, release(threads=2))
    court.overdue.look(suspect)
    assert court.stuck == [suspect]
    assert child_of(suspect).signals == []


@pytest.mark.parametrize(("is_there", "signals"), [(True, []), (False, [signal.SIGSTOP])])
def test_one_that_runs_and_seems_deaf_is_asked_first(
    court: Court, state: list[str], is_there: bool, signals: list[int]
) -> None:
    """Tokens that nobody redeems are no proof: a proxy without descriptors throws them away."""
    court.rows = [row(IDLE, 5)]
    suspect = worker(3)
    court.overdue.look(suspect, [(0, 5)])
    court.overdue.look(suspect, [(0, 5)])
    assert child_of(suspect).signals == []
    ((slot, then),) = court.knocks
    assert slot == 0
    then(is_there)
    assert child_of(suspect).signals == signals


def test_one_that_took_a_request_while_it_was_asked_is_left_alone(court: Court, state: list[str]) -> None:
    court.rows = [row(IDLE, 5)]
    suspect = worker(3)
    court.overdue.look(suspect, [(0, 5)])
    court.rows = [row(RUNNING, 6, -20)]
    court.knocks[0][1](False)
    court.overdue.look(suspect)
    assert child_of(suspect).signals == []


def test_one_that_is_stopped_is_not_asked(court: Court, state: list[str]) -> None:
    court.rows = [row(IDLE, 5)]
    state.append("T")
    suspect = worker(3)
    court.overdue.look(suspect, [(0, 5)])
    assert court.knocks == []
    assert court.killed == [(3, Case(0, 5, True, True))]


def test_one_that_exits_while_it_is_examined_is_no_case_any_more(court: Court, state: list[str]) -> None:
    suspect = worker(3)
    court.overdue.look(suspect)
    court.overdue.forget(suspect)
    state.append("T")
    court.timers.fire()
    assert child_of(suspect).signals == [signal.SIGSTOP]


def test_a_real_process_that_was_stopped_by_somebody_else(court: Court) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        process.send_signal(signal.SIGSTOP)
        suspect = worker(3)
        child: Any = suspect.child
        child.pid = process.pid
        child.kill = lambda signum=signal.SIGKILL: process.send_signal(signum)
        court.overdue.look(suspect)
        until = time.monotonic() + 5
        while not court.killed and time.monotonic() < until:
            time.sleep(0.005)
            court.timers.fire()
        assert process.wait(5) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()
