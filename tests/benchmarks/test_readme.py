"""The figures of README.md: made of a result, replaced between their marks, and honest about what is lost."""

from pathlib import Path

import pytest

from benchmarks import readme, record
from benchmarks.figures import Results, Row, Sample
from benchmarks.peers import ROOT
from benchmarks.record import Record
from benchmarks.scenarios import SCENARIOS

MACHINE = {
    "when": "2026-01-02T03:04:05+00:00", "commit": "abc1234", "processor": "a processor", "cores": 2,
    "kernel": "6.1", "system": "Debian 12", "python": {"version": "3.11.2", "optimised": "yes"},
    "versions": {"nginx": "1.22.1", "trivet": "0.1.0"}, "load_before": 0.1, "load_after": 2.0,
}  # fmt: skip
OTHERS = {"rate": 5000.0, "p50": 1.0, "p99": 2.0, "p999": 3.0, "pss": 40.0, "first": 0.2}


def run(load: float = 0.1) -> Record:
    """Flask is won, a small file lost, Django void, and granian needs less than both."""
    results = Results()
    for number in (1, 2, 3):
        for scenario, stack, cpu in (
            ("flask", "trivet", 200.0 + number), ("flask", "nginx+gunicorn", 400.0),
            ("flask", "granian", 150.0), ("django", "nginx+gunicorn", 900.0),
            ("static", "trivet", 40.0), ("static", "nginx", 20.0),
        ):  # fmt: skip
            figures = {**OTHERS, "cpu": cpu, "front": cpu / 2, "pool": cpu / 2, "rate": round(1e6 / cpu)}
            results.samples.append(Sample(Row(scenario, stack), number, figures, {"a process": 1.0}))
    results.samples.append(Sample(Row("django", "trivet"), 1, error="3 x status"))
    results.skipped[Row("hello", "caddysnake")] = "caddysnake: not installed"
    return Record(results, {**MACHINE, "load_before": load}, 3, 4.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/benchmarks.md"):
        (tmp_path / name).write_text(f"before\n\n{readme.BEGIN}\nold\n{readme.END}\n\nafter\n")
    return tmp_path


def published(root: Path, load: float = 0.1) -> str:
    readme.publish(run(load), Path("benchmarks/results/2026-01-02.json"), root)
    return (root / "README.md").read_text()


def test_a_block_is_replaced_between_its_marks_and_nothing_else(root: Path) -> None:
    once = published(root)
    assert once.startswith(f"before\n\n{readme.BEGIN}\nMeasured on 2026-01-02")
    assert once.endswith(f"{readme.END}\n\nafter\n")
    assert "old" not in once
    assert published(root) == once
    assert (root / "docs/benchmarks/overview.svg").exists()
    assert "![" in once


def test_a_file_without_marks_is_left_alone() -> None:
    with pytest.raises(SystemExit, match="no place for the figures"):
        readme.replaced("no marks here", "new")


def test_it_says_machine_versions_date_and_command(root: Path) -> None:
    said = published(root)
    for word in (
        "make bench-readme",
        "2 cores, a processor, kernel 6.1, Debian 12",
        "nginx 1.22.1",
        "abc1234",
    ):
        assert word in said
    assert "[2026-01-02.json](benchmarks/results/2026-01-02.json)" in said


def test_what_is_lost_is_named_and_what_is_won_is_not(root: Path) -> None:
    lost = published(root).split("**Where Trivet loses**")[1]
    assert "- More CPU a request than nginx: a file of 1 KiB (2.00 x)." in lost
    assert "- Flask, 14 bytes: 202 µs of CPU; less need granian (150 µs)." in lost
    assert "than nginx + gunicorn" not in lost


def test_goals_stand_beside_what_was_measured(root: Path) -> None:
    said = published(root)
    assert "3 of 17 goals are reached" in said
    assert (
        "| Flask: CPU of all, by nginx + gunicorn | at most 0.62 x | 0.51 (0.50 to 0.51) | reached |" in said
    )
    assert "| at most 1.3 x | 1.35 (1.34 to 1.35) | **not reached** |" in said
    assert "| First answer after | at most 1 s | not measured | |" in said


def test_a_void_row_is_shown_as_void(root: Path) -> None:
    assert "| Django: a template and a session | void: 3 x status |" in published(root)
    assert "| trivet | void: 3 x status |" in (root / "docs/benchmarks.md").read_text()


def test_figures_of_a_machine_that_was_not_quiet_are_provisional(root: Path) -> None:
    assert "provisional" not in published(root)
    assert "provisional" in published(root, load=1.7)


def test_what_is_shown_can_be_measured() -> None:
    for scenario, stack in readme.wanted():
        assert stack in SCENARIOS[scenario].stacks


def test_a_run_can_be_read_back(tmp_path: Path) -> None:
    record.write(run(), tmp_path / "new" / "run.json")
    again = record.read(tmp_path / "new" / "run.json")
    assert again.results.samples == run().results.samples
    assert again.results.skipped == run().results.skipped
    assert (again.machine, again.rounds, again.seconds) == (run().machine, 3, 4.0)
    record.write(run(), tmp_path / "run.json", with_shares=False)
    assert all(not sample.shares for sample in record.read(tmp_path / "run.json").results.samples)


def test_the_readme_shows_what_its_result_says() -> None:
    """Nobody has edited a figure, and nobody forgot to make them anew."""
    for name in ("README.md", "docs/benchmarks.md"):
        text = (ROOT / name).read_text()
        path = max(readme.RESULTS.glob("*.json"))
        lines = readme.lines_of(name, record.read(path), path)
        assert readme.replaced(text, "\n".join(lines)) == text
