"""Proxies and workers are killed and stopped all the time: nothing runs twice, no slot is lost or idle."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.whole.crowd import Crowd, Visit
from tests.whole.drills import Inventory, seconds
from tests.whole.record import APPLICATION, Record, idle_while_waiting
from tests.whole.running import Site, running

SLOTS, PROXIES, CLIENTS = 8, 3, 40
# After the last kill: time to see every slot in use.
QUIET = 3.0
LONGEST_IDLE = 1.5
# What a client may see of a kill. Its connection ended with its proxy; or the worker died in its request: a
# POST that had entered the application, or a GET whose second worker died too.
_LOST_WITH_PROXY = {"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "IncompleteRead"}
_LOST_WITH_WORKER = {"502 worker_died", "502 worker_twice"}
TITLES = {"worker": "trivet: worker ", "proxy": " process "}
# Slow enough that all slots are in use and clients wait, with two processors for everybody.
MARKS = APPLICATION.replace("0.001, 0.005", "0.005, 0.025")
CONFIG = f"""
proxy: {{processes: {PROXIES}}}
log: {{access: off, level: error}}
pools: {{web: {{app: marks, workers: {SLOTS}, queue: {{timeout: 15s}}}}}}
"""


class Killer:
    """Kills (or stops for a moment) one process at a time, and knows when which worker was killed."""

    def __init__(self, site: Site, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        self.deaths: dict[int, float] = {}
        self.fewest = {"worker": SLOTS, "proxy": PROXIES}
        self._site = site
        self._random = random.Random(seed)
        self._stopped: dict[int, float] = {}

    def rage(self, length: float) -> None:
        at = time.monotonic()
        until = at + length
        while at < until:
            self._strike()
            at += self._random.uniform(0.02, 0.12)
            time.sleep(max(0.0, at - time.monotonic()))
            self._wake(time.monotonic())
        self._wake(float("inf"))

    def _strike(self) -> None:
        kind = self._random.choice(["worker", "proxy"])
        living = self._site.processes()
        for what in self.fewest:
            self.fewest[what] = min(
                self.fewest[what], sum(TITLES[what] in title for title in living.values())
            )
        victims = sorted(pid for pid, title in living.items() if TITLES[kind] in title)
        if not victims:
            return
        victim = self._random.choice(victims)
        if kind == "proxy" and self._random.random() < 0.25 and len(self._stopped) < 2:
            if self._send(victim, signal.SIGSTOP):
                self._stopped[victim] = time.monotonic() + self._random.uniform(0.1, 1.2)
                self.kills["stop"] += 1
        elif self._send(victim, signal.SIGKILL):
            self.kills[kind] += 1
            self.deaths[victim] = time.monotonic()

    def _wake(self, now: float) -> None:
        for pid in [pid for pid, until in self._stopped.items() if until <= now]:
            del self._stopped[pid]
            if pid in self._site.processes():
                self._send(pid, signal.SIGCONT)

    def _send(self, pid: int, signum: int) -> bool:
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            return False
        return True


def _waits(visits: list[Visit], record: Record) -> list[tuple[float, float]]:
    """When each request was on its way to an application; one lost unrun was so until its client knew."""
    begun: dict[str, float] = {}
    for run in record.runs:
        begun[run.mark] = min(run.begin, begun.get(run.mark, run.begin))
    return [(visit.sent, begun.get(visit.mark, visit.ended)) for visit in visits]


def _drill(folder: Path, length: float, seed: int) -> None:
    with running(folder, CONFIG, marks=MARKS) as site:
        inventory = Inventory(site, SLOTS)
        with Crowd(site.address, CLIENTS) as crowd:
            killer = Killer(site, seed)
            killer.rage(length)
            time.sleep(QUIET)
            over = time.monotonic()
            workers = site.pids(TITLES["worker"])
            proxies = site.pids(TITLES["proxy"])
        rest = inventory.check()
    visits, record = crowd.visits, Record(folder)
    runs, outcomes = record.times_run(), crowd.outcomes()
    gaps = [gap for gap in record.idle_gaps(over, killer.deaths) if gap[0] < over]
    idle = idle_while_waiting(gaps, _waits(visits, record))
    posts_twice = [visit for visit in visits if visit.method == "POST" and runs.get(visit.mark, 0) > 1]
    used = {pid for pid, _ in record.slots_used_since(over - 2.0)}
    print(
        f"\nseed {seed}: {len(visits)} requests, kills {dict(killer.kills)}, outcomes {dict(outcomes)}\n"
        f"POSTs run twice {len(posts_twice)}, GETs run again {sum(n > 1 for n in runs.values())}, "
        f"overlaps {len(record.overlaps)}, slots in use at the end {len(used & set(workers))} of {SLOTS}\n"
        f"idle while others waited: longest {', '.join(f'{gap:.3f}' for gap in idle[:5])} s, "
        f"above 0.1 s {sum(gap > 0.1 for gap in idle)} of {len(idle)}; fewest alive {killer.fewest}\n{rest}"
    )
    assert posts_twice == []
    assert max(runs.values()) <= 2
    assert record.overlaps == []
    assert set(outcomes) <= {"200"} | _LOST_WITH_PROXY | _LOST_WITH_WORKER | {"ConnectionRefusedError"}
    never_run = [visit for visit in visits if visit.outcome in _LOST_WITH_WORKER and visit.mark not in runs]
    # Between the slot's last word ("entered") and the application's first line in its record lie some 50 us,
    # and a kill in them leaves a 502 that nobody ran. One in a hundred of those killed may meet that.
    assert len(never_run) <= 3, f"not entered, and not sent again: {never_run}"
    assert (len(workers), len(proxies)) == (SLOTS, PROXIES)
    assert used >= set(workers), f"not in use: {set(workers) - used}"
    assert idle[0] < LONGEST_IDLE


@pytest.mark.drill
@pytest.mark.parametrize("seed", [1, 2])
def test_the_drill(tmp_path: Path, seed: int) -> None:
    _drill(tmp_path, seconds(30.0), seed)
