"""`trivet status`: asks the masters of a run directory and shows what they say, as a page or as JSON.

Once, or again every second until Ctrl-C. What the page looks like is page.py's.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trivet_common.asking import ControlError, ask

from . import page, running
from .page import Answer, Row
from .refusal import GOOD, Refusal

if TYPE_CHECKING:
    from rich.console import Group

# Seconds for each master: its loop is never busy for long.
TIMEOUT = 5.0
# Seconds between two looks.
EVERY = 1.0


def show(asked: str, run_dir: Path, *, as_json: bool) -> int:
    """Ask and print. Raises Refusal when nothing answers."""
    told = collect(asked, run_dir)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _print(told)
    return GOOD


def watch(asked: str, run_dir: Path, *, as_json: bool, rest: Callable[[float], None] = time.sleep) -> int:
    """Show it anew every second until Ctrl-C; as JSON a line each. Raises Refusal if nothing answers now."""
    told = collect(asked, run_dir)
    try:
        if as_json:
            _repeat(asked, run_dir, told, rest, lambda told: click.echo(json.dumps(told, ensure_ascii=False)))
        elif sys.stdout.isatty():
            _watch_live(asked, run_dir, told, rest)
        else:
            _repeat(asked, run_dir, told, rest, _print_with_time)
    except KeyboardInterrupt:
        pass
    return GOOD


def collect(asked: str, run_dir: Path) -> Answer:
    """The answers of all masters there. One that does not answer is told as a problem, unless none does."""
    told: Answer = {
        "asked": asked,
        "run_dir": str(run_dir),
        "serve": None,
        "proxy": None,
        "pools": {},
        "problems": [],
    }
    failure: ControlError | None = None
    top = running.topmost(run_dir)
    for master in [*top, *(half for half in running.halves(run_dir) if half not in top)]:
        try:
            answer = ask(master.control, {"do": "status"}, TIMEOUT)
        except ControlError as error:
            failure = error
            told["problems"].append(f"{master.what}: {error}")
            continue
        if master.what.startswith("pool "):
            told["pools"][master.what.removeprefix("pool ")] = answer
        else:
            told[master.what] = answer
    if not (told["serve"] or told["proxy"] or told["pools"]):
        raise running.unanswered(failure, asked, run_dir) if failure else running.nothing_runs(asked, run_dir)
    return told


def _repeat(
    asked: str,
    run_dir: Path,
    told: Answer,
    rest: Callable[[float], None],
    tell: Callable[[Answer], None],
) -> None:
    while True:
        tell(told)
        rest(EVERY)
        told = _collect_again(asked, run_dir)


def _collect_again(asked: str, run_dir: Path) -> Answer:
    """A site that is started again is waited for."""
    try:
        return collect(asked, run_dir)
    except Refusal as refusal:
        return {"asked": asked, "serve": None, "proxy": None, "pools": {}, "problems": [str(refusal)]}


def _print_with_time(told: Answer) -> None:
    click.echo(time.strftime("%H:%M:%S"))
    _print(told)
    click.echo("", nl=True)


def _print(told: Answer) -> None:
    """On a terminal with rich, else plainly, a line a slot."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(_drawn(told))
        return
    click.echo("\n".join(line.text for line in page.lines(told)))
    rows = page.table(told)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in [(), *rows] if rows else []:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip())


def _watch_live(asked: str, run_dir: Path, told: Answer, rest: Callable[[float], None]) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:

            def draw(fresh: Answer) -> None:
                nonlocal told
                told = fresh
                live.update(_drawn(told, console.height), refresh=True)

            _repeat(asked, run_dir, told, rest, draw)
    finally:
        console.print(_drawn(told))  # what was seen last stays on the terminal


def _drawn(told: Answer, height: int | None = None) -> "Group":
    """Lines and table; with a height, busy slots first and no more rows than there is room for."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    lines = [Text(line.text, style="red" if line.is_bad else "") for line in page.lines(told)]
    parts: list[Any] = [*lines]
    if rows := page.table(told):
        headings, rows = rows[0], rows[1:]
        left_out = 0
        if height is not None:
            # The last line of a terminal stays free, one is for the headings, one for a gap, one for a word.
            room = max(height - len(lines) - 4, 3)
            if len(rows) > room:
                rows.sort(key=lambda row: not page.is_busy(headings, row))
            rows, left_out = rows[:room], max(len(rows) - room, 0)
        drawn = Table(*headings, box=None, pad_edge=False)
        for row in rows:
            drawn.add_row(*map(Text, row), style=_style(headings, row))
        parts += [Text(""), drawn]
        if left_out:
            parts.append(Text(f"and {left_out} more slots", style="dim"))
    return Group(*parts)


def _style(headings: Row, row: Row) -> str | None:
    if row[headings.index("state")].startswith("overdue"):
        return "bold red"
    return "bold" if page.is_busy(headings, row) else None
