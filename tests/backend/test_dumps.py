"""Stacks that workers are asked for, and what is said of those that do not answer."""

from typing import Any

from tests.backend.crews import Timers, child_of, worker
from trivet_backend.dumps import Dumps
from trivet_backend.roster import WorkerState


def test_all_are_asked_and_the_answer_waits_for_all() -> None:
    answers: list[dict[str, Any]] = []
    dumps = Dumps(Timers().call_later, lambda worker: [])
    one, two = worker(1), worker(2)
    dumps.ask([one, two], answers.append)
    assert child_of(one).told == child_of(two).told == [b"dump"]
    dumps.heard(two, "stack of two")
    dumps.heard(two, "once more")
    assert answers == []
    dumps.heard(one, "stack of one")
    assert answers == [{"ok": True, "dumps": {"w2": "stack of two", "w1": "stack of one"}}]


def test_those_that_cannot_answer_are_told_by_their_boards() -> None:
    answers: list[dict[str, Any]] = []
    timers = Timers()
    dumps = Dumps(timers.call_later, lambda worker: ["GET /x (request 1)"] if worker.incarnation == 1 else [])
    held, idle, starting, gone = (worker(number) for number in range(1, 5))
    starting.state = WorkerState.STARTING
    dumps.ask([held, idle, starting, gone], answers.append)
    dumps.exited(gone)
    timers.fire()
    assert answers[0]["dumps"] == {
        "w1": "no answer within 2 s (its interpreter is held); it runs GET /x (request 1)",
        "w2": "no answer within 2 s (its interpreter is held); it runs no request",
        "w3": "it is still starting",
        "w4": "it is gone",
    }


def test_two_askers_get_one_answer_each() -> None:
    first: list[dict[str, Any]] = []
    second: list[dict[str, Any]] = []
    timers = Timers()
    dumps = Dumps(timers.call_later, lambda worker: [])
    one = worker(1)
    dumps.ask([one], first.append)
    dumps.ask([one], second.append)
    dumps.heard(one, "stack")
    timers.fire()
    assert first == second == [{"ok": True, "dumps": {"w1": "stack"}}]
