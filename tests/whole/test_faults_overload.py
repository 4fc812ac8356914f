"""F19: ten times the load it can take: goodput stays, the refused hear it at once, and it recovers."""

import time
from pathlib import Path

import pytest

from tests.whole.crowd import Crowd, Visit
from tests.whole.drills import Inventory, print_report, seconds
from tests.whole.running import running

SLOTS, LIMIT = 4, 40
# Each slot does 20 requests a second. Clients beyond those that wait ask 40 times a second and are refused.
TAKES, CLIENTS, PAUSE = 0.05, 64, 0.025
SLEEPS = f"""
import time
def application(environ, start_response):
    mark = environ["QUERY_STRING"].removeprefix("mark=")
    environ["wsgi.input"].read()
    time.sleep({TAKES})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [mark.encode()]
"""
CONFIG = f"""
proxy: {{processes: 2}}
log: {{access: off}}
pools: {{web: {{app: sleeps, workers: 2, threads: 2, queue: {{limit: {LIMIT}, timeout: 10s}}}}}}
"""


@pytest.mark.drill
def test_f19_ten_times_too_many(tmp_path: Path) -> None:
    length = seconds(40.0)
    with running(tmp_path, CONFIG, sleeps=SLEEPS) as site:
        inventory = Inventory(site, SLOTS)
        with Crowd(site.address, 2 * SLOTS) as busy:
            time.sleep(min(length, 5.0))
        with Crowd(site.address, CLIENTS, pause=PAUSE) as crowd:
            time.sleep(length)
        over = time.monotonic()
        with Crowd(site.address, 1) as one:
            time.sleep(1.0)
        rest = inventory.check()
    peak, good = rate(busy.visits), rate(crowd.visits)
    refused = sorted(visit.ended - visit.sent for visit in crowd.visits if visit.outcome != "200")
    served = sorted(visit.ended - visit.sent for visit in crowd.visits if visit.outcome == "200")
    offered = len(crowd.visits) / (crowd.visits[-1].ended - crowd.visits[0].sent)
    recovered = min(visit.ended for visit in one.visits if visit.ended - visit.sent < 2 * TAKES) - over
    print_report(
        f"{offered:.0f} requests a second for {peak:.0f}: {dict(crowd.outcomes())}",
        f"goodput {good:.0f} a second, {good / peak:.0%} of the peak",
        f"503 after {of(refused, 0.5):.1f} ms, 99th percentile {of(refused, 0.99):.1f} ms",
        f"served after {of(served, 0.5):.0f} ms, 99th percentile {of(served, 0.99):.0f} ms",
        f"recovered {recovered:.2f} s after the last; {rest}",
    )
    assert busy.failures() == []
    assert one.failures() == []
    assert set(crowd.outcomes()) == {"200", "503 queue_full"}


def rate(visits: list[Visit]) -> float:
    """Good answers a second."""
    good = [visit for visit in visits if visit.outcome == "200"]
    return len(good) / (good[-1].ended - good[0].ended)


def of(times: list[float], part: float) -> float:
    """That quantile, in milliseconds."""
    return times[int(part * (len(times) - 1))] * 1000
