"""F12: a request past its deadline. Its 504 comes on time, only that request dies, the log says where it was.

Each case is asked again and again: in a pool of one worker of four threads, beside three siblings that go on
past the deadline of the fourth; and in a worker of one thread. Nobody else notices that it is replaced.
"""

import re
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.whole.crowd import Browser, Crowd
from tests.whole.drills import Inventory, print_report, share
from tests.whole.running import Site, running, wait_until

pytestmark = pytest.mark.slow

TIMES = 20
TIMEOUT, GRACE, SIBLING = 0.5, 0.5, 0.95
# What is promised of twenty on a machine that has time, in seconds: in the middle, and at most.
MEDIAN, WORST = 0.05, 0.25
STUCK = f"""
import os, threading, time
folder = os.path.dirname(__file__)

def note(mark, what):
    with open(os.path.join(folder, f"{{mark}}.{{what}}"), "w") as file:
        file.write(str(os.getpid()))

def computes():
    number = 0
    while True: number += 1  # here it computes

def dozes():
    while True: time.sleep(0.01)  # here it dozes

def sleeps():
    time.sleep(60)  # here it sleeps

def locked():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()  # here it is locked

def calls():
    sum(range(10**12))  # here it calls: no signal is looked at in it, and no other thread runs

def application(environ, start_response):
    what, mark = environ["PATH_INFO"], environ["QUERY_STRING"].removeprefix("mark=")
    environ["wsgi.input"].read()
    if what.startswith("/late/"):
        note(mark, "begun")
        try:
            globals()[what.removeprefix("/late/")]()
        except Exception:
            note(mark, "swallowed")
        finally:
            note(mark, "finally")
    if what == "/sibling":
        note(mark, "begun")
        until = time.monotonic() + {SIBLING}
        while time.monotonic() < until:
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{{mark}} {{os.getpid()}}".encode()]
"""
CONFIG = """
proxy: {{processes: 2}}
log: {{access: access.log, error: error.log}}
routes:
  - {{path: /late/, pool: web, timeout: {timeout}ms}}
  - {{path: /, pool: web}}
pools: {{web: {{app: stuck, workers: 1, threads: {threads}, kill_grace: {grace}ms{more}}}}}
"""
# What the request does, and whether an exception in a thread can end it. (A signal can in all of them.)
ENDS = {"computes": True, "dozes": True, "sleeps": False, "locked": False}


def config(threads: int, more: str = "") -> str:
    milliseconds = {"timeout": int(TIMEOUT * 1000), "grace": int(GRACE * 1000)}
    return CONFIG.format(threads=threads, more=more, **milliseconds)


class Asked:
    """A request in a thread of its own, which the application has begun."""

    def __init__(self, site: Site, path: str, mark: str) -> None:
        self.mark = mark
        self.said = ""
        self.began = self.took = 0.0
        self.id = ""
        self._folder = site.folder
        self._thread = threading.Thread(target=self._run, args=(site, path), daemon=True)
        self._thread.start()
        wait_until(self._is_begun, 10, f"the beginning of {path}")
        self.pid = int((site.folder / f"{mark}.begun").read_text())

    def join(self) -> "Asked":
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self

    def has(self, what: str) -> bool:
        return (self._folder / f"{self.mark}.{what}").exists()

    def _is_begun(self) -> bool:
        return bool(self.has("begun") and (self._folder / f"{self.mark}.begun").read_text())

    def _run(self, site: Site, path: str) -> None:
        browser = Browser(site.address)
        self.began = time.monotonic()
        try:
            answer = browser.ask(f"{path}?mark={self.mark}", "POST", b"x")
            self.took = time.monotonic() - self.began
            why = re.search(rb"reason: (\S+)\nrequest: (\S+)", answer.body)
            self.said = f"{answer.status} {why[1].decode() if why else answer.body.decode()}"
            self.id = why[2].decode() if why else ""
        except Exception as error:
            self.said = type(error).__name__
        finally:
            browser.close()


@contextmanager
def stuck(folder: Path, threads: int, more: str = "") -> Iterator[Site]:
    with running(folder, config(threads, more), stuck=STUCK) as site:
        inventory = Inventory(site, threads)
        with Crowd(site.address, 2, pause=0.05) as crowd:
            yield site
        print(f"others: {len(crowd.visits)} requests, {dict(crowd.outcomes())}; {inventory.check()}")
    assert crowd.failures() == []


def report(case: str, late: list[Asked]) -> None:
    off = sorted(abs(one.took - TIMEOUT) for one in late)
    print_report(
        f"{case}: {len(late)} late requests",
        f"504 off by {1000 * statistics.median(off):.1f} ms (median), at most {1000 * off[-1]:.1f} ms",
    )
    assert min(one.took for one in late) > TIMEOUT - 0.005
    if len(late) >= TIMES:
        assert statistics.median(off) < MEDIAN
        assert off[-1] < WORST


def log(site: Site) -> str:
    return (site.folder / "error.log").read_text()


def only_worker(site: Site) -> int:
    """The pid of the worker, once it is alone."""
    return wait_until(lambda: len(found := site.pids("trivet: worker")) == 1 and found, 10)[0]


@pytest.mark.parametrize(
    ("what", "times"),
    [
        ("computes", 1),
        pytest.param("computes", TIMES, marks=pytest.mark.drill),
        *(pytest.param(what, 5, marks=pytest.mark.drill) for what in ENDS if what != "computes"),
    ],
)
def test_f12_beside_three_siblings(tmp_path: Path, what: str, times: int) -> None:
    late: list[Asked] = []
    beside = 0  # siblings that were at it when a late one was
    with stuck(tmp_path, 4) as site:
        for number in range(share(times)):
            worker = only_worker(site)
            # First: one that begins after the deadline would, rightly, be run by the successor.
            with ThreadPoolExecutor(3) as pool:
                marks = [f"sibling-{number}-{other}" for other in range(3)]
                siblings = list(pool.map(partial(Asked, site, "/sibling"), marks))
            one = Asked(site, f"/late/{what}", f"late-{number}")
            late.append(one.join())
            assert one.said == "504 deadline", one.said
            assert [sibling.join().said for sibling in siblings] == [
                f"200 {sibling.mark} {worker}" for sibling in siblings
            ]
            deadline = one.began + TIMEOUT
            beside += sum(sibling.began + sibling.took > deadline for sibling in siblings)
            wait_until(lambda worker=worker: worker not in site.pids("trivet: worker"), 10, "its successor")
        text = log(site)
    report(f"{what} beside three siblings", late)
    assert beside > 0
    for one in late:
        assert one.has("finally") == ENDS[what] or what == "locked"
        assert not one.has("swallowed")
        assert f"/late/{what}" in text
        assert one.id in text
    assert text.count(f"# here it {'is locked' if what == 'locked' else what}") == len(late)


@pytest.mark.parametrize(
    ("what", "times"),
    [("sleeps", 1), *(pytest.param(what, 5, marks=pytest.mark.drill) for what in [*ENDS, "calls"])],
)
def test_f12_alone_in_its_worker(tmp_path: Path, what: str, times: int) -> None:
    """The main thread takes the signal, so that what waits in the kernel is interrupted too."""
    late: list[Asked] = []
    with stuck(tmp_path, 1) as site:
        for number in range(share(times)):
            worker = only_worker(site)
            one = Asked(site, f"/late/{what}", f"late-{number}")
            late.append(one.join())
            assert one.said == "504 deadline", one.said
            wait_until(lambda worker=worker: worker not in site.pids("trivet: worker"), 10, "its successor")
        text = log(site)
    report(f"{what} alone", late)
    for one in late:
        assert one.has("finally") == (what != "calls")
        assert not one.has("swallowed")
        assert one.id in text


@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.drill), 4])
def test_f12_keep(tmp_path: Path, threads: int) -> None:
    with stuck(tmp_path, threads, ", after_timeout: keep") as site:
        worker = only_worker(site)
        late = [Asked(site, "/late/dozes", f"late-{number}").join() for number in range(3)]
        assert {one.said for one in late} == {"504 deadline"}
        assert only_worker(site) == worker
    report(f"keep, {threads} threads", late)


@pytest.mark.drill
def test_f12_a_call_that_holds_the_interpreter(tmp_path: Path) -> None:
    """No thread of that worker runs any more, nor the one that watches it; its master sees the board."""
    text = config(3, ", timeout: 2s").replace("workers: 1", "workers: 2")
    late: list[Asked] = []
    with running(tmp_path, text, stuck=STUCK) as site:
        inventory = Inventory(site, 6)
        with Crowd(site.address, 6, pause=0.01) as crowd:
            for number in range(share(5)):
                seen = len(crowd.visits)
                wait_until(lambda seen=seen: len(crowd.visits) > seen + 30)
                one = Asked(site, "/late/calls", f"late-{number}")
                late.append(one.join())
                assert one.said == "504 deadline", one.said
                wait_until(lambda pid=one.pid: pid not in site.pids("trivet: worker"), 10, "its end")
        rest = inventory.check()
    report("a call that holds the interpreter, beside others", late)
    longest = max(visit.ended - visit.sent for visit in crowd.visits)
    print(f"others: {dict(crowd.outcomes())}, longest {longest:.2f} s; {rest}")
    # What such a worker had begun beside it may be late itself; nobody else is.
    assert set(crowd.outcomes()) <= {"200", "504 deadline", "502 worker_died"}
    assert len(crowd.failures()) <= 2 * len(late)
