"""`python -m benchmarks.readme RESULT.json`: the plots and the tables of README.md and docs/benchmarks.md.

They stand between two marks there and are made of one run's result alone, so that nobody can improve a figure
by hand. `python -m benchmarks --readme` measures what they show, and then does this, too.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import plots, record
from benchmarks.goals import Cell, cells
from benchmarks.machine import is_busy
from benchmarks.markdown import beside, full, goals, losses
from benchmarks.peers import ROOT
from benchmarks.record import Record
from benchmarks.scenarios import SCENARIOS

COMMAND = "make bench-readme"
RESULTS = ROOT / "benchmarks" / "results"
PLOTS = ROOT / "docs" / "benchmarks"
BEGIN, END = (
    "<!-- figures: made by benchmarks/readme.py of a result, never by hand -->",
    "<!-- figures end -->",
)
# Beside what the goals need. The scenarios with many stacks are those of the second plot and the full table.
SHOWN = {
    "hello": (
        "trivet-proxy+gunicorn", "nginx+trivet-pool", "nginx+gthread", "caddysnake", "caddy+gunicorn",
        "granian", "gunicorn", "waitress",
    ),
    "flask": ("nginx+gthread", "caddysnake", "granian"),
    "django": ("nginx+gthread", "granian"),
    "various": ("trivet", "nginx+gunicorn"),
    "post1m": ("trivet", "nginx+gunicorn"),
    "answer100k": ("trivet", "nginx+gunicorn"),
    "closing": ("trivet", "nginx+gunicorn"),
    "staticvarious": ("trivet", "nginx"),
    "unchanged": ("trivet", "nginx"),
    "idle": ("trivet", "nginx+gunicorn"),
    "wide": ("trivet", "nginx+gunicorn"),
    "start": ("trivet", "nginx+gunicorn"),
}  # fmt: skip
TOOLS = ("trivet", "py-spy")  # whose versions are no part of the comparison
FULL = ("hello", "flask", "django")


def wanted() -> list[Cell]:
    """What must be measured."""
    shown = [(scenario, stack) for scenario, stacks in SHOWN.items() for stack in stacks]
    return list(dict.fromkeys([*cells(), *shown]))


def publish(run: Record, path: Path, root: Path = ROOT) -> list[Path]:
    """Draws the plots and replaces the blocks; `path` is the result's file. Returns what was written."""
    written = plots.write_for_readme(run.results, root / PLOTS.relative_to(ROOT), _subtitle(run))
    for name in ("README.md", "docs/benchmarks.md"):
        file = root / name
        file.write_text(replaced(file.read_text(), "\n".join(lines_of(name, run, path))))
        written.append(file)
    return written


def lines_of(name: str, run: Record, path: Path) -> Iterator[str]:
    """What stands between the marks of this file."""
    return _short(run, path) if name == "README.md" else _long(run)


def replaced(text: str, block: str) -> str:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"there is no place for the figures: {BEGIN} ... {END}")
    return f"{before}{begin}\n{block}\n{end}{after}"


def _short(run: Record, path: Path) -> Iterator[str]:
    yield from _origin(run, path)
    folder = PLOTS.relative_to(ROOT)
    yield from ("", f"![CPU a request, Trivet beside the usual stack]({folder}/overview.svg)", "")
    yield from beside(run.results)
    yield from ("", f"![CPU a request of a Flask page, by stack]({folder}/flask.svg)", "")
    yield from goals(run.results)
    yield from ("", "**Where Trivet loses**, by this run:", "", *losses(run.results, FULL))


def _long(run: Record) -> Iterator[str]:
    """All stacks of some scenarios; where it comes from is said in the README."""
    yield f"Of the run of {run.day} that the README shows, with access log:"
    for name in FULL:
        yield from full(run.results, SCENARIOS[name])


def _origin(run: Record, path: Path) -> Iterator[str]:
    about = run.machine
    python, versions = about["python"], about["versions"]
    others = (f"{name} {versions[name]}" for name in sorted(versions) if name not in TOOLS)
    machine = f"{about['cores']} cores, {about['processor']}, kernel {about['kernel']}, {about['system']}"
    load = f"{about['load_before']:.2f} before, {about['load_after']:.2f} after"
    length = f"medians of {run.rounds} rounds of {run.seconds:g} s"
    yield f"Measured on {run.day} with `{COMMAND}`: {length}, access log on, 2 front processes and"
    yield "2 workers unless said otherwise, load generator and servers on the same cores."
    yield ""
    yield f"- Machine: {machine}; its load was {load}."
    yield f"- Python {python['version']}, optimised: {python['optimised']}. Trivet at {about['commit']}."
    yield f"- Beside it: {', '.join(others)}."
    yield f"- Every sample: [{path.name}](benchmarks/results/{path.name}). How to read and repeat it, and all"
    yield "  stacks: [docs/benchmarks.md](docs/benchmarks.md)."
    if is_busy(about):
        yield "\n**The machine was not quiet while this was measured: these figures are provisional.**"


def _subtitle(run: Record) -> str:
    about = run.machine
    return f"{about['cores']} cores, Python {about['python']['version']}, {run.day}, {run.rounds} rounds"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("which result? python -m benchmarks.readme benchmarks/results/....json")
    for file in publish(record.read(Path(sys.argv[1])), Path(sys.argv[1])):
        print(f"wrote {file}")
