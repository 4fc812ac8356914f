"""One reload of a whole site: the order, the deadlines, the outcome."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trivet_common.config import Settings, from_mapping
from trivet_deploy.rollout import PROXY_DEADLINE, Rollout, deadline, needs_restart

PARTS = ["pool a", "pool b", "proxy"]


def settings_with(**changes: Any) -> Settings:
    pools = {"a": {"app": "x", "workers": 2, "reload": {"timeout": "7s"}}, "b": {"app": "y", "workers": 1}}
    site: dict[str, Any] = {
        "listen": "127.0.0.1:8000",
        "stop_timeout": "3s",
        "proxy": {"processes": 2},
        "routes": [{"path": "/a/", "pool": "a"}, {"path": "/b/", "pool": "b"}],
        "pools": pools,
    }
    return from_mapping(site | changes, environ={})


class Stage:
    """Stands for the parts, the clock and the operator."""

    def __init__(self, deaf: str = "") -> None:
        self.told: list[str] = []
        self.messages: list[bytes] = []
        self.alarms: list[tuple[float, Callable[[], None]]] = []
        self.outcome: list[str | None] = []
        self._deaf = deaf
        self.rollout = Rollout(settings_with(), PARTS, self.tell, self.later, self.outcome.append)
        self.rollout.begin()

    def tell(self, part: str, message: bytes) -> bool:
        self.told.append(part)
        self.messages.append(message)
        return part != self._deaf

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.alarms.append((seconds, callback))


def test_pools_first_one_after_the_other_then_the_proxy() -> None:
    stage = Stage()
    assert stage.told == ["pool a"]
    stage.rollout.heard("pool a", "")
    assert stage.told == ["pool a", "pool b"]
    stage.rollout.heard("pool b", "")
    stage.rollout.heard("proxy", "")
    assert stage.told == PARTS
    assert stage.outcome == [None]


def test_each_part_is_sent_what_it_takes() -> None:
    stage = Stage()
    stage.rollout.heard("pool a", "")
    stage.rollout.heard("pool b", "")
    verb, number, carried = stage.messages[0].split(b" ", 2)
    pool, settings = pickle.loads(carried)
    assert (verb, pool.name, settings.stop_timeout) == (b"reload", "a", 3.0)
    assert stage.messages[1].split(b" ", 2)[1] == number
    assert isinstance(pickle.loads(stage.messages[2].split(b" ", 2)[2]), Settings)


def test_a_late_answer_to_an_earlier_rollout_is_none_to_this_one() -> None:
    earlier, stage = Stage(), Stage()
    numbers = [each.messages[0].split(b" ", 2)[1].decode() for each in (earlier, stage)]
    stage.rollout.answered("pool a", f"{numbers[0]} it does not load")
    stage.rollout.answered("pool a", numbers[0])
    stage.rollout.answered("pool a", "")
    assert (stage.told, stage.outcome) == (["pool a"], [])
    stage.rollout.answered("pool a", numbers[1])
    assert stage.told == ["pool a", "pool b"]
    stage.rollout.answered("pool b", f"{numbers[1]} it does not load")
    assert stage.outcome == ["pool b: it does not load (renewed already: pool a)"]


def test_a_problem_ends_it_and_names_what_is_new_already() -> None:
    stage = Stage()
    stage.rollout.heard("pool a", "")
    stage.rollout.heard("pool b", "it does not load")
    assert stage.outcome == ["pool b: it does not load (renewed already: pool a)"]
    stage.rollout.heard("proxy", "")
    assert stage.told == ["pool a", "pool b"]
    assert len(stage.outcome) == 1


def test_a_part_whose_master_is_not_running() -> None:
    assert Stage(deaf="pool a").outcome == ["pool a: its master is not running"]


def test_a_part_that_does_not_answer() -> None:
    stage = Stage()
    seconds, expire = stage.alarms[0]
    assert seconds == deadline(settings_with(), "pool a") == 7 * 2 + (30 + 2) + 10
    stage.rollout.heard("pool a", "")
    expire()  # too late to matter
    assert stage.outcome == []
    stage.alarms[1][1]()
    assert stage.outcome == ["pool b: no word within 102 s (renewed already: pool a)"]
    assert deadline(settings_with(), "proxy") == PROXY_DEADLINE


def test_each_word_gives_more_time() -> None:
    stage = Stage()
    stage.rollout.progressed("pool a")
    stage.rollout.progressed("pool b")  # not its turn
    assert len(stage.alarms) == 2
    stage.alarms[0][1]()
    assert stage.outcome == []
    stage.alarms[1][1]()
    assert stage.outcome == ["pool a: no word within 56 s"]
    stage.rollout.progressed("pool a")
    assert len(stage.alarms) == 2


def test_migrations_may_take_their_time() -> None:
    pools = {"a": {"app": "x", "workers": 1, "prepare": "migrate"}}
    assert deadline(settings_with(pools=pools, routes=[{"path": "/", "pool": "a"}]), "pool a") > 3600


def test_words_out_of_turn_are_not_heard() -> None:
    stage = Stage()
    stage.rollout.heard("proxy", "")
    stage.rollout.heard("pool b", "broken")
    assert stage.told == ["pool a"]
    assert stage.outcome == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"stop_timeout": "9s"}, None),
        ({"limits": {"body": "1MiB"}}, None),
        ({"listen": "127.0.0.1:8001"}, "listen changed"),
        ({"proxy": {"processes": 3}}, "proxy.processes changed"),
        ({"run_dir": "/run/other"}, "run_dir changed"),
        ({"log": {"level": "debug"}}, "log.error changed"),
        (
            {"pools": {"a": {"app": "x"}, "c": {"app": "z"}}, "routes": [{"path": "/", "pool": "a"}]},
            "pool c is new, pool b is gone",
        ),
        (
            {"pools": {"a": {"app": "x", "listen": "127.0.0.1:9000"}, "b": {"app": "y"}}},
            "user, group or listen of pool a changed",
        ),
    ],
)
def test_what_a_reload_cannot_change(changes: dict[str, Any], said: str | None) -> None:
    found = needs_restart(settings_with(), settings_with(**changes))
    assert found == (said and f"needs a restart: {said}")


def test_nothing_to_renew_is_done_at_once(tmp_path: Path) -> None:
    outcome: list[str | None] = []
    Rollout(settings_with(), [], lambda part, message: True, lambda s, c: None, outcome.append).begin()
    assert outcome == [None]
