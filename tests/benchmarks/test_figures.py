"""Medians, spreads and ratios: taken within a round, and of nothing that an error voids."""

import pytest

from benchmarks.figures import Results, Row, Sample, Spread, percentile

OURS, THEIRS = Row("hello", "trivet"), Row("hello", "nginx+gunicorn")


def results(*rounds: tuple[float, float]) -> Results:
    found = Results()
    for number, (ours, theirs) in enumerate(rounds, 1):
        found.samples.append(Sample(OURS, number, {"cpu": ours}, notes=("a note",)))
        found.samples.append(Sample(THEIRS, number, {"cpu": theirs}))
    return found


def test_a_spread_is_median_least_and_most() -> None:
    found = results((30, 1), (10, 1), (20, 1))
    assert found.spread(OURS, "cpu") == Spread(20, 10, 30)
    assert found.spread(OURS, "rate") is None
    assert found.rows("hello") == [OURS, THEIRS]
    assert found.notes(OURS) == ["a note"]


def test_ratios_are_taken_within_each_round() -> None:
    """A machine that was slow in one round was slow for both."""
    found = results((10, 20), (100, 200), (11, 20))
    assert found.ratio(OURS, "cpu", THEIRS) == Spread(0.5, 0.5, 0.55)


def test_rounds_that_one_of_them_misses_do_not_count() -> None:
    found = results((10, 20))
    found.samples.append(Sample(OURS, 2, {"cpu": 99}))
    assert found.ratio(OURS, "cpu", THEIRS) == Spread(0.5, 0.5, 0.5)


def test_one_error_voids_the_row_and_every_ratio_with_it() -> None:
    found = results((10, 20), (10, 20))
    found.samples.append(Sample(THEIRS, 3, error="3 x status"))
    assert found.error(THEIRS) == "3 x status"
    assert found.spread(THEIRS, "cpu") is None
    assert found.ratio(OURS, "cpu", THEIRS) is None
    assert found.spread(OURS, "cpu") is not None


def test_another_figure_of_the_baseline_can_be_meant() -> None:
    found = Results()
    found.samples.append(Sample(OURS, 1, {"p99": 3.0, "p99_alone": 2.0}))
    assert found.ratio(OURS, "p99", OURS, "p99_alone") == Spread(1.5, 1.5, 1.5)


def test_with_and_without_a_log_are_two_rows() -> None:
    assert Row("hello", "trivet", log=False).label == "trivet, no log"
    assert Row("hello", "trivet", log=False) != OURS


@pytest.mark.parametrize(("part", "value"), [(0.5, 50), (0.99, 99), (0.999, 100), (0.0, 1), (1.0, 100)])
def test_percentiles_are_of_the_nearest_rank(part: float, value: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], part) == value
