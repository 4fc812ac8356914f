"""Fifteen thousand clients that say or take a few bytes now and then, and the honest (rows 14, 15, 27)."""

import os
from pathlib import Path

import pytest

from tests.endurance import crowds
from tests.whole.drills import seconds
from tests.whole.running import running, wait_until

pytestmark = pytest.mark.drill

SECONDS = seconds(float(os.environ.get("ENDURANCE_SECONDS", "20")))
EACH = crowds.affordable(5000, 3.2)
APP = """
LARGE = b"x" * 262144
def application(environ, start_response):
    environ["wsgi.input"].read()
    body = LARGE if environ["PATH_INFO"] == "/large" else b"small"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
CONFIG = """
proxy: {processes: 2}
spool: {limit: 4GiB}
limits: {connections: 20000}
log: {access: off}
pools: {web: {app: app, workers: 4}}
"""


def test_honest_clients_beside_fifteen_thousand_slow_ones(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, app=APP) as site:
        crowds.prefer([site.pid, *site.processes()])
        fronts = crowds.fronts(site)
        crowds.honest(site.port, 3)
        alone = crowds.honest(site.port, SECONDS)
        memory, descriptors = crowds.memory(fronts), crowds.descriptors(fronts)
        with crowds.swarm(site.port, rate=800, heads=EACH, bodies=EACH, reads=EACH) as became:
            # The answers the slow readers asked for are worked off first: that is load, not slowness.
            wait_until(lambda: crowds.waiting(site) + crowds.busy_slots(site) == 0, 30, "idle slots")
            began = crowds.cpu_seconds(fronts)
            beside = crowds.honest(site.port, SECONDS)
            cpu = (crowds.cpu_seconds(fronts) - began) / SECONDS
            each = (crowds.memory(fronts) - memory) / (3 * EACH) / 1024
            assert crowds.busy_slots(site) == 0
        wait_until(lambda: crowds.descriptors(fronts) <= descriptors + 20, 10, "the descriptors given back")
    print(f"{EACH} of each kind for {SECONDS:g} s; alone {alone}; beside {beside}")
    print(f"{cpu:.0%} of a processor, {each:.1f} KiB each; {became}")
    assert alone["failed"] == beside["failed"] == 0
    assert became["live"] > 0.9 * 3 * EACH
    # The ratio is printed, for a person on a quiet machine to judge; here: nobody waited in vain.
    print(f"p99 beside the slow ones: {beside['p99'] / alone['p99']:.1f} times that of without")
    assert beside["p99"] < 1000
