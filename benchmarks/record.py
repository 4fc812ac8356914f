"""A run as a JSON file and back: the machine, every sample, the goals as they were then."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Results, Row, Sample
from benchmarks.goals import GOALS


@dataclass(frozen=True)
class Record:
    results: Results
    machine: dict[str, Any]
    rounds: int
    seconds: float

    @property
    def day(self) -> str:
        return str(self.machine["when"])[:10]


def write(record: Record, path: Path, with_shares: bool = True) -> None:
    """A line a sample: a file that is kept in the repository shows what has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_lines(record, with_shares)) + "\n")


def read(path: Path) -> Record:
    """Raises OSError, ValueError or KeyError for what `write` has not written."""
    found = json.loads(path.read_text())
    results = Results()
    for each in found["samples"]:
        row, figures, notes = Row(**each["row"]), each["figures"], tuple(each["notes"])
        results.samples.append(Sample(row, each["round"], figures, each["shares"], notes, each["error"]))
    for each in found["skipped"]:
        results.skipped[Row(each["scenario"], each["stack"], each["log"])] = each["why"]
    return Record(results, found["machine"], found["rounds"], found["seconds"])


def _lines(record: Record, with_shares: bool) -> Iterator[str]:
    results = record.results
    yield "{"
    yield f'"machine": {json.dumps(record.machine, indent=1)},'
    yield f'"rounds": {record.rounds}, "seconds": {record.seconds},'
    yield f'"samples": [\n{_each(_of_sample(sample, with_shares) for sample in results.samples)}\n],'
    skipped = ({**asdict(row), "why": why} for row, why in results.skipped.items())
    yield f'"skipped": [\n{_each(skipped)}\n],'
    yield f'"goals": [\n{_each(_of_goals(results))}\n]'
    yield "}"


def _each(values: Iterator[dict[str, Any]]) -> str:
    return ",\n".join(json.dumps(value) for value in values)


def _of_sample(sample: Sample, with_shares: bool) -> dict[str, Any]:
    figures = {name: float(f"{value:.5g}") for name, value in sample.figures.items()}
    shares = {who: round(cost, 1) for who, cost in sample.shares.items()} if with_shares else {}
    return {**asdict(sample), "figures": figures, "shares": shares}


def _of_goals(results: Results) -> Iterator[dict[str, Any]]:
    for goal in GOALS:
        value = goal.value(results)
        yield {
            "point": goal.point, "text": goal.text, "bound": goal.bound,
            "value": asdict(value) if value else None,
            "reached": goal.is_reached(value.median) if value else None,
        }  # fmt: skip
