"""Requests that end within a millisecond of their deadline, thousands: the exception strikes only them."""

import http.client
import re
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.whole.crowd import Browser, Crowd
from tests.whole.drills import Inventory, print_report, seconds
from tests.whole.running import Site, running

# Of each kind of worker.
REQUESTS, CLIENTS, SLOTS = 5_000, 12, 8
# Each request of /race ends so close to its deadline (s), before or after it; half of them compute till then.
CLOSE = 0.001
RACES = f"""
import os, random, time
from trivet_backend import RequestTimeout

def application(environ, start_response):
    mark = environ["QUERY_STRING"].removeprefix("mark=")
    environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/race":
        until = environ["trivet.deadline"] + random.uniform(-{CLOSE}, {CLOSE})
        is_busy = random.random() < 0.5
        while (left := until - time.monotonic()) > 0:
            is_busy or time.sleep(min(left, 0.004))
    else:
        time.sleep(random.uniform(0, 0.05))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{{mark}} {{os.getpid()}}".encode()]
"""
CONFIG = """
proxy: {{processes: 2}}
log: {{access: off, error: error.log}}
routes: [{{path: /race, pool: web, timeout: 20ms}}, {{path: /, pool: web}}]
pools:
  web: {{app: races, workers: {workers}, threads: {threads}, after_timeout: keep, queue: {{timeout: 60s}}}}
"""


class Racers:
    """Clients that ask for races, one after the other, until there were so many."""

    def __init__(self, site: Site, count: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._site = site
        self._left = [None] * count
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]

    def run(self, for_seconds: float) -> None:
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join(for_seconds)
            assert not thread.is_alive(), "a client hangs"

    def _run(self) -> None:
        browser = Browser(self._site.address)
        while self._left:
            try:
                self._left.pop()
                answer = browser.ask("/race?mark=r")
            except IndexError:
                break
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[type(error).__name__] += 1
                continue
            why = re.search(rb"reason: (\S+)", answer.body)
            self.outcomes[f"{answer.status} {why[1].decode() if why else ''}".strip()] += 1
        browser.close()


@pytest.mark.drill
@pytest.mark.parametrize(("workers", "threads"), [(SLOTS, 1), (2, SLOTS // 2)])
def test_no_exception_strikes_anything_else(tmp_path: Path, workers: int, threads: int) -> None:
    with running(tmp_path, CONFIG.format(workers=workers, threads=threads), races=RACES) as site:
        inventory = Inventory(site, SLOTS)
        before = site.pids("trivet: worker")
        racers = Racers(site, round(REQUESTS * seconds(60) / 60))
        with Crowd(site.address, 4, pause=0.01) as crowd:
            racers.run(300)
        after = site.pids("trivet: worker")
        rest = inventory.check()
    text = (tmp_path / "error.log").read_text()
    strange = [line for line in text.splitlines() if re.search(r"Traceback|Exception ignored|ended:", line)]
    print_report(
        f"{workers} workers of {threads}: races {dict(racers.outcomes)}, others {dict(crowd.outcomes())}",
        f"lines about anything else {len(strange)}; {rest}",
    )
    assert set(racers.outcomes) == {"200", "504 deadline"}
    assert crowd.failures() == []
    assert strange == []
    assert after == before
