"""upstreams/balance.py: who is chosen, in tables and by numbers."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet_proxy.upstreams.balance import PICKS, Refusal, choose, least_connections, round_robin, two_choices
from trivet_proxy.upstreams.ejection import Standing


@dataclass(eq=False)
class One:
    name: str
    weight: int = 1
    busy: int = 0
    credit: int = 0
    is_backup: bool = False
    has_room: bool = True
    standing: Standing = Standing.IN


IN, TRIAL, OUT = Standing.IN, Standing.TRIAL, Standing.OUT


def chosen(*ones: One) -> str | Refusal:
    found = choose(ones, lambda one: one.standing, round_robin)
    return found if isinstance(found, Refusal) else found.name


@pytest.mark.parametrize(
    ("ones", "expected"),
    [
        ([], Refusal.NONE),
        ([One("a")], "a"),
        ([One("a", standing=OUT), One("b")], "b"),
        ([One("a", standing=TRIAL)], "a"),
        ([One("a", standing=OUT)], "a"),  # all are out: all are tried
        ([One("a", is_backup=True), One("b")], "b"),
        ([One("a", is_backup=True), One("b", standing=OUT)], "a"),
        ([One("a", is_backup=True, standing=OUT), One("b", standing=OUT, has_room=False)], "a"),
        ([One("a", has_room=False), One("b")], "b"),
        ([One("a", has_room=False)], Refusal.FULL),
        (
            [One("a", has_room=False), One("b", is_backup=True)],
            Refusal.FULL,
        ),  # busy is no reason for a backup
        ([One("a", has_room=False), One("b", standing=OUT)], Refusal.FULL),
        ([One("a", standing=OUT, has_room=False)], Refusal.FULL),
    ],
)
def test_who_may_be_asked(ones: list[One], expected: object) -> None:
    assert chosen(*ones) == expected


def test_round_robin_is_smooth() -> None:
    ones = [One("a", 5), One("b", 1), One("c", 1)]
    assert "".join(round_robin(ones).name for _ in range(14)) == "aabacaaaabacaa"


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_round_robin_gives_each_its_share(weights: list[int]) -> None:
    ones = [One(str(place), weight) for place, weight in enumerate(weights)]
    found = Counter(round_robin(ones).name for _ in range(3 * sum(weights)))
    assert found == {one.name: 3 * one.weight for one in ones}


def test_least_connections() -> None:
    ones = [One("a", 1, busy=2), One("b", 4, busy=4), One("c", 1, busy=1)]
    assert "".join(least_connections(ones).name for _ in range(5)) == "bbcbb"
    ones[1].busy = 5
    assert least_connections(ones).name == "c"


def test_two_choices_is_the_better_of_any_two() -> None:
    ones = [One("idle"), One("busy", busy=9)]
    assert {two_choices(ones).name for _ in range(50)} == {"idle"}


def test_two_choices_keeps_everybody_near_the_average() -> None:
    """100 000 requests that never end, over 100 servers: random alone gives the fullest some 100 too many."""
    ones = [One(str(place)) for place in range(100)]
    for _ in range(20_000):
        two_choices(ones).busy += 1
    assert max(one.busy for one in ones) <= 200 + 8


def test_idle_servers_are_drawn_by_weight() -> None:
    ones = [One("a", 3), One("b", 1)]
    found = Counter(two_choices(ones).name for _ in range(4000))
    assert 2700 < found["a"] < 3300


@pytest.mark.parametrize("name", PICKS)
def test_any_way_picks_one_of_them(name: str) -> None:
    ones = [One(str(place), weight=place + 1) for place in range(3)]
    for _ in range(20):
        PICKS[name](ones).busy += 1
    assert sum(one.busy for one in ones) == 20
    assert all(one.busy for one in ones)
