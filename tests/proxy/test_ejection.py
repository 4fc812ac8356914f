"""upstreams/ejection.py: a server's standing as failures and time go by."""

from hypothesis import given
from hypothesis import strategies as st

from trivet_proxy.upstreams.ejection import Ejection, Standing

IN, TRIAL, OUT = Standing.IN, Standing.TRIAL, Standing.OUT


def fail(ejection: Ejection, times: int, now: float) -> bool:
    return [ejection.note_failure(now) for _ in range(times)][-1]


def test_out_after_so_many_failures_in_a_row() -> None:
    ejection = Ejection(3)
    assert not fail(ejection, 2, 0)
    ejection.note_success()
    assert not fail(ejection, 2, 0)
    assert ejection.standing(0) is IN
    assert fail(ejection, 1, 0)
    assert ejection.standing(0.9) is OUT
    assert ejection.standing(1.0) is TRIAL


def test_one_request_a_pause_tries_it_and_pauses_grow_up_to_a_minute() -> None:
    ejection, now = Ejection(1), 0.0
    ejection.note_failure(now)
    pauses = []
    for _ in range(9):
        since = now
        while ejection.standing(now) is OUT:
            now += 0.5
        ejection.begin(now)
        assert ejection.standing(now) is OUT  # nobody follows while it is being tried
        assert not ejection.note_failure(now)
        pauses.append(now - since)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_one_success_and_it_is_back() -> None:
    ejection = Ejection(1)
    ejection.note_failure(0)
    ejection.begin(5)
    assert ejection.note_success()
    assert not ejection.note_success()
    assert ejection.standing(5) is IN
    ejection.note_failure(6)
    assert ejection.standing(7) is TRIAL  # the first pause is a second again


def test_failures_of_requests_that_were_under_way_add_nothing() -> None:
    ejection = Ejection(3)
    assert fail(ejection, 3, 0)
    assert not fail(ejection, 100, 0.1)
    assert ejection.standing(1.0) is TRIAL


def test_never() -> None:
    ejection = Ejection(None)
    assert not fail(ejection, 100, 0)
    assert ejection.standing(0) is IN


@given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from("fsb"), st.floats(0, 100)), max_size=60))
def test_it_always_comes_back(fall: int, events: list[tuple[str, float]]) -> None:
    ejection, now = Ejection(fall), 0.0
    for what, later in events:
        now += later
        {"f": ejection.note_failure, "b": ejection.begin, "s": lambda _: ejection.note_success()}[what](now)
    assert ejection.standing(now + 60) is not OUT
