"""A release that takes over, with a crew that only writes down what it is told."""

from typing import Any

import pytest

from tests.backend.crews import release, worker
from trivet_backend.release import Release
from trivet_backend.roster import PoolWorker, Roster
from trivet_backend.takeover import Takeover


class FakeCrew:
    """`start_none`: the template is not there yet."""

    def __init__(self, size: int, *, empty: bool = False) -> None:
        self.roster = Roster(size)
        self.told: list[str] = []
        self.newcomers: list[PoolWorker] = []
        self.start_none = False
        self.ready: list[str | None] = []
        if not empty:
            for index, seat in enumerate(self.roster.seats):
                seat.worker = worker(index)

    def try_start(self, release: Release, ready: str | None = None) -> PoolWorker | None:
        if self.start_none:
            return None
        found = worker(100 + len(self.newcomers), release)
        self.newcomers.append(found)
        self.ready.append(ready)
        self.told.append(f"start {found.incarnation}")
        return found

    def seat(self, worker: PoolWorker) -> PoolWorker | None:
        number = worker.release.number
        seat = next(
            seat for seat in self.roster.seats if seat.worker is None or seat.worker.release.number != number
        )
        old, seat.worker = seat.worker, worker
        if old is not None:
            self.told.append(f"retire {old.incarnation}")
        return old

    def retire(self, worker: PoolWorker) -> None:
        self.told.append(f"retire {worker.incarnation}")

    def adopt(self, release: Release) -> None:
        self.told.append(f"adopt {release.number}")

    def resize(self, size: int) -> None:
        self.told.append(f"resize {size}")


class Course:
    def __init__(self, crew: FakeCrew, **keys: Any) -> None:
        self.crew = crew
        self.done: list[str | None] = []
        self.reports: list[str] = []
        self.takeover = Takeover(crew, release(2, **keys), self.done.append, self.reports.append)
        self.takeover.step()

    def ready(self, number: int) -> PoolWorker:
        """The newcomer is ready; returns who leaves for it."""
        before = {seat.worker for seat in self.crew.roster.seats}
        self.takeover.worker_ready(self.crew.newcomers[number])
        self.takeover.step()
        left = before - {seat.worker for seat in self.crew.roster.seats}
        found = left.pop()
        assert found is None or isinstance(found, PoolWorker)
        return found  # type: ignore[return-value]

    def gone(self, worker: PoolWorker, status: int = 0) -> None:
        self.takeover.worker_exited(worker, status)
        self.takeover.step()


def test_one_by_one_each_ready_before_an_old_one_leaves() -> None:
    course = Course(FakeCrew(2))
    assert course.crew.told == ["start 100"]
    old = course.ready(0)
    assert course.crew.told == ["start 100", "adopt 2", "retire 0"]
    course.gone(old)
    assert course.done == []
    course.gone(course.ready(1))
    assert course.crew.told == ["start 100", "adopt 2", "retire 0", "start 101", "retire 1", "resize 2"]
    assert course.done == [None]
    assert course.reports == ["1 of 2 workers", "2 of 2 workers"]


def test_the_first_is_alone_and_then_as_many_as_may_be_too_many() -> None:
    course = Course(FakeCrew(6), size=6, surge=3)
    assert len(course.crew.newcomers) == 1
    olds = [course.ready(0)]
    assert len(course.crew.newcomers) == 3  # two that start and one that leaves
    olds.append(course.ready(1))
    assert len(course.crew.newcomers) == 3
    course.gone(olds[0])
    assert len(course.crew.newcomers) == 4
    course.gone(olds[1])
    assert len(course.crew.newcomers) == 5


def test_newcomers_are_asked_for_the_path_of_their_release() -> None:
    assert Course(FakeCrew(1), size=1, ready="/healthz").crew.ready == ["/healthz"]


def test_a_smaller_release_replaces_no_more_than_it_needs() -> None:
    course = Course(FakeCrew(4), size=1)
    course.gone(course.ready(0))
    assert course.crew.told == ["start 100", "adopt 2", "retire 0", "resize 1"]
    assert course.done == [None]


def test_a_larger_one_grows_at_the_end() -> None:
    course = Course(FakeCrew(1), size=3)
    course.gone(course.ready(0))
    assert course.crew.told[-1] == "resize 3"


def test_a_range_keeps_the_size_it_has_grown_to() -> None:
    course = Course(FakeCrew(3), size=2, most=5)
    for number in range(3):
        course.gone(course.ready(number))
    assert course.crew.told[-1] == "resize 3"
    assert course.done == [None]


def test_where_all_seats_are_empty_one_newcomer_is_the_proof() -> None:
    course = Course(FakeCrew(2, empty=True))
    course.takeover.worker_ready(course.crew.newcomers[0])
    course.takeover.step()
    assert course.crew.told == ["start 100", "adopt 2", "resize 2"]  # the crew fills the other
    assert course.done == [None]


def test_a_newcomer_waits_for_its_template() -> None:
    crew = FakeCrew(1)
    crew.start_none = True
    course = Course(crew, size=1)
    assert crew.newcomers == []
    assert course.done == []
    crew.start_none = False
    course.takeover.step()
    assert len(crew.newcomers) == 1


@pytest.mark.parametrize(
    ("problem", "status", "text"),
    [
        ("ImportError: nothing", 1, "ImportError: nothing"),
        ("", -9, "the new worker was killed by SIGKILL before it was ready"),
    ],
)
def test_a_newcomer_that_ends_is_the_end_and_no_old_one_leaves(problem: str, status: int, text: str) -> None:
    course = Course(FakeCrew(2))
    course.crew.newcomers[0].problem = problem
    course.gone(course.crew.newcomers[0], status)
    assert course.crew.told == ["start 100"]
    assert course.done == [text]


def test_a_later_newcomer_that_ends_is_tried_again() -> None:
    course = Course(FakeCrew(3), size=3)
    course.gone(course.ready(0))
    for number in (1, 2):
        course.gone(course.crew.newcomers[number], -9)
    course.gone(course.ready(3))
    for number in (4, 5):
        course.gone(course.crew.newcomers[number], -9)
    course.gone(course.ready(6))
    assert course.done == [None]


def test_later_newcomers_that_all_fail_say_how_far_it_came() -> None:
    course = Course(FakeCrew(3), size=3)
    course.gone(course.ready(0))
    for number in (1, 2, 3):
        course.gone(course.crew.newcomers[number], 7)
    assert course.done == [
        "the new worker exited with status 7 before it was ready\n1 of 3 workers are of the new release"
    ]


def test_strangers_change_nothing() -> None:
    course = Course(FakeCrew(1), size=1)
    course.takeover.worker_ready(worker(55))
    course.gone(worker(56))
    assert course.crew.told == ["start 100"]
    assert not course.takeover.has(worker(57))


def test_the_end_is_told_once_and_newcomers_may_go() -> None:
    course = Course(FakeCrew(1), size=1)
    course.takeover.end("the pool is stopping")
    course.takeover.end("again")
    course.gone(course.crew.newcomers[0], -15)
    assert course.crew.told == ["start 100", "retire 100"]
    assert course.done == ["the pool is stopping"]
