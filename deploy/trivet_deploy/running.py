"""What runs in a run directory: its masters, whether they are alive and ready; and what runs elsewhere.

Only the standard library and the pool's places are imported here: `status --probe` must cost next to nothing.
"""

import os
import pwd
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from trivet_common.asking import ControlError, ask
from trivet_common.peers import is_trusted_in
from trivet_common.pool.board import BoardError, BoardView, SlotState, read_board
from trivet_common.pool.places import PlaceError, PoolPlaces, RunDir

from .refusal import NOTHING_RUNS, Refusal

_TITLE = re.compile(r"trivet: serve (?P<name>.*?)(?: \((?P<file>.*)\))?\s*\Z", re.DOTALL)
HALVES = ("proxy", "backend")
_MOST_NAMED = 8
_LIVE = (SlotState.IDLE, SlotState.READING, SlotState.RUNNING)


class MasterAt(NamedTuple):
    """A master that an operator can ask: what it is (serve, proxy, pool NAME) and its control socket."""

    what: str
    control: Path


def topmost(run_dir: Path, half: str | None = None) -> list[MasterAt]:
    """Whom an operator commands there: the master of `serve`, else the halves, started one by one.

    `half`, "proxy" or "backend": that one of them alone.
    """
    control = RunDir(run_dir).control
    if half is None and _is_there(control):
        return [MasterAt("serve", control)]
    return [master for master in halves(run_dir) if half in (None, HALVES[master.what != "proxy"])]


def halves(run_dir: Path) -> list[MasterAt]:
    """The masters of the pools and of the proxy: pools first, as a reload goes."""
    found = [MasterAt(f"pool {pool.directory.name}", pool.control) for pool in pools(run_dir)]
    found.append(MasterAt("proxy", RunDir(run_dir).proxy_control))
    return [master for master in found if _is_there(master.control)]


def pools(run_dir: Path) -> list[PoolPlaces]:
    """The pools that have a folder in the run directory."""
    try:
        folders = [entry for entry in sorted(run_dir.iterdir()) if os.path.exists(entry / "idle.fifo")]
        return [PoolPlaces(folder) for folder in folders]
    except (OSError, PlaceError):
        return []


def has_live_slot(pool: PoolPlaces) -> bool:
    """Whether some slot of the pool takes or runs requests: what `ready` means. Saturated is ready."""
    return any(slot.state in _LIVE for board in _boards(pool) for slot in board.slots)


def is_alive(run_dir: Path, timeout: float, half: str | None = None) -> bool:
    """Whether masters are there and their loops turn. Timeout in seconds, for each."""
    found = topmost(run_dir, half)
    try:
        return bool(found) and all(ask(master.control, {"do": "status"}, timeout)["ok"] for master in found)
    except (ControlError, KeyError):
        return False


def is_ready(run_dir: Path, timeout: float, half: str | None = None) -> bool:
    """Whether they are alive, none is leaving, every pool has a live slot. Timeout in seconds, for each.

    A proxy alone is ready without one: requests wait in it.
    """
    try:
        answers = [ask(master.control, {"do": "status"}, timeout) for master in topmost(run_dir, half)]
    except ControlError:
        return False
    if not answers or any(answer.get("phase", "running") != "running" for answer in answers):
        return False
    if half == "proxy":
        return all(each["ready"] for answer in answers for each in answer.get("processes", []))
    return all(answer.get("ready", True) for answer in answers) and all(map(has_live_slot, pools(run_dir)))


def nothing_runs(asked: str, run_dir: Path) -> Refusal:
    """Say that nothing runs there, and what does."""
    text = f"nothing runs for {asked} (no master answers in {run_dir})"
    others = list(islice(what_runs(), _MOST_NAMED))
    return Refusal(text + ("; running:\n  " + "\n  ".join(others) if others else ""), NOTHING_RUNS)


def unanswered(error: ControlError, asked: str, run_dir: Path) -> Refusal:
    """Say why a master did not answer: a socket without one is left from a killed run."""
    # Refused: nobody listens. Reset: it was killed while we asked.
    if isinstance(error.__cause__, (ConnectionError, FileNotFoundError)):
        return nothing_runs(asked, run_dir)
    if isinstance(error.__cause__, PermissionError):
        return Refusal(f"{asked} is run by another user: you may not ask its masters in {run_dir}")
    return Refusal(str(error))


def what_runs(proc: Path = Path("/proc")) -> Iterator[str]:
    """Every `trivet serve` of this machine that we may see, by the title it gave itself."""
    try:
        entries = sorted((entry for entry in os.listdir(proc) if entry.isdigit()), key=int)
    except OSError:
        return  # no /proc: nothing can be told
    for entry in entries:
        try:
            raw = (proc / entry / "cmdline").read_bytes()[:4096]
            owner = (proc / entry).stat().st_uid
        except OSError:
            continue  # gone by now
        if match := _TITLE.match(raw.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")):
            of = f" ({match['file']})" if match["file"] else ""
            yield f"{match['name']}{of} by {user_name(owner)}, process {entry}"


def user_name(uid: int) -> str:
    """A user's name, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _is_there(control: Path) -> bool:
    """Not what somebody has put there who may write into a shared run directory and is no master."""
    try:
        return is_trusted_in(control.parent, control.lstat().st_uid)
    except OSError:
        return False


def _boards(pool: PoolPlaces) -> Iterator[BoardView]:
    for incarnation in pool.incarnations():
        try:
            yield read_board(pool.board(incarnation))
        except (OSError, BoardError):
            continue  # that worker has just left
