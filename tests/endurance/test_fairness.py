"""Slow requests beside fast ones: while a slot is free, the fast ones do not notice."""

import threading
import time
from pathlib import Path

import pytest

from tests.whole.crowd import Browser
from tests.whole.drills import seconds as at_most
from tests.whole.running import running

pytestmark = pytest.mark.slow

APPLICATION = """
import time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(SLOW)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""
CONFIG = """
proxy: {processes: 2}
log: {access: off}
pools: {web: {app: paced, workers: WORKERS, threads: THREADS}}
"""
# One slow request a second takes five of the eight slots; two are enough for the fast ones.
FAST, PAUSE = 2, 0.005


class Pace:
    """Fast requests one after the other, and when each ended and how long it took."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.took: list[tuple[float, float]] = []
        self._address = address
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(FAST)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(20)

    def between(self, begin: float, end: float) -> list[float]:
        return sorted(seconds for at, seconds in list(self.took) if begin <= at < end)

    def _run(self) -> None:
        browser = Browser(self._address)
        while not self._is_over.wait(PAUSE):
            began = time.monotonic()
            assert browser.ask("/fast").status == 200
            ended = time.monotonic()
            self.took.append((ended, ended - began))
        browser.close()


def send_slowly(address: tuple[str, int], seconds: float, every: float) -> list[int]:
    """One slow request each `every` seconds; the statuses, once all are answered."""
    statuses: list[int] = []

    def ask() -> None:
        browser = Browser(address)
        statuses.append(browser.ask("/slow").status)
        browser.close()

    threads = []
    begin = time.monotonic()
    while (at := begin + len(threads) * every) < begin + seconds:
        time.sleep(max(0.0, at - time.monotonic()))
        threads.append(threading.Thread(target=ask))
        threads[-1].start()
    for thread in threads:
        thread.join(30)
    assert len(statuses) == len(threads)
    return statuses


def at_99(times: list[float]) -> float:
    return times[len(times) * 99 // 100] * 1000


@pytest.mark.parametrize(("workers", "threads"), [(8, 1), (2, 4)])
@pytest.mark.parametrize(
    ("seconds", "slow"),
    [pytest.param(at_most(30.0), 5.0, marks=pytest.mark.drill), (2.0, 0.5)],
    ids=["full", "short"],
)
def test_the_fast_are_as_fast_beside_slow_ones(
    tmp_path: Path, workers: int, threads: int, seconds: float, slow: float
) -> None:
    config = CONFIG.replace("WORKERS", str(workers)).replace("THREADS", str(threads))
    with running(tmp_path, config, paced=APPLICATION.replace("SLOW", str(slow))) as site:
        pace = Pace(site.address)
        try:
            time.sleep(0.5)
            # Half of the comparison before and half after: what else this machine does weighs on both.
            begin = time.monotonic()
            time.sleep(seconds / 2)
            middle = time.monotonic()
            statuses = send_slowly(site.address, seconds, slow / 5)
            after = time.monotonic()
            time.sleep(seconds / 2)
            end = time.monotonic()
        finally:
            pace.stop()
        alone = sorted(pace.between(begin, middle) + pace.between(after, end))
        beside = pace.between(middle, after)
    print(
        f"\n{workers} x {threads}, {len(statuses)} of {slow:g} s beside {len(beside)} fast ones:"
        f"\n99th percentile {at_99(beside):.2f} ms, without them {at_99(alone):.2f} ms; medians"
        f" {beside[len(beside) // 2] * 1000:.2f} and {alone[len(alone) // 2] * 1000:.2f},"
        f" worst {beside[-1] * 1000:.1f} and {alone[-1] * 1000:.1f}"
    )
    assert set(statuses) == {200}
    # Twice is the aim, for a person on a quiet machine to judge; here: none waits for a slow one's end.
    assert at_99(beside) < 2 * at_99(alone) + 200.0
