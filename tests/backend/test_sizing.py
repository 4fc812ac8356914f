"""When a pool grows, when it shrinks, and when it does neither."""

import pytest

from trivet_backend.sizing import WINDOW, Flow, Sample, Sizing
from trivet_common.config.settings import Workers
from trivet_common.pool.queue_board import QueueCounts, QueueView


class Pool:
    """Ticks of 0.2 s with four slots a worker."""

    def __init__(self, least: int = 2, most: int = 4, *, idle: float = 10.0) -> None:
        self.sizing = Sizing(Workers(least, most, wait=0.05, idle=idle))
        self.size = least
        self.now = 0.0
        self.changes: list[tuple[float, int]] = []

    def run(
        self,
        seconds: float,
        *,
        claims: int = 20,
        late: int = 0,
        oldest: float = 0.0,
        busy: int = 0,
        is_settled: bool = True,
    ) -> int:
        """Returns the sum of the changes."""
        before = self.size
        for _ in range(round(seconds / 0.2)):
            self.now += 0.2
            sample = Sample(self.now, claims, late, oldest, busy, self.size * 4)
            change = self.sizing.decide(sample, self.size, is_settled=is_settled)
            if change:
                self.size += change
                self.changes.append((round(self.now, 1), self.size))
        return self.size - before


def test_late_requests_make_it_grow_one_by_one_up_to_max() -> None:
    pool = Pool()
    assert pool.run(1, late=2) == 0
    assert pool.run(0.2, late=2) == 1
    assert pool.run(1, late=2) == 0  # the effect is waited for
    assert pool.run(10, late=2) == 1
    assert pool.size == 4


def test_one_in_twenty_may_be_late() -> None:
    pool = Pool()
    assert pool.run(WINDOW * 3, claims=20, late=1) == 0


def test_who_waits_long_while_nobody_is_served_is_need_too() -> None:
    pool = Pool()
    assert pool.run(1, claims=0, oldest=0.9) == 0
    assert pool.run(0.2, claims=0, oldest=1.1) == 1


def test_what_is_older_than_the_window_counts_no_more() -> None:
    pool = Pool()
    pool.run(0.2, late=5, is_settled=False)
    pool.run(WINDOW + 0.2, claims=0, is_settled=False)
    assert pool.run(0.2, claims=0) == 0


def test_it_waits_until_the_last_change_is_done() -> None:
    pool = Pool()
    assert pool.run(5, late=5, is_settled=False) == 0
    assert pool.run(0.2, late=5) == 1


def test_it_shrinks_one_by_one_after_so_long_without_need() -> None:
    pool = Pool(2, 4)
    pool.run(4, late=5)
    assert pool.size == 4
    pool.changes.clear()
    assert pool.run(9, busy=4) == 0
    assert pool.run(14, busy=4) == -2
    (first, _), (second, _) = pool.changes
    assert second - first == pytest.approx(10, abs=0.3)
    assert pool.run(60, busy=0) == 0
    assert pool.size == 2


def test_a_moment_of_need_begins_the_wait_anew() -> None:
    pool = Pool(2, 4)
    pool.run(4, late=5)
    pool.run(WINDOW)
    pool.run(6, busy=0)
    pool.run(0.2, busy=13)  # more than three workers could have run
    assert pool.run(9, busy=0) == 0
    assert pool.run(2, busy=0) == -1


def test_memory_bounds_the_growth() -> None:
    sizing = Sizing(Workers(1, 8, memory=1000))
    assert sizing.has_room(800, 4)
    assert not sizing.has_room(801, 4)
    assert Sizing(Workers(1, 8)).has_room(10**12, 4)


def view(process: int, pid: int, claims: int, late: int, waiting: int = 0, since: int = 0) -> QueueView:
    return QueueView(process, pid, waiting, since, QueueCounts(claims=claims, late=late))


def test_flow_is_what_was_counted_between_two_looks() -> None:
    flow = Flow()
    assert flow.since_last([view(0, 10, 500, 50)], 0) == (0, 0, 0.0)  # the past
    assert flow.since_last([view(0, 10, 510, 51), view(1, 11, 7, 2)], 0) == (17, 3, 0.0)
    # A process that follows another begins at 0; one that counts backwards has nothing to say.
    assert flow.since_last([view(0, 12, 3, 1), view(1, 11, 1, 0)], 0) == (3, 1, 0.0)


def test_what_could_not_be_read_once_is_not_new_the_next_time() -> None:
    flow = Flow()
    flow.since_last([view(0, 10, 500, 50)], 0)
    assert flow.since_last([], 0) == (0, 0, 0.0)
    assert flow.since_last([view(0, 10, 501, 50)], 0) == (1, 0, 0.0)


def test_the_oldest_of_all_queues_is_the_oldest() -> None:
    now = 10_000_000_000
    views = [view(0, 1, 0, 0, 2, now - 500_000_000), view(1, 2, 0, 0, 1, now - 2_000_000_000)]
    assert Flow().since_last([*views, view(2, 3, 0, 0, 0, 1)], now) == (0, 0, 2.0)
