"""Figures of single measurements, and what is made of them: medians over rounds, ratios within each round."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

# What each figure is called, its unit, and the digits behind the point.
NAMES = {
    "cpu": ("CPU", "us", 0),
    "front": ("front", "us", 0),
    "pool": ("pool", "us", 0),
    "rate": ("a second", "", 0),
    "p50": ("p50", "ms", 1),
    "p99": ("p99", "ms", 1),
    "p999": ("p99.9", "ms", 1),
    "pss": ("PSS", "MiB", 1),
    "grown": ("the front's memory grew by", "KiB", 0),
    "idle": ("memory of an idle connection in the front", "KiB", 1),
    "p99_alone": ("p99 without them", "ms", 1),
    "first": ("first answer after", "s", 2),
    "others": ("CPU taken by others", "%", 0),
}


@dataclass(frozen=True)
class Row:
    """Which measurement: the same in every round."""

    scenario: str
    stack: str
    log: bool = True

    @property
    def label(self) -> str:
        return self.stack if self.log else f"{self.stack}, no log"


@dataclass(frozen=True)
class Sample:
    """One measurement. An error voids it: no figure of it counts."""

    row: Row
    round: int
    figures: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)  # microseconds of CPU each, by process
    notes: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and their extremes."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        known = list(values)
        return cls(statistics.median(known), min(known), max(known)) if known else None


class Results:
    """All samples so far. A row with one void sample is void as a whole."""

    __slots__ = ("samples", "skipped")

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.skipped: dict[Row, str] = {}  # and why

    def __repr__(self) -> str:
        return f"<Results {len(self.samples)} samples, {len(self.skipped)} rows skipped>"

    def rows(self, scenario: str) -> list[Row]:
        """Those that were measured or tried, in the order of the first time."""
        return list(dict.fromkeys(sample.row for sample in self.samples if sample.row.scenario == scenario))

    def error(self, row: Row) -> str:
        return next((sample.error for sample in self.samples if sample.row == row and sample.error), "")

    def spread(self, row: Row, figure: str) -> Spread | None:
        if self.error(row):
            return None
        return Spread.of(self._by_round(row, figure).values())

    def ratio(self, row: Row, figure: str, base: Row, base_figure: str | None = None) -> Spread | None:
        """Each round's figure by that of the baseline in the same round; then the median of these."""
        if self.error(row) or self.error(base):
            return None
        mine, theirs = self._by_round(row, figure), self._by_round(base, base_figure or figure)
        return Spread.of(mine[each] / theirs[each] for each in mine if theirs.get(each))

    def shares(self, row: Row) -> dict[str, float]:
        """Of the last round: which process took how much."""
        return next((sample.shares for sample in reversed(self.samples) if sample.row == row), {})

    def notes(self, row: Row) -> list[str]:
        return list(
            dict.fromkeys(note for sample in self.samples if sample.row == row for note in sample.notes)
        )

    def _by_round(self, row: Row, figure: str) -> dict[int, float]:
        return {
            sample.round: sample.figures[figure]
            for sample in self.samples
            if sample.row == row and figure in sample.figures
        }


def percentile(values: list[float], part: float) -> float:
    """The smallest value that `part` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-part * len(ordered) // 1) - 1))]
