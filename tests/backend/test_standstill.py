"""Whether a worker has been stopped for too long; what /proc says of its process is given."""

import time

import pytest

from tests.backend.crews import worker
from trivet_backend import standstill as room
from trivet_backend.roster import WorkerState
from trivet_backend.standstill import Standstill


class Process:
    """`state` as in /proc, at `now` seconds."""

    state = "T"
    now = 0.0


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    process = Process()
    monkeypatch.setattr(room.procfs, "state_of", lambda pid: process.state)
    monkeypatch.setattr(time, "monotonic", lambda: process.now)
    return process


@pytest.mark.parametrize(("timeout", "longest"), [(5.0, 7.0), (None, 32.0)])
def test_it_is_over_long_after_timeout_and_grace(
    process: Process, timeout: float | None, longest: float
) -> None:
    still, stopped = Standstill(), worker(3)
    stopped.release.pool.timeout = timeout  # type: ignore[misc]
    found = []
    for process.now in (0.0, longest - 0.1, longest + 0.1):
        found.append(still.is_over_long(stopped))
    assert found == [False, False, True]
    still.forget(stopped)
    assert not still.is_over_long(stopped)


def test_the_time_begins_anew_when_it_goes_on(process: Process) -> None:
    still, stopped = Standstill(), worker(3)
    stopped.release.pool.timeout = 5.0  # type: ignore[misc]
    found = []
    for process.now, process.state in ((0.0, "T"), (5.0, "S"), (6.0, "T"), (12.0, "T"), (14.0, "T")):
        found.append(still.is_over_long(stopped))
    assert found == [False, False, False, False, True]


@pytest.mark.parametrize("state", ["S", "R", "D", "t", "Z", ""])
def test_whoever_runs_sleeps_or_is_debugged_is_left_alone(process: Process, state: str) -> None:
    still, one = Standstill(), worker(3)
    one.release.pool.timeout = 5.0  # type: ignore[misc]
    process.state = state
    assert not still.is_over_long(one)
    process.now = 1000.0
    assert not still.is_over_long(one)


def test_one_that_starts_or_leaves_has_a_deadline_already(process: Process) -> None:
    still, one = Standstill(), worker(3)
    one.release.pool.timeout = 5.0  # type: ignore[misc]
    for one.state in (WorkerState.STARTING, WorkerState.RETIRING):
        process.now += 100.0
        assert not still.is_over_long(one)
