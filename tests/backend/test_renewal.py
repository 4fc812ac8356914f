"""Which seats get a new worker, and how many at the same time."""

import pytest

from tests.backend.crews import release, seats, worker
from trivet_backend.renewal import at_once, due_seats, empty_seats


@pytest.mark.parametrize(("size", "most"), [(1, 1), (3, 1), (4, 1), (7, 1), (8, 2), (9, 2), (100, 25)])
def test_a_quarter_of_the_pool_and_at_least_one(size: int, most: int) -> None:
    assert at_once(size) == most
    found = seats(*(worker(number, tired="requests") for number in range(size)))
    assert len(due_seats(found, 0.0, 0)) == most


def test_empty_seats_are_filled_at_once_but_for_those_that_pause() -> None:
    found = seats(None, worker(1), None, None)
    found[2].opens_at = 5.0
    found[3].successor = worker(2)
    assert empty_seats(found, 4.9) == [found[0]]
    assert empty_seats(found, 5.0) == [found[0], found[2]]


def test_only_those_that_asked_are_due() -> None:
    found = seats(worker(1), None, worker(2, tired="memory"))
    assert due_seats(found, 0.0, 0) == [found[2]]


def test_those_on_the_way_in_and_out_count() -> None:
    found = seats(*(worker(number, tired="requests") for number in range(8)))
    found[0].successor = worker(20)
    assert due_seats(found, 0.0, 0) == [found[1]]
    assert due_seats(found, 0.0, 1) == []
    assert due_seats(found, 0.0, 5) == []


def test_a_seat_whose_successors_fail_waits_and_others_go_on() -> None:
    found = seats(worker(1, tired="requests"), worker(2, tired="requests"))
    found[0].opens_at = 5.0
    assert due_seats(found, 1.0, 0) == [found[1]]
    assert due_seats(found, 5.0, 0) == [found[0]]


def test_one_that_serves_no_more_is_replaced_whatever_else_goes_on() -> None:
    found = seats(
        worker(1, tired="requests"),
        worker(2, tired="timeout", is_absent=True),
        worker(3, tired="memory"),
        worker(4, tired="timeout", is_absent=True),
    )
    assert due_seats(found, 0.0, 0) == [found[1], found[3], found[0]]
    assert due_seats(found, 0.0, 3) == [found[1], found[3]]
    assert due_seats(found, 0.0, 0, is_rolling=True) == [found[1], found[3]]


def test_a_worker_with_a_slot_less_goes_before_one_that_is_merely_old() -> None:
    threads = release(threads=4)
    found = seats(worker(1, threads, tired="requests"), worker(2, threads, tired="timeout"))
    assert due_seats(found, 0.0, 0) == [found[1]]
