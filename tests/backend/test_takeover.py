"""A release that takes over, with a crew that only writes down what it is told."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from trivet_backend.roster import Seat
from trivet_backend.takeover import Takeover


class FakeCrew:
    def __init__(self, seats: int, *, empty: bool = False) -> None:
        self.seats = [Seat(index) for index in range(seats)]
        self.told: list[str] = []
        self.timers: list[Callable[[], None]] = []
        self.spawned: list[Any] = []
        if not empty:
            for seat in self.seats:
                seat.worker = worker(f"old{seat.index}")

    def spawn_worker(self, seat: Seat, pool: Any, settings: Any) -> Any:
        found = worker(f"new{seat.index}")
        self.spawned.append(found)
        self.told.append(f"spawn {found.name}")
        return found

    def retire_worker(self, worker: Any) -> None:
        self.told.append(f"retire {worker.name}")

    def adopt(self, pool: Any, settings: Any) -> None:
        if "adopt" not in self.told:
            self.told.append("adopt")

    def resize(self) -> None:
        self.told.append("resize")

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.timers.append(callback)


def worker(name: str) -> Any:
    return SimpleNamespace(name=name, problem="")


def begin(crew: FakeCrew) -> tuple[Takeover, list[str | None]]:
    done: list[str | None] = []
    pool = SimpleNamespace(name="web", reload=SimpleNamespace(timeout=60.0))
    takeover = Takeover(crew, pool, None, list(crew.seats), done.append)  # type: ignore[arg-type]
    takeover.replace_next()
    return takeover, done


def test_one_by_one_each_ready_before_an_old_one_leaves() -> None:
    crew = FakeCrew(2)
    olds = [seat.worker for seat in crew.seats]
    takeover, done = begin(crew)
    assert crew.told == ["spawn new0"]
    takeover.worker_ready(crew.spawned[0])
    assert crew.told == ["spawn new0", "adopt", "retire old0"]
    takeover.worker_exited(olds[0], 0)  # type: ignore[arg-type]
    takeover.worker_ready(crew.spawned[1])
    takeover.worker_exited(olds[1], 0)  # type: ignore[arg-type]
    assert crew.told == ["spawn new0", "adopt", "retire old0", "spawn new1", "retire old1", "resize"]
    assert done == [None]
    assert [seat.worker for seat in crew.seats] == crew.spawned


def test_empty_seats_are_filled_without_waiting() -> None:
    crew = FakeCrew(2, empty=True)
    takeover, done = begin(crew)
    takeover.worker_ready(crew.spawned[0])
    takeover.worker_ready(crew.spawned[1])
    assert crew.told == ["spawn new0", "adopt", "spawn new1", "resize"]
    assert done == [None]


def test_a_newcomer_that_ends_is_the_end_and_no_old_one_leaves() -> None:
    crew = FakeCrew(2)
    takeover, done = begin(crew)
    crew.spawned[0].problem = "ImportError: nothing"
    takeover.worker_exited(crew.spawned[0], 1)
    assert crew.told == ["spawn new0"]
    assert done == ["ImportError: nothing"]


def test_a_newcomer_that_is_late_is_retired() -> None:
    crew = FakeCrew(1)
    takeover, done = begin(crew)
    crew.timers[0]()
    takeover.worker_ready(crew.spawned[0])  # too late
    assert crew.told == ["spawn new0", "retire new0"]
    assert done == ["a new worker was not ready within 60 s"]


def test_the_time_limit_of_one_that_became_ready_means_nothing() -> None:
    crew = FakeCrew(2)
    takeover, done = begin(crew)
    takeover.worker_ready(crew.spawned[0])
    crew.timers[0]()
    assert done == []


def test_strangers_change_nothing() -> None:
    crew = FakeCrew(1)
    takeover, done = begin(crew)
    takeover.worker_ready(worker("other"))
    takeover.worker_exited(worker("other"), 0)
    assert crew.told == ["spawn new0"]
    assert done == []


def test_the_end_is_told_once() -> None:
    crew = FakeCrew(1)
    takeover, done = begin(crew)
    takeover.end("the pool is stopping")
    takeover.end("again")
    takeover.worker_exited(crew.spawned[0], -15)
    assert done == ["the pool is stopping"]
