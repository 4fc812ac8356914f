"""Which measurements a command line means."""

import pytest

from benchmarks.__main__ import _options, chosen, main
from benchmarks.figures import Row
from benchmarks.goals import cells
from benchmarks.readme import wanted
from benchmarks.scenarios import SCENARIOS


def rows(*arguments: str) -> list[Row]:
    return list(chosen(_options().parse_args(arguments)))


def test_without_a_name_all_is_measured() -> None:
    assert len(rows()) == sum(len(scenario.stacks) for scenario in SCENARIOS.values())


def test_names_and_stacks_narrow_it_down() -> None:
    assert rows("hello", "flask", "--stacks", "trivet,granian") == [
        Row("hello", "trivet"),
        Row("hello", "granian"),
        Row("flask", "trivet"),
        Row("flask", "granian"),
    ]


def test_goals_are_what_the_goals_need() -> None:
    assert {(row.scenario, row.stack) for row in rows("--goals")} == set(cells())


def test_both_logs_are_measured_one_after_the_other() -> None:
    found = rows("static", "--stacks", "trivet", "--access-log", "both")
    assert found == [Row("static", "trivet"), Row("static", "trivet", log=False)]


@pytest.mark.parametrize("arguments", [("nonsense",), ("hello", "--stacks", "apache")])
def test_unknown_names_are_refused(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        rows(*arguments)
    assert ended.value.code == 2
    assert "is unknown; there are" in capsys.readouterr().err.replace("unknown: apache", "apache is unknown")


def test_the_readme_is_made_of_all_that_it_shows() -> None:
    assert {(row.scenario, row.stack) for row in rows("--readme")} == set(wanted())


@pytest.mark.parametrize("more", [["hello"], ["--stacks", "trivet"], ["--access-log", "both"]])
def test_the_readme_is_not_made_of_a_part(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--readme", *more])
    assert "--rounds and --seconds only" in capsys.readouterr().err
