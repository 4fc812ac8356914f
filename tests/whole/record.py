"""What an application wrote down about itself: which slot ran which request, from when to when.

Owns the file's lines and what can be read from them. Knows no process but by its pid.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

# An application that notes when it was loaded, and when each request began and ended on which slot, by the
# clients' clock (CLOCK_MONOTONIC). One write a line on O_APPEND: lines of many processes never mix.
APPLICATION = """
import os, random, threading, time
folder = os.path.dirname(__file__)
record = os.open(os.path.join(folder, "record.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
SHORTEST, LONGEST = 0.001, 0.005

def note(kind, mark):
    line = f"{kind} {os.getpid()} {threading.get_native_id()} {mark} {time.monotonic():.6f}\\n"
    os.write(record, line.encode())

def application(environ, start_response):
    mark = environ["QUERY_STRING"].removeprefix("mark=")
    note("begin", mark)
    if environ["REQUEST_METHOD"] == "POST":
        assert environ["wsgi.input"].read() == mark.encode()
    time.sleep(random.uniform(SHORTEST, LONGEST))
    start_response("200 OK", [("Content-Type", "text/plain")])
    note("end", mark)
    return [f"{mark} {os.getpid()}".encode()]

note("loaded", "-")
"""

Slot = tuple[int, int]


class Run(NamedTuple):
    """A request in the application; `end` is None if its worker was killed in it."""

    slot: Slot
    mark: str
    begin: float
    end: float | None


class Record:
    """Read once, after the run."""

    def __init__(self, folder: Path) -> None:
        self.runs: list[Run] = []
        self.loaded: dict[int, float] = {}
        self.overlaps: list[str] = []
        begun: dict[Slot, tuple[str, float]] = {}
        for line in (folder / "record.txt").read_text().splitlines():
            kind, pid, thread, mark, at = line.split()
            slot, when = (int(pid), int(thread)), float(at)
            if kind == "loaded":
                self.loaded[slot[0]] = when
            elif kind == "begin":
                if slot in begun:
                    self.overlaps.append(f"{mark} began on {slot} while {begun[slot][0]} ran")
                begun[slot] = mark, when
            else:
                self.runs.append(Run(slot, *begun.pop(slot), when))
        self.runs += [Run(slot, mark, when, None) for slot, (mark, when) in begun.items()]

    def times_run(self) -> dict[str, int]:
        """How often each mark entered the application."""
        found: dict[str, int] = defaultdict(int)
        for run in self.runs:
            found[run.mark] += 1
        return found

    def slots_used_since(self, when: float) -> set[Slot]:
        return {run.slot for run in self.runs if run.begin >= when}

    def idle_gaps(self, until: float, deaths: Mapping[int, float]) -> list[tuple[float, float, Slot]]:
        """From when to when each slot ran nothing.

        Since it ended one request (a new worker's only slot: since its application was loaded), until it
        began the next, died, or the run was over.
        """
        by_slot: dict[Slot, list[Run]] = defaultdict(list)
        for run in self.runs:
            by_slot[run.slot].append(run)
        for pid in self.loaded:
            if not any(slot[0] == pid for slot in by_slot):
                by_slot[pid, pid] = []
        gaps = []
        for slot, runs in by_slot.items():
            runs.sort(key=lambda run: run.begin)
            free_at: float | None = self.loaded[slot[0]] if slot[0] == slot[1] else None
            for run in runs:
                if free_at is not None:
                    gaps.append((free_at, run.begin, slot))
                free_at = run.end
            if free_at is not None:
                gaps.append((free_at, max(free_at, min(until, deaths.get(slot[0], until))), slot))
        return gaps


def idle_while_waiting(
    gaps: Iterable[tuple[float, float, Slot]], waits: Iterable[tuple[float, float]]
) -> list[float]:
    """For each gap, its longest stretch (s) in which some request was waiting all the time; longest first."""
    union: list[list[float]] = []
    for begin, end in sorted(waits):
        if union and begin <= union[-1][1]:
            union[-1][1] = max(union[-1][1], end)
        else:
            union.append([begin, end])
    found = []
    for begin, end, _ in gaps:
        stretches = (min(end, b) - max(begin, a) for a, b in union if a < end and b > begin)
        found.append(max(stretches, default=0.0))
    return sorted(found, reverse=True)
