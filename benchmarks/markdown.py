"""Results as Markdown: Trivet beside the usual stack, the goals, where it loses, all stacks of a scenario."""

from collections.abc import Iterator

from benchmarks.figures import Results, Row, Spread
from benchmarks.goals import GOALS, Goal
from benchmarks.scenarios import SCENARIOS, Scenario

OURS = "trivet"
PROPER = ("Flask", "Django", "POST")  # names, also within a sentence


def beside(results: Results) -> Iterator[str]:
    """Trivet and each scenario's baseline: CPU, speed, latency."""
    yield "| | CPU a request: Trivet | the usual stack | | requests a second | | p99 | |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for scenario in SCENARIOS.values():
        mine, base = Row(scenario.name, OURS), Row(scenario.name, scenario.baseline)
        if scenario.kind == "start" or not {mine, base} <= set(results.rows(scenario.name)):
            continue
        if error := results.error(mine) or results.error(base):
            yield f"| {scenario.title} | void: {error} | | | | | | |"
            continue
        cpu, rate = results.ratio(mine, "cpu", base), results.ratio(mine, "rate", base)
        yield (
            f"| {scenario.title} | {_value(results, mine, 'cpu')} µs"
            f" | {_pretty(scenario.baseline)}: {_value(results, base, 'cpu')} µs | {_times(cpu)}"
            f" | {_value(results, mine, 'rate')} | {_times(rate)}"
            f" | {_value(results, mine, 'p99')} ms | {_value(results, base, 'p99')} ms |"
        )
    yield ""
    yield "x: Trivet's figure by that of the usual stack; less is better for CPU, more for requests a second."
    yield "The last column is the usual stack's p99."


def goals(results: Results) -> Iterator[str]:
    measured = [(goal, value) for goal in GOALS if (value := goal.value(results)) is not None]
    reached = sum(goal.is_reached(value.median) for goal, value in measured)
    yield f"**What was aimed at, and what is**: {reached} of {len(GOALS)} goals are reached."
    yield ""
    yield "| Goal | | Measured | |"
    yield "|---|--:|--:|---|"
    for goal, value in measured:
        verdict = "reached" if goal.is_reached(value.median) else "**not reached**"
        yield f"| {_said_of(goal)} | {goal.bound} | {_spread(value)} | {verdict} |"
    for goal in GOALS:
        if goal.value(results) is None:
            yield f"| {_said_of(goal)} | {goal.bound} | not measured | |"


def _said_of(goal: Goal) -> str:
    said = f"{goal.text[0].upper()}{goal.text[1:]}"
    if goal.base is None or " by " in goal.text:
        return said
    return f"{said}, by {_pretty(goal.base[1])}"


def losses(results: Results, names: tuple[str, ...]) -> Iterator[str]:
    lost: dict[tuple[str, str], list[str]] = {}
    for scenario in SCENARIOS.values():
        mine, base = Row(scenario.name, OURS), Row(scenario.name, scenario.baseline)
        for figure, what in (("cpu", "more CPU a request"), ("rate", "fewer requests a second")):
            ratio = results.ratio(mine, figure, base)
            if ratio is not None and (ratio.median > 1 if figure == "cpu" else ratio.median < 1):
                key = (what, _pretty(scenario.baseline))
                lost.setdefault(key, []).append(f"{_small(scenario.title)} ({_times(ratio)})")
    for (what, whose), where in lost.items():
        yield f"- {what[0].upper()}{what[1:]} than {whose}: {', '.join(where)}."
    yield from _cheaper_stacks(results, names)
    yield from _heavier(results)


def _cheaper_stacks(results: Results, names: tuple[str, ...]) -> Iterator[str]:
    """Of those that are not a baseline, too: whoever needs less for the same page."""
    for name in names:
        mine = results.spread(Row(name, OURS), "cpu")
        found = [(row, results.spread(row, "cpu")) for row in results.rows(name) if OURS not in row.stack]
        cheaper = sorted((cpu.median, row) for row, cpu in found if cpu and mine and cpu.median < mine.median)
        if cheaper and mine:
            said = (f"{_pretty(row.stack)} ({_digits(cpu)} µs)" for cpu, row in cheaper)
            yield f"- {SCENARIOS[name].title}: {_digits(mine.median)} µs of CPU; less need {', '.join(said)}."


def _heavier(results: Results) -> Iterator[str]:
    mine, base = Row("start", OURS), Row("start", SCENARIOS["start"].baseline)
    for figure, what, unit in (
        ("pss", "memory after the start", "MiB"),
        ("first", "to the first answer", "s"),
    ):
        ratio = results.ratio(mine, figure, base)
        if ratio is not None and ratio.median > 1:
            ours, theirs = (f"{_value(results, row, figure)} {unit}" for row in (mine, base))
            said = f"{what[0].upper()}{what[1:]}, one front process and two workers"
            yield f"- {said}: {ours}, {_pretty(base.stack)} {theirs}."


def full(results: Results, scenario: Scenario) -> Iterator[str]:
    yield from ("", f"**{scenario.title}**", "")
    yield "| | CPU a request | | of it front | application | requests a second | p50 | p99 | p99.9 | PSS |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for row in sorted(results.rows(scenario.name), key=lambda row: _median(results, row, "cpu")):
        if error := results.error(row):
            yield f"| {_pretty(row.stack)} | void: {error} | | | | | | | | |"
            continue
        ratio = results.ratio(row, "cpu", Row(scenario.name, scenario.baseline))
        times = [f"{_value(results, row, figure)} ms" for figure in ("p50", "p99", "p999")]
        parts = [_value(results, row, part) for part in ("front", "pool")]
        figures = [
            f"{_value(results, row, 'cpu')} µs", _times(ratio), *(part and f"{part} µs" for part in parts),
            _value(results, row, "rate"), *times, f"{_value(results, row, 'pss')} MiB",
        ]  # fmt: skip
        yield f"| {_pretty(row.stack)} | {' | '.join(figures)} |"


def _median(results: Results, row: Row, figure: str) -> float:
    spread = results.spread(row, figure)
    return spread.median if spread else 0.0


def _value(results: Results, row: Row, figure: str) -> str:
    spread = results.spread(row, figure)
    return _digits(spread.median) if spread else ""


def _digits(value: float) -> str:
    """Three that count."""
    if value >= 1000:
        return f"{round(value):,}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _spread(value: Spread) -> str:
    return f"{value.median:.2f} ({value.least:.2f} to {value.most:.2f})"


def _times(ratio: Spread | None) -> str:
    return f"{ratio.median:.2f} x" if ratio else ""


def _pretty(stack: str) -> str:
    return stack.replace("+", " + ")


def _small(title: str) -> str:
    """A title within a sentence."""
    return title if title.startswith(PROPER) else title[0].lower() + title[1:]
