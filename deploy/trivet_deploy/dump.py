"""`trivet dump`: the Python stacks of workers, of one worker, or of one slot.

Asks the masters of the pools, which ask their workers; knows how people name a worker or a slot.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from trivet_common.asking import ControlError, ask

from . import running
from .page import Answer
from .refusal import FAILED, GOOD, NOTHING_RUNS, USAGE, Refusal
from .whereabouts import SUFFIXES
from .words import printable

# Seconds. A worker that cannot answer is waited for by its master, for less than this.
TIMEOUT = 10.0
_WHICH = re.compile(r"w?(?P<number>[0-9]{1,10})(?:\.(?P<slot>[0-9]{1,3}))?\Z")


class Wanted(NamedTuple):
    """What was written, the number of a worker or a process, and of a slot if one was named."""

    text: str
    number: int
    slot: int | None

    @property
    def may_be_pid(self) -> bool:
        return self.text.isdecimal()


def split(words: Sequence[str]) -> tuple[str | None, Wanted | None]:
    """FILE and SLOT or PID, in whichever order they were written. Raises Refusal."""
    files = [word for word in words if not _WHICH.match(word)]
    found = [word for word in words if _WHICH.match(word)]
    if len(files) > 1 or len(found) > 1:
        raise Refusal(f"{words[-1]}: write one FILE ({', '.join(SUFFIXES)}) and one slot or process", USAGE)
    match = _WHICH.match(found[0]) if found else None
    if match is None:
        return (files[0] if files else None), None
    slot = match["slot"]
    return (files[0] if files else None), Wanted(found[0], int(match["number"]), int(slot) if slot else None)


def dump(asked: str, run_dir: Path, wanted: Wanted | None) -> int:
    """Ask and print. Raises Refusal when nothing runs there, or nothing of that name."""
    pools = [master for master in running.halves(run_dir) if master.what.startswith("pool ")]
    if not pools:
        raise running.nothing_runs(asked, run_dir)
    status = GOOD
    chosen = list(_choose(pools, wanted, asked, run_dir))
    if wanted is not None and not any(worker is not None for _, worker in chosen):
        raise Refusal(_no_such_worker(wanted, pools))
    for master, worker in chosen:
        request = {"do": "dump"} if worker is None else {"do": "dump", "worker": worker}
        answer = _ask(master, request, asked, run_dir)
        if not answer.get("ok"):
            click.echo(f"trivet: {master.what}: {printable(str(answer.get('problem')))}", err=True)
            status = FAILED
        for name, text in sorted((answer.get("dumps") or {}).items(), key=_number):
            slot = wanted.slot if wanted else None
            click.echo(f"{master.what}, {name}:\n\n{_shown(str(text), name, slot)}\n")
    return status


def _choose(
    pools: list[running.MasterAt], wanted: Wanted | None, asked: str, run_dir: Path
) -> Iterator[tuple[running.MasterAt, int | None]]:
    """Whom to ask for which worker; for all of them when none was named."""
    for master in pools:
        if wanted is None:
            yield master, None
            continue
        workers = _ask(master, {"do": "status"}, asked, run_dir).get("workers") or []
        by_pid = [worker for worker in workers if wanted.may_be_pid and worker.get("pid") == wanted.number]
        by_name = [worker for worker in workers if worker.get("incarnation") == wanted.number]
        yield from ((master, worker["incarnation"]) for worker in by_pid or by_name)


def _ask(master: running.MasterAt, request: Answer, asked: str, run_dir: Path) -> Answer:
    try:
        return ask(master.control, request, TIMEOUT)
    except ControlError as error:
        refusal = running.unanswered(error, asked, run_dir)
        if refusal.status == NOTHING_RUNS:
            raise refusal from None
        raise Refusal(f"{master.what}: {refusal}") from None


def _no_such_worker(wanted: Wanted, pools: list[running.MasterAt]) -> str:
    names = []
    for master in pools:
        try:
            workers = ask(master.control, {"do": "status"}, TIMEOUT).get("workers") or []
        except ControlError:
            continue
        names += [f"w{worker.get('incarnation')} (process {worker.get('pid')})" for worker in workers]
    return f"there is no worker {wanted.text}; there are {', '.join(names) or 'none'}"


def _number(dumped: tuple[str, Any]) -> int:
    digits = dumped[0].removeprefix("w")
    return int(digits) if digits.isdecimal() else 0


def _shown(text: str, name: str, slot: int | None) -> str:
    """The part about one slot, where one was named and can be told apart; safe to print."""
    if slot is not None:
        parts = [part for part in text.split("\n\n") if part.lstrip().startswith(f"{name}.{slot} ")]
        text = "\n\n".join(parts) or text
    return "\n".join(printable(line) for line in text.rstrip("\n").expandtabs().split("\n"))
