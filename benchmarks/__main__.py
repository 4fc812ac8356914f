"""`python -m benchmarks [NAME ...]`: Trivet beside what a user could pick instead (docs/benchmarks.md).

Rounds go over all that was chosen, one stack after the other, so that what changes in the machine meets all.
Absolute times are the machine's; read the ratios.
"""

import argparse
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import goals, machine, peers, plots, readme, record, table
from benchmarks.figures import Results, Row
from benchmarks.launch import StartFailed
from benchmarks.measure import measure
from benchmarks.record import Record
from benchmarks.scenarios import SCENARIOS
from benchmarks.stacks import STACKS

OVERHEAD = 3.0  # seconds that a measurement takes beside its load: start, first answer, warming up, stop


def main(arguments: list[str]) -> int:
    parser = _options()
    options = parser.parse_args(arguments)
    if options.readme and (options.names or options.stacks or options.access_log != "on"):
        parser.error("--readme shows what it shows: it goes with --rounds and --seconds only")
    rows = list(chosen(options))
    found = peers.find(options.venv, options.python)
    for needed in ("wrk", "nginx"):
        if reason := found.missing((needed,)):
            raise SystemExit(reason)
    _raise_descriptor_limit()
    about = machine.describe(found)
    print("\n".join(machine.lines(about)))
    minutes = options.rounds * len(rows) * (options.seconds + OVERHEAD) / 60
    print(
        f"{len(rows)} measurements in each of {options.rounds} rounds: about {minutes:.0f} minutes",
        flush=True,
    )
    results = Results()
    try:
        run(results, rows, options.rounds, options.seconds, found)
    except KeyboardInterrupt:
        print("\nended early; what there is until here:", file=sys.stderr)
        options.readme = False  # half a run replaces no whole one
    about["load_after"] = os.getloadavg()[0]
    report(results, about, options)
    return 1 if any(results.error(row) for row in rows) else 0


def chosen(options: argparse.Namespace) -> Iterator[Row]:
    logs = {"on": (True,), "off": (False,), "both": (True, False)}[options.access_log]
    wanted = set(readme.wanted()) if options.readme else set(goals.cells()) if options.goals else None
    for name in options.names or SCENARIOS:
        for stack in SCENARIOS[name].stacks:
            if wanted is not None and (name, stack) not in wanted:
                continue
            if options.stacks and stack not in options.stacks:
                continue
            yield from (Row(name, stack, log) for log in logs)


def run(results: Results, rows: list[Row], rounds: int, seconds: float, found: peers.Peers) -> None:
    for round_ in range(1, rounds + 1):
        for number, row in enumerate(rows, 1):
            if row in results.skipped:
                continue
            try:
                sample = measure(SCENARIOS[row.scenario], row, round_, seconds, found)
            except StartFailed as error:
                results.skipped[row] = str(error)
                said = f"skipped: {error}"
            else:
                results.samples.append(sample)
                said = sample.error or ", ".join(
                    f"{name} {sample.figures[name]:.4g}"
                    for name in ("cpu", "rate", "p99")
                    if name in sample.figures
                )
            place = f"[{round_}/{rounds} {number}/{len(rows)}]"
            print(f"{place} {row.scenario} {row.label}: {said}", file=sys.stderr, flush=True)


def report(results: Results, about: dict[str, Any], options: argparse.Namespace) -> None:
    for scenario in SCENARIOS.values():
        if results.rows(scenario.name) or any(row.scenario == scenario.name for row in results.skipped):
            print("\n".join(table.scenario_lines(results, scenario, options.processes)))
    print("\n".join(table.goal_lines(results)))
    print(f"\nload after: {about['load_after']:.2f}")
    run = Record(results, about, options.rounds, options.seconds)
    if options.json:
        record.write(run, options.json)
    if options.readme:
        path = readme.RESULTS / f"{run.day}.json"
        record.write(run, path, with_shares=False)
        for file in [path, *readme.publish(record.read(path), path)]:
            print(f"wrote {file}", file=sys.stderr)
    if options.svg:
        python = about["python"]["version"]
        subtitle = f"{about['cores']} cores, Python {python}, {about['when'][:10]}, {options.rounds} rounds"
        for path in plots.write(results, options.svg, subtitle):
            print(f"wrote {path}", file=sys.stderr)


def _raise_descriptor_limit() -> None:
    """Eight thousand connections have two ends; servers inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Trivet beside its peers, as ratios."
    )
    add = parser.add_argument
    add(
        "names",
        nargs="*",
        type=_scenario,
        metavar="NAME",
        help=f"scenarios; without any, all: {' '.join(SCENARIOS)}",
    )
    add("--goals", action="store_true", help="only what the goals of issue 8 need, some minutes")
    add("--readme", action="store_true", help="what README.md shows; its plots and tables are made anew")
    add("--stacks", type=_stacks, default=(), help=f"with commas between, of: {' '.join(STACKS)}")
    add("--access-log", choices=("on", "off", "both"), default="on", help="to a file; default on")
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=4, help="of load in each measurement; wrk knows whole ones")
    add("--processes", action="store_true", help="show what each process took, too")
    add("--json", type=Path, metavar="FILE", help="all samples, the machine, the goals")
    add("--svg", type=Path, metavar="FOLDER", help="plots")
    add(
        "--venv",
        type=Path,
        metavar="FOLDER",
        help=f"where the peers are installed; default below {peers.CACHE}",
    )
    add("--python", type=Path, help=f"what that environment is made with; default {peers.SYSTEM_PYTHON}")
    return parser


def _scenario(name: str) -> str:
    if name not in SCENARIOS:
        raise argparse.ArgumentTypeError(f"{name} is unknown; there are {' '.join(SCENARIOS)}")
    return name


def _stacks(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, text.split(",")))
    if unknown := [name for name in names if name not in STACKS]:
        raise argparse.ArgumentTypeError(f"unknown: {' '.join(unknown)}; there are {' '.join(STACKS)}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
