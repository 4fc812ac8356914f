"""Which release has a template, and what becomes of one that ends."""

from typing import Any

import pytest

from tests.backend.crews import FakeChild, Timers, child_of, release, worker
from trivet_backend import templates as room
from trivet_backend.release import Release
from trivet_backend.templates import Templates
from trivet_common.logs import ErrorLog


class Nursery:
    def __init__(self) -> None:
        self.now = 100.0
        self.started: list[Any] = []
        self.changes = 0
        self.failures: list[tuple[int, str]] = []
        self.timers = Timers()
        self.templates = Templates(
            self._start,
            ErrorLog(None, "test"),
            self.timers.call_later,
            changed=self._changed,
            failed=lambda release, problem: self.failures.append((release.number, problem)),
        )

    def monotonic(self) -> float:
        return self.now

    def _start(self, release: Release) -> Any:
        child: Any = FakeChild(500 + len(self.started))
        child.channel = f"line to {child.pid}"
        self.started.append(child)
        return child

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def nursery(monkeypatch: pytest.MonkeyPatch) -> Nursery:
    found = Nursery()
    monkeypatch.setattr(room, "time", found)
    return found


def test_it_is_started_when_it_is_asked_for_and_used_when_it_is_ready(nursery: Nursery) -> None:
    one = release(1)
    assert nursery.templates.status(one) is None
    assert nursery.templates.try_use(one) is None
    assert nursery.templates.try_use(one) is None
    assert len(nursery.started) == 1
    assert nursery.templates.status(one) == {"pid": 500, "state": "starting"}
    nursery.templates.heard(nursery.started[0], b"ready")
    assert nursery.changes == 1
    found: object = nursery.templates.try_use(one)
    assert found == "line to 500"
    assert nursery.templates.status(one) == {"pid": 500, "state": "ready"}


def test_one_that_is_killed_is_started_again_at_the_next_question(nursery: Nursery) -> None:
    one = release(1)
    nursery.templates.try_use(one)
    nursery.templates.heard(nursery.started[0], b"ready")
    nursery.now += 5
    nursery.templates.exited(nursery.started[0], -9)
    assert nursery.failures == []
    assert nursery.templates.status(one) == {"pid": 0, "state": "missing"}
    assert nursery.templates.try_use(one) is None
    assert len(nursery.started) == 2


def test_one_that_does_not_come_up_is_a_failure_and_tried_again_ever_later(nursery: Nursery) -> None:
    one = release(1)
    for pause in (0.1, 0.2, 0.4):
        nursery.templates.try_use(one)
        nursery.templates.heard(nursery.started[-1], b"failed ImportError: x")
        nursery.templates.exited(nursery.started[-1], 1)
        count = len(nursery.started)
        nursery.now += pause * 0.9
        assert nursery.templates.try_use(one) is None
        assert len(nursery.started) == count
        nursery.now += pause * 0.2
    assert nursery.failures == [(1, "ImportError: x")] * 3
    nursery.templates.try_use(one)
    nursery.templates.exited(nursery.started[-1], -11)
    assert nursery.failures[-1] == (1, "the template was killed by SIGSEGV before it was ready")


def test_one_that_takes_too_long_is_killed(nursery: Nursery) -> None:
    one = release(1, timeout=30.0)
    nursery.templates.try_use(one)
    nursery.now += 29
    nursery.templates.tick({1})
    assert nursery.started[0].signals == []
    nursery.now += 2
    nursery.templates.tick({1})
    nursery.templates.exited(nursery.started[0], -9)
    assert nursery.failures == [(1, "the template was not ready within 30 s")]


def test_one_whose_release_is_gone_is_let_go_in_silence(nursery: Nursery) -> None:
    for number in (1, 2):
        nursery.templates.try_use(release(number))
        nursery.templates.heard(nursery.started[-1], b"ready")
    nursery.templates.tick({2})
    assert [child.signals for child in nursery.started] == [[9], []]
    nursery.templates.exited(nursery.started[0], -9)
    assert nursery.failures == []
    nursery.templates.let_go_of_all()
    assert nursery.started[1].signals == [9]


def test_one_that_forks_nobody_is_killed(nursery: Nursery) -> None:
    """It was stopped after it was ready: its workers would be waited for for ever."""
    one = release(1, timeout=30.0)
    nursery.templates.give_up(one)
    nursery.templates.try_use(one)
    nursery.templates.give_up(one)
    assert nursery.started[0].signals == []  # it is loading, and has its own deadline
    nursery.templates.heard(nursery.started[0], b"ready")
    nursery.templates.give_up(one)
    assert nursery.started[0].signals == [9]
    nursery.templates.exited(nursery.started[0], -9)
    assert nursery.failures == []
    assert nursery.templates.try_use(one) is None


def test_strangers_are_not_heard(nursery: Nursery) -> None:
    stranger: Any = child_of(worker(1))
    nursery.templates.heard(stranger, b"ready")
    nursery.templates.exited(stranger, 0)
    assert nursery.changes == 0
