"""A worker is killed every 300 ms under load: no GET fails, no POST runs twice, none is lost unrun."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.whole.crowd import Crowd
from tests.whole.drills import Inventory, print_report, seconds
from tests.whole.last_words import LastWords
from tests.whole.record import APPLICATION, Record
from tests.whole.running import Site, running, wait_until

SLOTS, PROXIES, CLIENTS = 4, 2, 64
EVERY = 0.3
CONFIG = """
proxy: {{processes: {proxies}}}
log: {{access: off, level: error}}
spool: {{dir: spool}}
pools: {{web: {{app: marks, workers: {workers}, threads: {threads}}}}}
"""


def kill_now_and_then(site: Site, for_seconds: float, choose: random.Random) -> int:
    began = time.monotonic()
    kills = 0
    while (at := began + (kills + 1) * EVERY) < began + for_seconds:
        time.sleep(max(0.0, at - time.monotonic()))
        workers = wait_until(lambda: site.pids("trivet: worker "), 5, "a worker")
        try:
            os.kill(choose.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has just been seen
        kills += 1
    return kills


@pytest.mark.parametrize(
    ("length", "workers"),
    [
        pytest.param(30.0, 4, marks=pytest.mark.drill),
        pytest.param(10.0, 2, marks=pytest.mark.drill),  # of two threads each
    ],
)
def test_no_request_is_lost_or_run_twice(tmp_path: Path, length: float, workers: int) -> None:
    (tmp_path / "spool").mkdir()
    config = CONFIG.format(proxies=PROXIES, workers=workers, threads=SLOTS // workers)
    with running(tmp_path, config, marks=APPLICATION) as site:
        inventory = Inventory(site, SLOTS)
        words = LastWords(site.run_dir / "web", tmp_path / "boards")
        with words, Crowd(site.address, CLIENTS) as crowd:
            kills = kill_now_and_then(site, seconds(length), random.Random(4))
        rest = inventory.check()
    visits, record = crowd.visits, Record(tmp_path)
    runs, outcomes = record.times_run(), Counter((v.method, v.outcome) for v in crowd.visits)
    twice = [visit for visit in visits if visit.method == "POST" and runs.get(visit.mark, 0) > 1]
    lost = [visit for visit in visits if visit.outcome != "200" and visit.mark not in runs]
    again = sum(times > 1 for times in runs.values())
    longest = max(visit.ended - visit.sent for visit in visits)
    print_report(
        f"{workers} workers of {SLOTS // workers}: {kills} kills, {len(visits)} requests",
        *(f"{method} {outcome}: {count}" for (method, outcome), count in sorted(outcomes.items())),
        f"GETs run again {again}, POSTs run twice {len(twice)}, lost without having been run {len(lost)}",
        f"longest {longest:.2f} s; {rest}",
    )
    assert [visit for visit in crowd.failures() if visit.method == "GET"] == []
    assert twice == []
    assert record.overlaps == []
    assert {outcome for _, outcome in outcomes} <= {"200", "502 worker_died"}
    # Not a line of the application's, but its board had said that it enters: that is when a POST is lost.
    assert {visit.mark for visit in lost} <= words.entered()
