"""Which plots are drawn of results: CPU and requests a second of each scenario, and one of all together."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Results, Row
from benchmarks.plot import Bar, chart
from benchmarks.scenarios import SCENARIOS, Scenario

PARTS = (("front", "proxy"), ("pool", "application"), ("both", "both in one"))
# What the overview shows: each scenario's CPU as a part of the usual stack's.
OVERVIEW = ("hello", "flask", "django", "browser", "post10k", "answer100k", "static", "static100k", "large")


def write(results: Results, folder: Path, subtitle: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in _all(results, subtitle):
        path = folder / f"{name}.svg"
        path.write_text(text)
        written.append(path)
    return written


def _all(results: Results, subtitle: str) -> Iterator[tuple[str, str]]:
    for scenario in SCENARIOS.values():
        rows = [row for row in results.rows(scenario.name) if results.spread(row, "cpu")]
        if len(rows) > 1:
            title = f"{scenario.title}: CPU of all server processes a {scenario.unit}, less is better"
            bars = sorted((_cpu(results, scenario, row) for row in rows), key=lambda bar: bar.whole)
            yield f"{scenario.name}-cpu", chart(title, subtitle, bars, PARTS)
            title = f"{scenario.title}: {scenario.unit}s a second, more is better"
            bars = sorted((_rate(results, scenario, row) for row in rows), key=lambda bar: -bar.whole)
            yield f"{scenario.name}-rate", chart(title, subtitle, bars)
    bars = [bar for name in OVERVIEW for bar in _overview(results, SCENARIOS[name])]
    if bars:
        title = "CPU of all Trivet by that of nginx + gunicorn (files: nginx), less is better"
        yield "overview", chart(title, subtitle, bars, mark=1.0)


def _cpu(results: Results, scenario: Scenario, row: Row) -> Bar:
    """Front and pool as measured by process, scaled to the whole, which knows ended ones too."""
    whole = _median(results, row, "cpu")
    front, pool = _median(results, row, "front"), _median(results, row, "pool")
    parts: tuple[tuple[str, float], ...] = (("both", whole),)
    if front + pool:
        scale = whole / (front + pool)
        parts = (("front", front * scale), ("pool", pool * scale))
    said = f"{whole:.0f} µs{_times(results, scenario, row, 'cpu')}"
    return Bar(row.label, parts, said, _is_ours(row))


def _rate(results: Results, scenario: Scenario, row: Row) -> Bar:
    rate = _median(results, row, "rate")
    said = f"{rate:.0f}{_times(results, scenario, row, 'rate')}"
    return Bar(row.label, (("front", rate),), said, _is_ours(row))


def _overview(results: Results, scenario: Scenario) -> Iterator[Bar]:
    ratio = results.ratio(Row(scenario.name, "trivet"), "cpu", Row(scenario.name, scenario.baseline))
    if ratio is not None:
        yield Bar(scenario.title, (("front", ratio.median),), f"{ratio.median:.2f} x")


def _times(results: Results, scenario: Scenario, row: Row, figure: str) -> str:
    base = Row(scenario.name, scenario.baseline, row.log)
    ratio = results.ratio(row, figure, base) if row != base else None
    return f"  ({ratio.median:.2f} x)" if ratio else ""


def _median(results: Results, row: Row, figure: str) -> float:
    spread = results.spread(row, figure)
    return spread.median if spread else 0.0


def _is_ours(row: Row) -> bool:
    return row.stack == "trivet"
