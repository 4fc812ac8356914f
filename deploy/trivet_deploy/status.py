"""`trivet status`: asks the masters of a run directory and shows what they say, as a table, text or JSON.

Knows the shape of their answers; what is missing in one is left out: halves of two versions can be asked.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click

from trivet_common.control import ControlError, ask

from . import running
from .refusal import GOOD
from .words import age, count

# Seconds for each master: its loop is never busy for long.
TIMEOUT = 5.0
_PATH_SHOWN = 60
Answer = dict[str, Any]
Row = tuple[str, ...]
HEADINGS: Row = ("pool", "worker", "pid", "age", "slot", "state", "for", "done", "request")


def show(asked: str, run_dir: Path, *, as_json: bool) -> int:
    """Ask and print. Raises Refusal when nothing answers."""
    told = collect(asked, run_dir)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return GOOD
    click.echo("\n".join(summary(told)))
    rows = list(slot_rows(told))
    if rows:
        click.echo("")
        print_table(rows)
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


def summary(told: Answer) -> list[str]:
    """The lines above the table."""
    lines = []
    serve, proxy = told["serve"], told["proxy"]
    if serve:
        state = "ready" if serve.get("ready") else "not ready"
        state = "stopping" if serve.get("phase", "running") != "running" else state
        lines.append(
            f"{serve.get('name')} ({serve.get('file') or told['asked']}): {state}, "
            f"up {age(serve.get('uptime', 0))}, process {serve.get('pid')}"
        )
        lines.append(f"listening: {', '.join(serve.get('listen') or ['nowhere'])}")
    if proxy:
        processes = proxy.get("processes") or []
        pids = ", ".join(str(each.get("pid")) for each in processes)
        lines.append(f"proxy: {count(len(processes), 'process', 'processes')} ({pids})" + queue(processes))
    lines += [pool_line(name, pool) for name, pool in told["pools"].items()]
    return lines + [f"no answer: {problem}" for problem in told["problems"]]


def pool_line(name: str, pool: Answer) -> str:
    """One pool in one line."""
    slots = [slot for worker in pool.get("workers", []) for slot in worker.get("slots", [])]
    busy = sum(slot.get("state") in ("reading", "running") for slot in slots)
    line = f"pool {name}: {pool.get('app')}, {pool.get('ready')} of {pool.get('wanted')} workers ready, "
    line += f"{busy} of {len(slots)} slots busy, "
    line += f"{count(sum(slot.get('done', 0) for slot in slots), 'request')} done"
    if pool.get("restarts"):
        line += f", {count(pool['restarts'], 'restart')}"
    if pool.get("reloading"):
        line += ", reloading"
    if pool.get("last_reload_problem"):
        line += f"\n  the last reload failed: {str(pool['last_reload_problem']).splitlines()[0]}"
    return line


def queue(processes: list[Answer]) -> str:
    """What the proxy's processes have to do, all together."""
    connections, requests, waiting = (
        sum(each.get(key) or 0 for each in processes) for key in ("connections", "requests", "waiting")
    )
    line = f", {count(connections, 'connection')}, {count(requests, 'request')}, {waiting} waiting"
    oldest = max((each.get("oldest_wait") or 0.0 for each in processes), default=0.0)
    return line + (f" (the oldest for {age(oldest)})" if waiting else "")


def slot_rows(told: Answer) -> "list[Row]":
    """A row a slot."""
    rows = []
    for name, pool in told["pools"].items():
        for worker in pool.get("workers", []):
            head = (name, f"w{worker.get('incarnation')}", str(worker.get("pid")), age(worker.get("age", 0)))
            slots = worker.get("slots") or [{"state": worker.get("state")}]
            rows += [(*head, *_slot(number, slot)) for number, slot in enumerate(slots)]
    return rows


def print_table(rows: "list[Row]") -> None:
    """With rich on a terminal, else plainly, a line a slot."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*HEADINGS, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*map(_plain, row), style="bold" if row[5] in ("reading", "running") else None)
        Console().print(table)
        return
    widths = [max(len(row[column]) for row in [HEADINGS, *rows]) for column in range(len(HEADINGS))]
    for row in [HEADINGS, *rows]:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _slot(number: int, slot: Answer) -> Row:
    path = str(slot.get("path") or "")
    if len(path) > _PATH_SHOWN:
        path = path[: _PATH_SHOWN - 1] + "…"
    request = f"{slot.get('method') or ''} {path}".strip()
    spent = age(slot["seconds"]) if slot.get("seconds") else ""
    # A path is the client's: nothing in it may drive the operator's terminal.
    shown = request.encode("ascii", "backslashreplace").decode()
    shown = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in shown)
    return (str(number), str(slot.get("state")), spent, str(slot.get("done", "")), shown)


def _plain(cell: str) -> str:
    from rich.markup import escape

    return escape(cell)
