"""Proxy processes, templates and pool masters are killed in random order: it answers again, every time."""

import os
import random
import signal
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.whole.crowd import Browser, Crowd
from tests.whole.drills import Inventory, kinds, print_report, seconds
from tests.whole.record import APPLICATION, Record
from tests.whole.running import Site, running, wait_until

SLOTS, PROXIES, CLIENTS = 4, 2, 16
OF_EACH, FULL = 50, 240.0
# What the issue promises, in seconds.
AGAIN = 2.0
VICTIMS = {"proxy process": " process ", "template": "trivet: template ", "pool master": "trivet: pool "}
LOST_WITH_PROXY = {"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "IncompleteRead"}
# Slow enough that each proxy process holds slots at any moment.
MARKS = APPLICATION.replace("0.001, 0.005", "0.005, 0.025")
CONFIG = f"""
proxy: {{processes: {PROXIES}}}
log: {{access: off, level: error}}
pools: {{web: {{app: marks, workers: 2, threads: 2, preload: true}}}}
"""


class Kill(NamedTuple):
    what: str
    at: float
    answered: float  # seconds until a new client was answered
    whole: float  # seconds until every process was there again


def kill(site: Site, what: str, choose: random.Random, full: Counter[str]) -> Kill:
    victims = wait_until(lambda: site.pids(VICTIMS[what]), 5, what)
    at = time.monotonic()
    os.kill(choose.choice(victims), signal.SIGKILL)
    wait_until(lambda: answers(site), 10, f"an answer after the {what}")
    answered = time.monotonic() - at
    wait_until(lambda: kinds(site) == full, 15, f"all processes after the {what}: {site.processes()}")
    return Kill(what, at, answered, time.monotonic() - at)


def answers(site: Site) -> bool:
    browser = Browser(site.address, keeps=False, timeout=AGAIN)
    try:
        return browser.ask("/?mark=probe").status == 200
    except OSError:
        return False
    finally:
        browser.close()


@pytest.mark.drill
@pytest.mark.parametrize("seed", [7])
def test_it_answers_again_each_time(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    order = list(VICTIMS) * max(2, round(OF_EACH * seconds(FULL) / FULL))
    choose.shuffle(order)
    with running(tmp_path, CONFIG, marks=MARKS) as site:
        inventory, full = Inventory(site, SLOTS), kinds(site)
        with Crowd(site.address, CLIENTS) as crowd:
            wait_until(lambda: len(crowd.visits) > 50)
            kills = []
            for what in order:
                kills.append(kill(site, what, choose, full))
                time.sleep(choose.uniform(0.0, 0.1))
            rested = time.monotonic()
            time.sleep(2.0)
        rest = inventory.check()
        pool = site.status()["pools"]["web"]
    live = sum(len(worker["slots"]) for worker in pool["workers"] if worker["state"] == "ready")
    record, runs = Record(tmp_path), Record(tmp_path).times_run()
    failures = failures_by_kill(crowd, kills)
    twice = [v for v in crowd.visits if v.method == "POST" and runs.get(v.mark, 0) > 1]
    used = record.slots_used_since(rested)
    print_report(
        f"seed {seed}: {len(kills)} kills, {len(crowd.visits)} requests, {dict(crowd.outcomes())}",
        *(f"{what}: {figures(kills, what)}; failed: {dict(failures.get(what, {}))}" for what in VICTIMS),
        f"POSTs run twice {len(twice)}, slots live {live}, in use at the end {len(used)}; {rest}",
    )
    assert max(one.answered for one in kills) < AGAIN
    assert twice == []
    assert record.overlaps == []
    assert live == len(used) == SLOTS
    assert set(failures.get("proxy process", {})) <= LOST_WITH_PROXY
    assert set(failures) <= {"proxy process"}, failures


def failures_by_kill(crowd: Crowd, kills: list[Kill]) -> dict[str, Counter[str]]:
    """What failed, by whose kill it can have been.

    A proxy process's, if one died since the client's visit before (a kept connection is as old as that); else
    that of what died last.
    """
    found: dict[str, Counter[str]] = defaultdict(Counter)
    sent = {visit.mark: visit.sent for visit in crowd.visits}
    for visit in crowd.failures():
        client, number = visit.mark.split("-")
        since = sent.get(f"{client}-{int(number) - 1}", visit.sent)
        during = [one.what for one in kills if since <= one.at <= visit.ended]
        before = ["nothing", *(one.what for one in kills if one.at <= visit.ended)]
        found["proxy process" if "proxy process" in during else before[-1]][visit.outcome] += 1
    return found


def figures(kills: list[Kill], what: str) -> str:
    answered = sorted(one.answered for one in kills if one.what == what)
    whole = sorted(one.whole for one in kills if one.what == what)
    middle = len(answered) // 2
    return (
        f"{len(answered)} killed; answers after {answered[middle]:.2f} s, at most {answered[-1]:.2f} s; "
        f"complete after {whole[middle]:.2f} s, at most {whole[-1]:.2f} s"
    )
