"""Twenty uploads and twenty downloads of 64 MiB at once: at most 256 KiB a connection (rows 14 and 15)."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.endurance import crowds
from tests.whole.running import running, wait_until

pytestmark = pytest.mark.drill

COUNT, SIZE, RATE = 20, 64 * 1024 * 1024, 8 * 1024 * 1024
APP = """
import hashlib
PATTERN = bytes(range(256)) * 256
def application(environ, start_response):
    if environ["PATH_INFO"] == "/down":
        size = int(environ["QUERY_STRING"])
        start_response("200 OK", [("Content-Length", str(size)), ("Content-Type", "image/x")])
        return (PATTERN for _ in range(size // len(PATTERN)))
    digest = hashlib.sha256()
    while piece := environ["wsgi.input"].read(65536):
        digest.update(piece)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "64")])
    return [digest.hexdigest().encode()]
"""
CONFIG = """
proxy: {processes: 2}
spool: {limit: 4GiB}
limits: {body: 100MiB}
log: {access: off}
pools: {web: {app: app, workers: 2, threads: 20, timeout: 120s, queue: {timeout: 60s}}}
"""


def test_forty_large_bodies_at_once(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, app=APP) as site:
        fronts = crowds.fronts(site)
        before, descriptors = crowds.memory(fronts), crowds.descriptors(fronts)
        arguments = [str(argument) for argument in (site.port, COUNT, SIZE, RATE)]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.endurance.bodies", *arguments],
            cwd=crowds.ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        most, until = 0, time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            most = max(most, crowds.memory(fronts))
            time.sleep(0.1)
        out, _ = process.communicate(timeout=1)
        wait_until(
            lambda: crowds.descriptors(fronts) <= descriptors + 2 * 40 * 2, 10, "descriptors given back"
        )
    each = (most - before) / (2 * COUNT) / 1024
    became = json.loads(out)
    print(f"{each:.0f} KiB a connection at most; all in {became['seconds']:.1f} s")
    assert became["outcomes"] == ["ok"] * (2 * COUNT)
    assert each <= 256
