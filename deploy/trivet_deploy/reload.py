"""`trivet reload`: asks the topmost masters to read everything again, and tells how far they are.

Progress goes to standard error: redrawn in one line on a terminal, else a line each.
"""

import sys
from pathlib import Path

import click

from trivet_common.asking import ControlError, ask

from . import running
from .refusal import GOOD, Refusal
from .words import printable

# A day, in seconds: the masters have deadlines of their own, and only `prepare` commands may take their time.
TIMEOUT = 86400.0
_INTERRUPTED = 130


def reload(asked: str, run_dir: Path) -> int:
    """One after the other; the first that fails ends it. Raises Refusal with the reason and its traceback."""
    masters = running.topmost(run_dir)
    if not masters:
        raise running.nothing_runs(asked, run_dir)
    progress = Progress(sys.stderr.isatty())
    try:
        for master in masters:
            what = "" if master.what == "serve" else f"{master.what}: "
            _reload(master, asked, run_dir, progress, what)
    except KeyboardInterrupt:
        progress.clear()
        print(f"the reload goes on; how far it is says: trivet status {asked}", file=sys.stderr)
        return _INTERRUPTED
    finally:
        progress.clear()
    click.echo(f"{asked}: reloaded")
    return GOOD


def _reload(master: running.MasterAt, asked: str, run_dir: Path, progress: "Progress", what: str) -> None:
    try:
        answer = ask(master.control, {"do": "reload"}, TIMEOUT, lambda text: progress.tell(what + text))
    except ControlError as error:
        progress.clear()
        raise running.unanswered(error, asked, run_dir) from None
    if not answer.get("ok"):
        progress.clear()
        problem = "\n".join(map(printable, str(answer.get("problem")).rstrip("\n").split("\n")))
        raise Refusal(f"reload failed: {what}{problem}" + _what_goes_on(what + problem))


def _what_goes_on(problem: str) -> str:
    """Only where a release was tried: not when a file has mistakes, or another reload runs."""
    was_tried = problem.startswith("pool ") and "already running" not in problem
    if not was_tried or "(renewed already" in problem:
        return ""
    return "\ntrivet: the release before it goes on"


class Progress:
    """How far something is, on standard error."""

    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self._is_drawn = False

    def __repr__(self) -> str:
        return f"<Progress {'drawn' if self._is_drawn else 'clear'}>"

    def tell(self, text: str) -> None:
        if not self._is_terminal:
            print(printable(text), file=sys.stderr, flush=True)
            return
        # Cut, or a line that wraps would not be overwritten by the next.
        print(f"\r\x1b[K{printable(text)[:70]}", end="", file=sys.stderr, flush=True)
        self._is_drawn = True

    def clear(self) -> None:
        """What was drawn is no longer true."""
        if self._is_drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._is_drawn = False
