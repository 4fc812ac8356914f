"""What a large answer costs the proxy in memory, compressed on its way and as it is."""

import os
import threading
import time
from pathlib import Path

import pytest

from tests.whole.running import Site, running
from tests.whole.talking import Talk, ask
from tests.whole.test_route_compress import UNPACK

pytestmark = pytest.mark.slow

MEMORY = """
import threading, time

HALF = threading.Barrier(16)
PIECE = "".join(f"line {number}: the quick brown fox {number * number}\\n" for number in range(1500)).encode()

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/one":
        return [PIECE]
    return halves()

def halves():
    for number in range(10 * 1024 * 1024 // len(PIECE) + 1):
        if number == 100:
            HALF.wait(20)  # all are under way: 5 MiB of each have been packed
            time.sleep(2)
        yield PIECE
"""


# KiB, all told. In no coding an answer holds nothing between two pieces, but for what a client lags behind.
BOUNDS = {"identity": 96, **dict.fromkeys(UNPACK, 256)}


@pytest.mark.parametrize("coding", BOUNDS)
def test_takes_little(tmp_path: Path, coding: str) -> None:
    """10 MiB, sixteen at a time: 256 KiB each at most, with the connections and all that waits on them."""
    config = (
        "stop_timeout: 1s\nproxy: {processes: 1}\nlog: {access: access.log}\n"
        "routes: [{path: /, pool: web, compress: true}]\n"
        "pools: {web: {app: hello, workers: 1, threads: 16}}\n"
    )
    with running(tmp_path, config, hello=MEMORY) as site:
        for _ in range(50):
            ask(site.address, "/one", f"Accept-Encoding: {coding}")
        (process,) = site.pids("process 0")
        before = resident(process)
        counts = [0] * 16
        readers = [
            threading.Thread(target=read_all, args=(site, coding, counts, place)) for place in range(16)
        ]
        for reader in readers:
            reader.start()
        peak = before
        while any(reader.is_alive() for reader in readers):
            peak = max(peak, resident(process))
            time.sleep(0.02)
        assert all(count > 10 * 1024 * 1024 for count in counts)
    grown = (peak - before) / 16 / 1024
    print(f"\n{coding}: {grown:.0f} KiB an answer")
    assert grown < BOUNDS[coding]


def resident(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def read_all(site: Site, coding: str, counts: list[int], place: int) -> None:
    with Talk(site.address, patience=60) as talk:
        body = talk.get("/", f"Accept-Encoding: {coding}").body
        counts[place] = len(UNPACK[coding](body) if coding in UNPACK else body)
