"""Which plots are drawn of results: CPU and requests a second of each scenario, and one of all together."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Results, Row
from benchmarks.plot import Bar, chart
from benchmarks.scenarios import SCENARIOS, Scenario

PARTS = (("front", "proxy"), ("pool", "application"), ("both", "both in one"))
# What the overview shows: each scenario's CPU as a part of the usual stack's.
OVERVIEW = (
    "hello", "browser", "various", "flask", "django", "post10k", "post1m", "answer100k", "closing",
    "static", "staticvarious", "static100k", "large", "unchanged",
)  # fmt: skip
MORE_OR_LESS = (("less", "Trivet needs less"), ("more", "Trivet needs more"))
FIGURES_ROOM = 190


def write(results: Results, folder: Path, subtitle: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in _all(results, subtitle):
        path = folder / f"{name}.svg"
        path.write_text(text)
        written.append(path)
    return written


def write_for_readme(results: Results, folder: Path, subtitle: str) -> list[Path]:
    """Two: all scenarios beside the usual stack, and one page by all stacks."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {"overview": _overview_chart(results, subtitle), "flask": _cpu_chart(results, "flask", subtitle)}
    for name, text in drawn.items():
        (folder / f"{name}.svg").write_text(text)
    return [folder / f"{name}.svg" for name in drawn]


def _all(results: Results, subtitle: str) -> Iterator[tuple[str, str]]:
    for scenario in SCENARIOS.values():
        rows = [row for row in results.rows(scenario.name) if results.spread(row, "cpu")]
        if len(rows) > 1:
            yield f"{scenario.name}-cpu", _cpu_chart(results, scenario.name, subtitle)
            title = f"{scenario.title}: {scenario.unit}s a second, more is better"
            bars = sorted((_rate(results, scenario, row) for row in rows), key=lambda bar: -bar.whole)
            yield f"{scenario.name}-rate", chart(title, subtitle, bars)
    if any(True for name in OVERVIEW for _ in _overview(results, SCENARIOS[name])):
        yield "overview", _overview_chart(results, subtitle)


def _cpu_chart(results: Results, name: str, subtitle: str) -> str:
    scenario = SCENARIOS[name]
    rows = [row for row in results.rows(name) if results.spread(row, "cpu")]
    bars = sorted((_cpu(results, scenario, row) for row in rows), key=lambda bar: bar.whole)
    title = f"{scenario.title}: CPU a {scenario.unit}, all processes; less is better"
    said = f"{subtitle}; x: relative to {scenario.baseline.replace('+', ' + ')}"
    return chart(title, said, bars, PARTS)


def _overview_chart(results: Results, subtitle: str) -> str:
    bars = [bar for name in OVERVIEW for bar in _overview(results, SCENARIOS[name])]
    title = "CPU a request, Trivet relative to nginx + gunicorn (files: to nginx); less is better"
    said = f"{subtitle}; dashed: as much as they need; in brackets: Trivet's and theirs"
    return chart(title, said, bars, MORE_OR_LESS, mark=1.0, room=FIGURES_ROOM)


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
    mine, base = Row(scenario.name, "trivet"), Row(scenario.name, scenario.baseline)
    ratio = results.ratio(mine, "cpu", base)
    if ratio is not None:
        ours, theirs = _median(results, mine, "cpu"), _median(results, base, "cpu")
        colour = "less" if ratio.median <= 1 else "more"
        said = f"{ratio.median:.2f} x  ({ours:.0f} : {theirs:.0f} µs)"
        yield Bar(scenario.title, ((colour, ratio.median),), said)


def _times(results: Results, scenario: Scenario, row: Row, figure: str) -> str:
    base = Row(scenario.name, scenario.baseline, row.log)
    ratio = results.ratio(row, figure, base) if row != base else None
    return f"  ({ratio.median:.2f} x)" if ratio else ""


def _median(results: Results, row: Row, figure: str) -> float:
    spread = results.spread(row, figure)
    return spread.median if spread else 0.0


def _is_ours(row: Row) -> bool:
    return row.stack == "trivet"
