"""max_requests and max_memory: workers are replaced all the time, nobody notices, few are absent at once."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.whole.crowd import Crowd
from tests.whole.drills import Inventory, print_report, seconds
from tests.whole.record import APPLICATION, Record
from tests.whole.running import Site, running

WORKERS, MOST, CLIENTS = 8, 50, 32
CONFIG = f"""
proxy: {{processes: 2}}
log: {{access: off}}
pools: {{web: {{app: marks, workers: {WORKERS}, max_requests: {MOST}}}}}
"""
# In bytes: what a request adds for ever, and the limit of a worker's own memory.
LEAK, LIMIT = 4 << 20, 80 << 20
LEAKS = f"""
import time
kept = []
def application(environ, start_response):
    mark = environ["QUERY_STRING"].removeprefix("mark=")
    environ["wsgi.input"].read()
    kept.append(b"x" * {LEAK})
    time.sleep(0.005)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [mark.encode()]
"""
LEAKING = f"""
proxy: {{processes: 1}}
log: {{access: off}}
pools: {{web: {{app: leaks, workers: 4, max_memory: {LIMIT >> 20}MiB}}}}
"""


class Watch:
    """Looks every 20 ms until it is left: `with Watch(look):`."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.looks = 0
        self.error: Exception | None = None

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(10)
        assert self.error is None, self.error

    def _run(self) -> None:
        while not self._is_over.wait(0.02):
            try:
                self._look()
            except Exception as error:
                self.error = error
                return
            self.looks += 1


def present(site: Site) -> int:
    """How many workers take requests."""
    return sum(
        worker["state"] == "ready" and any(slot["state"] != "retiring" for slot in worker["slots"])
        for worker in site.pool_status()["workers"]
    )


def private_memory(pid: int) -> int:
    """In bytes; 0 of one that has just left."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE)) * 1024


@pytest.mark.drill
def test_max_requests(tmp_path: Path) -> None:
    seen: Counter[int] = Counter()
    with running(tmp_path, CONFIG, marks=APPLICATION) as site:
        inventory = Inventory(site, WORKERS)
        with (
            Watch(lambda: seen.update([present(site)])) as watch,
            Crowd(site.address, CLIENTS, pause=0.005) as crowd,
        ):
            time.sleep(seconds(20.0))
        rest = inventory.check()
    record = Record(tmp_path)
    served = Counter(run.slot[0] for run in record.runs)
    gone = sorted(count for pid, count in served.items())
    print_report(
        f"max_requests: {len(crowd.visits)} requests by {len(served)} workers: {dict(crowd.outcomes())}",
        f"of one worker at most {gone[-1]}, in the middle {gone[len(gone) // 2]}",
        f"present of {WORKERS}, in {watch.looks} looks: {dict(sorted(seen.items()))}; {rest}",
    )
    assert crowd.failures() == []
    assert len(served) > 2 * WORKERS
    assert min(seen) >= WORKERS - 2
    assert record.overlaps == []


@pytest.mark.drill
def test_max_memory(tmp_path: Path) -> None:
    largest = 0
    workers: set[int] = set()

    def look() -> None:
        nonlocal largest
        pids = site.pids("trivet: worker")
        workers.update(pids)
        largest = max(largest, *(private_memory(pid) for pid in pids))

    with running(tmp_path, LEAKING, leaks=LEAKS) as site:
        inventory = Inventory(site, 4)
        with Watch(look) as watch, Crowd(site.address, 8, pause=0.01) as crowd:
            time.sleep(seconds(15.0))
        rest = inventory.check()
    print_report(
        f"max_memory {LIMIT >> 20} MiB, {LEAK >> 20} MiB a request: {len(crowd.visits)} requests "
        f"by {len(workers)} workers: {dict(crowd.outcomes())}",
        f"largest {largest / (1 << 20):.1f} MiB in {watch.looks} looks; {rest}",
    )
    assert crowd.failures() == []
    assert len(workers) > 8
    assert LIMIT // 2 < largest < LIMIT + 2 * LEAK
