"""The tables in which results are shown."""

from benchmarks.figures import Results, Row, Sample
from benchmarks.scenarios import SCENARIOS
from benchmarks.table import goal_lines, scenario_lines

FIGURES = {"cpu": 100.0, "rate": 5000.0, "p50": 1.0, "p99": 2.0, "p999": 3.0, "pss": 40.0, "others": 0.0}


def results() -> Results:
    found = Results()
    ours = {**FIGURES, "cpu": 50.0, "front": 30.0, "pool": 20.0, "others": 12.0}
    found.samples.append(Sample(Row("hello", "trivet"), 1, ours, {"trivet: proxy": 30.0}))
    found.samples.append(Sample(Row("hello", "nginx+gunicorn"), 1, FIGURES))
    found.samples.append(Sample(Row("hello", "granian"), 1, error="3 x status"))
    found.skipped[Row("hello", "caddysnake")] = "caddysnake: not installed"
    return found


def lines(with_shares: bool = False) -> dict[str, str]:
    said = list(scenario_lines(results(), SCENARIOS["hello"], with_shares))
    return {line.split()[0]: line for line in said if line.strip()}


def test_a_row_has_its_cost_and_its_ratio() -> None:
    ours = lines()["trivet"].split()
    assert ours[1:4] == ["50.0", "50.0-50.0", "0.50x"]
    assert ours[4:6] == ["30", "20"]
    assert "1.00x" in lines()["nginx+gunicorn"]


def test_void_and_skipped_rows_say_why() -> None:
    assert lines()["granian"].endswith("VOID: 3 x status")
    assert lines()["caddysnake"].endswith("skipped: caddysnake: not installed")


def test_a_row_that_others_disturbed_is_marked() -> None:
    assert lines()["DISTURBED:"].strip() == "DISTURBED: other processes took 12 % of the machine"


def test_shares_of_processes_are_shown_on_demand() -> None:
    assert "30.0" not in lines()
    assert lines(with_shares=True)["30.0"].endswith("us  trivet: proxy")


def test_goals_stand_beside_what_was_measured() -> None:
    said = list(goal_lines(results()))
    assert any("bare WSGI: CPU of all" in line and line.endswith("NOT REACHED") for line in said)
    assert any("at most 0.4 x" in line and " 0.50 (0.50-0.50)" in line for line in said)
    assert said[-1].endswith("were not measured")
