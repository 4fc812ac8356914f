"""Results as text: a table a scenario, then the goals, each with what was measured beside it."""

from collections.abc import Iterator

from benchmarks.figures import NAMES, Results, Row, Spread
from benchmarks.goals import GOALS
from benchmarks.scenarios import Scenario
from benchmarks.stacks import STACKS

# Others took more of the machine than this while a row was measured: its figures are suspect.
DISTURBED = 5.0  # per cent


def scenario_lines(results: Results, scenario: Scenario, with_shares: bool = False) -> Iterator[str]:
    rows = results.rows(scenario.name)
    skipped = {row: why for row, why in results.skipped.items() if row.scenario == scenario.name}
    yield ""
    yield _heading(scenario)
    if scenario.kind != "start" and rows:
        yield (
            f"  {'':28s} {'CPU, us':>7s} {'spread':>11s} {'':>6s}   {'front':>5s} {'pool':>5s}"
            f"   {'a second':>8s} {'':>6s}   {'p50':>6s} {'p99':>6s} {'p99.9 ms':>8s}   {'PSS, MiB':>8s}"
        )
    for row in rows:
        if error := results.error(row):
            yield f"  {row.label:28s} VOID: {error}"
            continue
        base = Row(scenario.name, scenario.baseline, row.log)
        yield f"  {row.label:28s}" + (
            _start(results, row) if scenario.kind == "start" else _load(results, row, base)
        )
        yield from _remarks(results, row)
        if with_shares:
            for who, cost in sorted(results.shares(row).items(), key=lambda item: -item[1])[:8]:
                yield f"      {cost:8.1f} us  {who}"
    for row, why in skipped.items():
        yield f"  {row.label:28s} skipped: {why}"


def goal_lines(results: Results) -> Iterator[str]:
    yield ""
    yield "Goals of issue 8 (medians of the rounds' ratios, least and most)"
    measured = [(goal, value) for goal in GOALS if (value := goal.value(results)) is not None]
    for goal, value in measured:
        verdict = "reached" if goal.is_reached(value.median) else "NOT REACHED"
        spread = f"{value.median:6.2f} ({value.least:.2f}-{value.most:.2f})"
        yield f"  {goal.point:>2s}  {goal.text:50s} {goal.bound:16s} {spread}  {verdict}"
    if len(measured) < len(GOALS):
        yield f"  {len(GOALS) - len(measured)} were not measured"


def _heading(scenario: Scenario) -> str:
    parts = [f"{scenario.asked.connections} connections"] if scenario.kind != "events" else []
    parts += [f"{scenario.processes} front processes", f"{scenario.workers} workers"]
    return f"{scenario.name}: {scenario.title} ({', '.join(parts)})"


def _load(results: Results, row: Row, base: Row) -> str:
    cpu, rate = results.spread(row, "cpu"), results.spread(row, "rate")
    if cpu is None or rate is None:
        return " nothing was measured"
    by_cpu, by_rate = results.ratio(row, "cpu", base), results.ratio(row, "rate", base)
    p50, p99, p999, pss = (_median(results.spread(row, figure)) for figure in ("p50", "p99", "p999", "pss"))
    front, pool = (_part(results.spread(row, figure)) for figure in ("front", "pool"))
    digits = 0 if cpu.median >= 100 else 1
    spread = f"{cpu.least:.{digits}f}-{cpu.most:.{digits}f}"
    return (
        f" {cpu.median:7.{digits}f} {spread:>11s} {_times(by_cpu)}   {front} {pool}"
        f"   {rate.median:8.0f} {_times(by_rate)}   {p50:6.1f} {p99:6.1f} {p999:8.1f}   {pss:8.1f}"
    )


def _start(results: Results, row: Row) -> str:
    first, pss = results.spread(row, "first"), results.spread(row, "pss")
    return f" first answer after {_median(first):.2f} s, {_median(pss):.1f} MiB in memory"


def _remarks(results: Results, row: Row) -> Iterator[str]:
    if note := STACKS[row.stack].note:
        yield f"      {note}"
    for figure in ("idle", "p99_alone", "grown"):
        if (value := results.spread(row, figure)) is not None:
            name, unit, digits = NAMES[figure]
            yield f"      {name}: {value.median:.{digits}f} {unit}"
    yield from (f"      note: {note}" for note in results.notes(row))
    others = results.spread(row, "others")
    if others is not None and others.median > DISTURBED:
        yield f"      DISTURBED: other processes took {others.median:.0f} % of the machine"


def _part(spread: Spread | None) -> str:
    """Where proxy and application are one program, there are no parts."""
    return f"{spread.median:5.0f}" if spread else f"{'':5s}"


def _median(spread: Spread | None) -> float:
    return spread.median if spread else 0.0


def _times(spread: Spread | None) -> str:
    return f"{spread.median:5.2f}x" if spread else f"{'':6s}"
