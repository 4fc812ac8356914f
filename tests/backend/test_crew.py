"""Seats that are filled, renewed and given up, with births that fork nobody."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.backend.crews import Timers, child_of, release, worker
from trivet_backend import crew as room
from trivet_backend.crew import Crew
from trivet_backend.release import Release
from trivet_backend.roster import PoolWorker, WorkerState
from trivet_common.logs import ErrorLog
from trivet_common.pool.places import PoolPlaces


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Births:
    def __init__(self) -> None:
        self.born: list[PoolWorker] = []
        self.is_closed = False
        self.given_up: list[PoolWorker] = []

    def give_up(self, worker: PoolWorker) -> None:
        self.given_up.append(worker)

    def try_start(self, release: Release, ready: str | None = None) -> PoolWorker | None:
        if self.is_closed:
            return None
        found = worker(len(self.born) + 1, release, state=WorkerState.STARTING, was_ready=False)
        self.born.append(found)
        return found


class Scene:
    """A crew of `size` and what it told whom."""

    def __init__(self, folder: Path, clock: Clock, **keys: Any) -> None:
        self.clock = clock
        self.births = Births()
        self.timers = Timers()
        self.is_leaving = False
        self.began = 0
        self.hopeless: list[str] = []
        self.log = folder / "error.log"
        self.crew = Crew(
            release(**keys),
            self.births,
            PoolPlaces(folder),
            ErrorLog(self.log, "pool web"),
            self.timers.call_later,
            is_leaving=lambda: self.is_leaving,
            began=self._begin,
            hopeless=self.hopeless.append,
        )
        self.crew.step()

    def _begin(self) -> None:
        self.began += 1

    def ready(self, *numbers: int) -> None:
        for number in numbers:
            self.crew.worker_ready(self[number])

    def exits(self, number: int, status: int = 0) -> None:
        self.crew.worker_exited(self[number], status)

    def __getitem__(self, number: int) -> PoolWorker:
        return self.births.born[number - 1]

    def sitting(self) -> list[int | None]:
        return [seat.worker.incarnation if seat.worker else None for seat in self.crew.roster.seats]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(room, "time", found)
    return found


@pytest.fixture
def scene(tmp_path: Path, clock: Clock) -> Scene:
    return Scene(tmp_path, clock)


def test_the_first_that_is_ready_begins_the_pool(scene: Scene) -> None:
    assert len(scene.births.born) == 2
    scene.ready(1, 2)
    scene.ready(2)
    assert scene.began == 1
    assert scene.crew.roster.ready() == 2


def test_one_that_dies_is_replaced_at_once(scene: Scene) -> None:
    scene.ready(1, 2)
    scene.clock.now += 5
    scene[1].started = scene.clock.now - 5
    scene.exits(1, -9)
    assert scene.sitting() == [3, 2]
    assert (scene.crew.restarts, scene.crew.crashes) == (1, 1)
    assert "worker 1 (pid 4001) was killed by SIGKILL" in scene.log.read_text()


def test_those_that_die_at_once_are_started_ever_more_slowly(scene: Scene) -> None:
    scene.ready(1, 2)
    pauses = []
    for number in range(3, 7):
        scene.exits(number - 1, 7)
        (seconds, _), scene.timers.waiting = scene.timers.waiting[-1], []
        pauses.append(seconds)
        assert scene.crew.is_degraded()
        assert scene.sitting()[1] is None
        scene.clock.now += seconds
        scene.crew.step()
        assert scene.sitting()[1] == number
    assert pauses == [0.1, 0.2, 0.4, 0.8]
    assert not scene.crew.is_degraded()


def test_an_application_that_does_not_load_ends_the_first_start(scene: Scene) -> None:
    scene[1].problem = "ImportError"
    scene.exits(1, 1)
    assert scene.hopeless == ["ImportError"]
    assert scene.log.read_text() == "" if scene.log.exists() else True


def test_one_that_hangs_at_the_first_start_ends_it_too(scene: Scene) -> None:
    for one in scene.births.born:
        one.ready_by = scene.clock.now + 60
    scene.clock.now += 59
    scene.crew.tick()
    assert child_of(scene[1]).signals == []
    scene.clock.now += 2
    scene.crew.tick()
    assert child_of(scene[1]).signals == [signal.SIGTERM]
    assert scene.births.given_up == [scene[1], scene[2]]
    scene.exits(1, -15)
    assert scene.hopeless == ["a new worker was not ready within 60 s"]


def test_a_tired_worker_serves_until_its_successor_is_ready(scene: Scene) -> None:
    scene.ready(1, 2)
    scene.crew.worker_tired(scene[1], "requests")
    scene.crew.worker_tired(scene[1], "memory")  # said once
    scene.crew.worker_tired(scene[2], "requests")
    assert len(scene.births.born) == 3
    assert child_of(scene[1]).told == []
    scene.ready(3)
    assert child_of(scene[1]).told == [b"retire"]
    assert scene.sitting() == [3, 2]
    assert len(scene.births.born) == 3  # one at a time: the first has not left yet
    scene.exits(1)
    assert len(scene.births.born) == 4
    assert scene.crew.recycled == {"requests": 1, "memory": 0, "timeout": 0}
    assert scene.crew.restarts == scene.crew.crashes == 0
    assert scene.crew.is_degraded() is False


def test_a_reason_nobody_knows_is_none(scene: Scene) -> None:
    scene.ready(1, 2)
    scene.crew.worker_tired(scene[1], "of it all")
    assert scene[1].tired == ""


def test_a_successor_that_fails_is_tried_again_later_and_the_old_one_serves_on(scene: Scene) -> None:
    scene.ready(1, 2)
    scene.crew.worker_tired(scene[1], "memory")
    for number, pause in ((3, 0.1), (4, 0.2)):
        scene[number].problem = "ImportError"
        scene.exits(number, 1)
        assert scene.crew.is_degraded()
        assert scene.sitting() == [1, 2]
        scene.crew.step()
        assert len(scene.births.born) == number
        scene.clock.now += pause
        scene.timers.fire()
        assert len(scene.births.born) == number + 1
    assert scene.hopeless == []
    assert child_of(scene[1]).told == []


def test_a_worker_that_dies_leaves_its_seat_to_its_successor(scene: Scene) -> None:
    scene.ready(1, 2)
    scene.crew.worker_tired(scene[1], "memory")
    scene.exits(1, -9)
    assert scene.sitting() == [3, 2]
    assert len(scene.births.born) == 3
    scene.ready(3)
    assert scene.crew.roster.ready() == 2
    assert scene.crew.recycled["memory"] == 1


def test_all_that_timed_out_are_replaced_at_once(scene: Scene) -> None:
    """They have one slot and serve no more: the limit is for those that still do."""
    scene.ready(1, 2)
    for number in (1, 2):
        scene.crew.worker_tired(scene[number], "timeout")
    assert len(scene.births.born) == 4


def test_one_that_is_killed_is_counted_unless_it_said_so_itself(scene: Scene) -> None:
    scene.ready(1, 2)
    scene.crew.worker_late(scene[1], "id-1")
    scene.crew.worker_killed(scene[1], "id-1")
    scene.crew.worker_killed(scene[2], "id-2")
    assert scene.crew.timeouts == 2
    scene.exits(1, -9)
    scene.exits(2, -9)
    assert (scene.crew.crashes, scene.crew.recycled["timeout"]) == (0, 2)


def test_one_that_does_not_leave_is_killed(scene: Scene) -> None:
    scene.ready(1, 2)
    scene.crew.retire(scene[1])
    assert scene[1].state is WorkerState.RETIRING
    scene.timers.fire()
    assert child_of(scene[1]).signals == [signal.SIGKILL]


def test_one_that_is_replaced_has_the_time_its_requests_have(scene: Scene) -> None:
    """A reload is no stop: what is within its timeout goes on."""
    scene.ready(1, 2)
    scene.crew.retire(scene[1])
    scene.is_leaving = True
    scene.crew.retire(scene[2])
    assert [seconds for seconds, _ in scene.timers.waiting] == [25.0 + 7, 25.0]


def test_a_board_that_could_not_be_opened_is_tried_again(scene: Scene, tmp_path: Path) -> None:
    """In a moment without descriptors; else its tokens would never be repaired."""
    scene.ready(1)
    scene.crew.tick()
    assert scene[1].board == -1
    (tmp_path / "w1.board").write_bytes(b"")
    scene.crew.tick()
    assert scene[1].board >= 0
    os.close(scene[1].board)


def test_a_smaller_crew_gives_up_those_that_are_named_first(scene: Scene) -> None:
    scene.ready(1, 2)
    scene.crew.resize(1, lambda seat: (-seat.worker.incarnation if seat.worker else 0,))
    assert scene.sitting() == [1]
    assert child_of(scene[2]).told == [b"retire"]
    scene.exits(2)
    scene.crew.resize(3)
    assert scene.sitting() == [1, 3, 4]


def test_where_no_worker_can_be_had_yet_the_seat_waits(scene: Scene) -> None:
    scene.ready(1, 2)
    scene[1].started -= 5
    scene.births.is_closed = True
    scene.exits(1, -9)
    scene.clock.now += 0.1
    scene.crew.step()
    assert scene.sitting() == [None, 2]
    scene.crew.tick()
    scene.clock.now += 1.5
    scene.crew.tick()
    assert scene.crew.is_degraded()
    scene.births.is_closed = False
    scene.crew.step()
    assert scene.sitting() == [3, 2]


def test_a_newcomer_takes_an_empty_seat_then_the_oldest_codes(scene: Scene) -> None:
    scene.ready(1, 2)
    new = release(2)
    assert scene.crew.seat(worker(10, new)) is scene[1]
    scene.crew.roster.seats[1].worker = None
    assert scene.crew.seat(worker(11, new)) is None
    assert scene.sitting() == [10, 11]


def test_in_development_the_old_ones_go_first(scene: Scene) -> None:
    scene.ready(1, 2)
    scene.crew.replace_all(release(2, size=1))
    assert child_of(scene[1]).told == child_of(scene[2]).told == [b"retire"]
    assert scene.sitting() == [3]
    assert scene[3].release.number == 2


def test_nobody_is_started_for_a_pool_that_leaves(scene: Scene) -> None:
    scene.ready(1, 2)
    scene.is_leaving = True
    scene.exits(1)
    assert len(scene.births.born) == 2
