"""What comes before a takeover and after it, with a crew that only writes down what it is told."""

from typing import Any

import pytest

from tests.backend.crews import release, worker
from trivet_backend.changeover import Changeover
from trivet_backend.release import Release
from trivet_backend.roster import PoolWorker, Roster

Done = Any


class Stage:
    """The crew, the templates and the preparation in one."""

    def __init__(self) -> None:
        self.release = release(1)
        self.roster = Roster(1)
        self.roster.workers[1] = worker(1, self.release)
        self.takeover: Any = None
        self.has_begun = True
        self.is_leaving = False
        self.told: list[str] = []
        self.used: set[int] = set()
        self.prepared: list[Done] = []
        self.reports: list[str] = []
        self.hopeless: list[str] = []
        self.done: list[str | None] = []
        me: Any = self
        self.changeover = Changeover(
            me,
            me,
            me,
            is_leaving=lambda: self.is_leaving,
            report=self.reports.append,
            hopeless=self.hopeless.append,
        )

    # as the preparation

    def begin(self, pool: Any, then: Done) -> None:
        self.prepared.append(then)

    # as the crew

    def step(self) -> None:
        if self.takeover is not None:
            self.takeover.step()

    def try_start(self, release: Release, ready: str | None = None) -> PoolWorker:
        self.told.append(f"start {release.number}")
        return worker(10 * release.number, release)

    def retire(self, worker: PoolWorker) -> None:
        self.told.append(f"retire {worker.incarnation}")

    def replace_all(self, release: Release) -> None:
        self.told.append(f"replace all {release.number}")

    def is_degraded(self) -> bool:
        return False

    # as the templates

    def tick(self, used: set[int]) -> None:
        self.used = used

    def try_use(self, release: Release) -> None:
        self.told.append(f"use {release.number}")

    def status(self, release: Release) -> dict[str, object] | None:
        return {"pid": 0, "state": "missing"} if release.has_template else None

    def reload(self, new: Release, problem: str | None = None) -> None:
        self.changeover.begin(new.pool, new.settings, self.done.append)
        self.prepared.pop()(problem)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_release_takes_over_once_it_is_prepared(stage: Stage) -> None:
    stage.reload(release())
    assert stage.told == ["start 2"]
    assert stage.changeover.status()["reloading"] is True
    stage.takeover.end("it does not load")
    assert stage.done == ["it does not load"]
    status = stage.changeover.status()
    assert status["reloading"] is False
    assert (status["last_reload"]["ok"], status["last_reload"]["problem"]) == (False, "it does not load")
    stage.reload(release())
    assert stage.told[-1] == "start 3"  # a number is never used again: the failed one's template may linger


@pytest.mark.parametrize("is_leaving", [False, True])
def test_what_cannot_be_prepared_changes_nothing(stage: Stage, is_leaving: bool) -> None:
    stage.is_leaving = is_leaving
    stage.reload(release(), None if is_leaving else "exited with status 3")
    assert stage.done == ["the pool is stopping" if is_leaving else "exited with status 3"]
    assert stage.told == []
    assert stage.takeover is None


def test_in_development_all_are_replaced_at_once(stage: Stage) -> None:
    new = release()
    pool: Any = new.pool
    pool.is_development = True
    stage.reload(new)
    assert stage.told == ["replace all 2"]
    assert stage.done == [None]


def test_templates_of_releases_with_workers_and_of_the_newest_are_kept(stage: Stage) -> None:
    stage.changeover.keep_templates()
    assert stage.used == {1}
    stage.reload(release())
    stage.changeover.keep_templates()
    assert stage.used == {1, 2}
    stage.takeover.end("no")
    stage.changeover.keep_templates()
    assert stage.used == {1}
    assert "use 1" not in stage.told
    pool: Any = stage.release.pool
    pool.preload = object()
    stage.changeover.keep_templates()
    assert stage.told[-1] == "use 1"
    assert stage.changeover.status()["degraded"] is True


def test_a_template_that_does_not_come_up_ends_its_own_reload(stage: Stage) -> None:
    stage.reload(release())
    stage.changeover.template_failed(release(1), "the old one's")
    assert stage.done == []
    stage.changeover.template_failed(release(2), "ImportError")
    assert stage.done == ["ImportError"]
    assert stage.hopeless == []


def test_the_first_template_of_all_is_the_end_of_the_start(stage: Stage) -> None:
    stage.has_begun = False
    stage.changeover.template_failed(stage.release, "ImportError")
    assert stage.hopeless == ["ImportError"]
    stage.is_leaving = True
    stage.changeover.template_failed(stage.release, "ImportError")
    assert stage.hopeless == ["ImportError"]
