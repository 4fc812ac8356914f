"""Which server is next: plain decisions over numbers. Knows no connection, no clock and no request.

Two choices is Mitzenmacher's (2001): the better of two drawn at random is nearly as good as the best of all,
and processes that know nothing of each other do not all run to the same one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, Protocol, TypeVar

from .ejection import Standing


class Candidate(Protocol):
    """A server, as far as it matters here."""

    weight: int
    busy: int  # requests under way
    credit: int  # a number of its own for round robin

    @property
    def is_backup(self) -> bool: ...
    @property
    def has_room(self) -> bool: ...


class Refusal(Enum):
    """Why there is no server now."""

    FULL = "those that could be asked have no connection left: wait"
    NONE = "there is none that was not asked already"


One = TypeVar("One", bound=Candidate)
Pick = Callable[[Sequence[One]], One]


def choose(candidates: Iterable[One], standing: Callable[[One], Standing], pick: Pick[One]) -> One | Refusal:
    """Of those not asked yet. Backups come after all others are out; once all are out, all are tried.

    Nobody goes to a backup because the others are merely busy: that is what the queue is for.
    """
    ordinary: list[One] = []
    backups: list[One] = []
    out: list[One] = []
    for one in candidates:
        if standing(one) is Standing.OUT:
            out.append(one)
        else:
            (backups if one.is_backup else ordinary).append(one)
    left = ordinary or backups or out
    if not left:
        return Refusal.NONE
    free = [one for one in left if one.has_room]
    if not free:
        return Refusal.FULL
    return free[0] if len(free) == 1 else pick(free)


def two_choices(candidates: Sequence[One]) -> One:
    """Of two drawn by weight the one with less to do for its weight; the first where both have the same."""
    first = _draw(candidates)
    second = _draw([one for one in candidates if one is not first])
    return second if second.busy * first.weight < first.busy * second.weight else first


def round_robin(candidates: Sequence[One]) -> One:
    """By weight, and evenly spread: nginx's smooth way (5, 1, 1 is a a b a c a a, not a a a a a b c)."""
    total = 0
    for one in candidates:
        one.credit += one.weight
        total += one.weight
    best = max(candidates, key=lambda one: one.credit)
    best.credit -= total
    return best


def least_connections(candidates: Sequence[One]) -> One:
    """The one with the least to do for its weight; of those alike each in turn."""
    least = min(one.busy / one.weight for one in candidates)
    return round_robin([one for one in candidates if one.busy / one.weight == least])


PICKS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "two_choices": two_choices,
    "round_robin": round_robin,
    "least_connections": least_connections,
}


def _draw(candidates: Sequence[One]) -> One:
    mark = random.random() * sum(one.weight for one in candidates)
    for one in candidates:
        mark -= one.weight
        if mark < 0:
            return one
    return candidates[-1]
