"""Sums of scheduler times, over threads, processes and control groups."""

from pathlib import Path

import pytest

from benchmarks.cgroup import seconds_of
from benchmarks.processes import busy_seconds, cpu_seconds, spent_between


def thread(proc: Path, pid: int, tid: int, nanoseconds: int) -> None:
    folder = proc / str(pid) / "task" / str(tid)
    folder.mkdir(parents=True)
    (folder / "schedstat").write_text(f"{nanoseconds} 5 7\n")


def test_all_threads_of_a_process_count(tmp_path: Path) -> None:
    thread(tmp_path, 10, 10, 1_500_000_000)
    thread(tmp_path, 10, 11, 250_000_000)
    thread(tmp_path, 20, 20, 1_000_000_000)
    (tmp_path / "10/task/12").mkdir()  # one that ends while we look
    assert cpu_seconds([10, 20, 30], tmp_path) == {10: 1.75, 20: 1.0}


def test_who_began_in_between_counts_whole_and_who_ended_not() -> None:
    assert spent_between({1: 2.0, 2: 5.0}, {1: 3.5, 3: 0.25}) == {1: 1.5, 3: 0.25}


def test_the_machine_is_busy_with_all_but_idling(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 20 30 4000 500 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    assert busy_seconds(stat) == pytest.approx(1.71)


@pytest.mark.parametrize(
    ("text", "seconds"), [("usage_usec 2500000\nuser_usec 2000000\n", 2.5), ("2500000000\n", 2.5)]
)
def test_control_groups_of_both_versions(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds
