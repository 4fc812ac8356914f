"""The goals: each can be measured by what there is, and says rightly whether it is reached."""

import pytest

from benchmarks.figures import NAMES, Results, Row, Sample
from benchmarks.goals import GOALS, Goal, cells
from benchmarks.scenarios import SCENARIOS
from benchmarks.stacks import STACKS


@pytest.mark.parametrize("cell", cells())
def test_each_cell_is_one_of_a_scenarios_stacks(cell: tuple[str, str]) -> None:
    scenario, stack = cell
    assert stack in SCENARIOS[scenario].stacks


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)
def test_each_scenario_names_stacks_that_exist_and_a_baseline(scenario: object) -> None:
    assert scenario.baseline in scenario.stacks  # type: ignore[attr-defined]
    assert set(scenario.stacks) <= set(STACKS)  # type: ignore[attr-defined]


def test_all_points_that_have_a_number_are_there() -> None:
    assert [goal.point for goal in GOALS] == sorted(goal.point for goal in GOALS)
    assert {goal.point for goal in GOALS} == set("123456789")
    assert all(goal.figure in NAMES for goal in GOALS)


def test_a_goal_compares_the_median_with_its_limit() -> None:
    found = Results()
    for stack, figures in (("trivet", {"cpu": 4.0, "rate": 30.0}), ("nginx", {"cpu": 10.0, "rate": 10.0})):
        found.samples.append(Sample(Row("a", stack), 1, figures))
    most = Goal("1", "cost", ("a", "trivet"), "cpu", 0.4, ("a", "nginx"))
    least = Goal("1", "speed", ("a", "trivet"), "rate", 3.1, ("a", "nginx"), is_least=True)
    assert (most.bound, least.bound) == ("at most 0.4 x", "at least 3.1 x")
    assert [goal.is_reached(goal.value(found).median) for goal in (most, least)] == [True, False]  # type: ignore[union-attr]


def test_a_goal_without_a_baseline_is_the_figure_itself() -> None:
    found = Results()
    found.samples.append(Sample(Row("start", "trivet"), 1, {"first": 0.5}))
    goal = Goal("9", "start", ("start", "trivet"), "first", 1.0)
    value = goal.value(found)
    assert value is not None
    assert (value.median, goal.bound) == (0.5, "at most 1 s")
