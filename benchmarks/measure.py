"""One measurement: a scenario on a stack, started for it alone, asked if it answers rightly, then loaded."""

import http.client
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.applications import events
from benchmarks.figures import Row, Sample, percentile
from benchmarks.launch import Launch, StartFailed, last_words
from benchmarks.peers import ROOT, Peers
from benchmarks.processes import busy_seconds, cpu_seconds, pss_kib, spent_between, title
from benchmarks.scenarios import KIB, MIB, Scenario
from benchmarks.stacks import STACKS, Order
from benchmarks.wrk import Asked, Load, Seen, load

ANSWERS_WITHIN = 20.0
Figures = dict[str, float]


class Void(Exception):
    """A measurement that counts for nothing, and why."""


def measure(scenario: Scenario, row: Row, round_: int, seconds: float, peers: Peers) -> Sample:
    stack = STACKS[row.stack]
    if reason := peers.missing(stack.needs + scenario.needs):
        raise StartFailed(reason)
    order = Order(scenario.app, scenario.processes, scenario.workers, row.log)
    with _site() as folder, Launch(folder, peers.folder) as launch:
        port = stack.start(launch, order, peers)
        asked = _until_right(port, scenario, folder)
        first = time.monotonic() - launch.began
        bench = Bench(launch, port, scenario, asked, seconds)
        bench.figures["first"] = first
        try:
            KINDS[scenario.kind](bench)
        except Void as error:
            return Sample(row, round_, error=str(error))
        return Sample(row, round_, bench.figures, bench.shares, tuple(bench.notes))


class Bench:
    """What belongs together while one stack is measured."""

    __slots__ = ("asked", "figures", "launch", "notes", "port", "scenario", "seconds", "shares")

    def __init__(self, launch: Launch, port: int, scenario: Scenario, asked: Asked, seconds: float) -> None:
        self.launch = launch
        self.port = port
        self.scenario = scenario
        self.asked = asked
        self.seconds = seconds
        self.figures: Figures = {}
        self.shares: dict[str, float] = {}
        self.notes: list[str] = []

    def __repr__(self) -> str:
        return f"<Bench {self.scenario.name} at {self.port}: {self.figures}>"

    def warm_up(self) -> None:
        """A second may be too short for one large answer: here that is no error."""
        seen = load(self.port, self.asked, 1, self.launch.folder)
        if seen.requests:
            judged(seen)

    def load(self) -> Seen:
        return judged(load(self.port, self.asked, self.seconds, self.launch.folder))

    def memory(self, part: str | None = None) -> int:
        """PSS in KiB, of one part or all."""
        return sum(pss_kib(pid) for pid, its in self.launch.pids().items() if part in (None, its))

    def account(self, work: Callable[[], tuple[float, float]]) -> None:
        """CPU a request while `work` runs, which says how many there were and what it took itself."""
        before, group, busy = (
            cpu_seconds(list(self.launch.pids())),
            self.launch.group_seconds(),
            busy_seconds(),
        )
        began = time.monotonic()
        count, own = work()
        parts = self.launch.pids()
        spent = spent_between(before, cpu_seconds(list(parts)))
        group_after, took = self.launch.group_seconds(), time.monotonic() - began
        total = sum(spent.values())
        if group is not None and group_after is not None:
            total = group_after - group  # with those that have ended meanwhile
        elif set(before) - set(parts):
            self.notes.append("processes ended meanwhile; their CPU is not in the figures")
        others = busy_seconds() - busy - total - own
        self.figures["others"] = max(others / took / (os.cpu_count() or 1) * 100, 0.0)
        self.figures["cpu"] = total / count * 1e6
        for part in ("front", "pool") if "pool" in parts.values() else ():
            self.figures[part] = sum(cpu for pid, cpu in spent.items() if parts[pid] == part) / count * 1e6
        shares: dict[str, float] = defaultdict(float)
        for pid, cpu in spent.items():
            shares[title(pid).removeprefix(str(ROOT))[:60]] += cpu / count * 1e6
        self.shares = dict(shares)


def busy(bench: Bench) -> None:
    """One kind of request, as fast as it goes."""
    bench.warm_up()
    memory = bench.memory("front")
    bench.account(lambda: _loaded(bench))
    bench.figures["pss"] = bench.memory() / KIB
    bench.figures["grown"] = float(bench.memory("front") - memory)


def mixed(bench: Bench) -> None:
    """Some connections that ask for what is slow, all the time; the others are measured."""
    bench.warm_up()
    seconds = round(bench.seconds) + 2
    slow = Load(bench.port, Asked("/slow", connections=bench.scenario.others), seconds, bench.launch.folder)
    try:
        time.sleep(0.5)
        bench.account(lambda: _loaded(bench))
    finally:
        judged(slow.wait())
    bench.figures["pss"] = bench.memory() / KIB


def idle(bench: Bench) -> None:
    """The same load without and with many connections that had an answer and say nothing more."""
    bench.warm_up()
    bench.figures["p99_alone"] = bench.load().p99
    memory = bench.memory("front")
    with _crowd(bench) as crowd:
        bench.figures["idle"] = (bench.memory("front") - memory) / bench.scenario.others
        _tell(crowd)
        bench.account(lambda: _loaded(bench))
        bench.figures["pss"] = bench.memory() / KIB
        if ended := _told(crowd)["ended"]:
            raise Void(f"{ended} idle connections were ended")


def streams(bench: Bench) -> None:
    """Many clients of one endless answer each: how late events come, and what one costs."""
    with _crowd(bench) as crowd:
        bench.account(lambda: _listened(bench, crowd))
        bench.figures["pss"] = bench.memory() / KIB


def start(bench: Bench) -> None:
    """Nothing is asked any more: the first answer was there before. What is in memory then."""
    bench.figures["pss"] = bench.memory() / KIB


KINDS = {"load": busy, "mixed": mixed, "idle": idle, "events": streams, "start": start}


def judged(seen: Seen) -> Seen:
    if seen.errors:
        raise Void(seen.errors)
    return seen


def _loaded(bench: Bench) -> tuple[float, float]:
    own = _children_seconds()
    seen = bench.load()
    bench.figures.update(rate=seen.rate, p50=seen.p50, p99=seen.p99, p999=seen.p999)
    return seen.requests, _children_seconds() - own


def _listened(bench: Bench, crowd: "subprocess.Popen[str]") -> tuple[float, float]:
    own = sum(cpu_seconds([crowd.pid]).values())
    _tell(crowd)
    began = time.monotonic()
    time.sleep(bench.seconds)
    used = sum(cpu_seconds([crowd.pid]).values()) - own
    found = _told(crowd)
    took, delays = time.monotonic() - began, found["delays"]
    if found["ended"]:
        raise Void(f"{found['ended']} event streams were ended")
    wanted = bench.scenario.others * bench.seconds / events.EVERY
    if len(delays) < 0.9 * wanted:
        raise Void(f"{len(delays)} events came of {wanted:.0f}")
    bench.figures["rate"] = len(delays) / took
    for name, part in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
        bench.figures[name] = percentile(delays, part)
    return len(delays), used


@contextmanager
def _crowd(bench: Bench) -> "Iterator[subprocess.Popen[str]]":
    """Clients beside the measured ones, connected and answered."""
    command = [sys.executable, "-m", "benchmarks.clients", bench.scenario.kind, str(bench.port)]
    process = subprocess.Popen(
        [*command, str(bench.scenario.others)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if (said := process.stdout.readline().strip()) != "ready":
            raise Void(said or "the clients beside did not come up")
        yield process
    finally:
        process.kill()
        process.communicate()


def _tell(crowd: "subprocess.Popen[str]") -> None:
    assert crowd.stdin is not None
    crowd.stdin.write("go\n")
    crowd.stdin.flush()


def _told(crowd: "subprocess.Popen[str]") -> dict[str, list[float]]:
    """Ends the crowd's work. What it saw."""
    _tell(crowd)
    assert crowd.stdout is not None
    found: dict[str, list[float]] = json.loads(crowd.stdout.readline())
    return found


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _site() -> Iterator[Path]:
    """A folder of its own for one stack, with the files that are served."""
    folder = Path(tempfile.mkdtemp(prefix="trivet-bench-"))
    folder.chmod(0o755)
    static = folder / "static"
    static.mkdir()
    for name, size in (("one.txt", KIB), ("middle.bin", 100 * KIB), ("large.bin", 10 * MIB)):
        (static / name).write_bytes(b"x" * size)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _until_right(port: int, scenario: Scenario, folder: Path) -> Asked:
    """Waits for the first answer; one that is not as it must be ends it. Returns what is to be asked."""
    until = time.monotonic() + ANSWERS_WITHIN
    while True:
        try:
            return _ask(port, scenario)
        except (OSError, http.client.HTTPException, _NotYet) as error:
            if time.monotonic() > until:
                raise StartFailed(f"no right answer: {error}; {last_words(folder)}") from error
            time.sleep(0.005)


class _NotYet(Exception):
    """An answer, but not the one."""


def _ask(port: int, scenario: Scenario) -> Asked:
    asked = scenario.asked
    if scenario.kind == "events":
        return asked  # their clients see for themselves
    if scenario.is_conditional or scenario.keeps_cookies:
        _, headers = _fetch(port, asked, 200, None)
        asked = replace(asked, headers=(*asked.headers, *_following(headers)))
    _fetch(port, asked, scenario.status, scenario.size)
    return asked


def _following(headers: http.client.HTTPMessage) -> Iterator[tuple[str, str]]:
    """What a client that had this answer sends with its next request."""
    if "ETag" in headers:
        yield "If-None-Match", headers["ETag"]
    elif "Last-Modified" in headers:
        yield "If-Modified-Since", headers["Last-Modified"]
    if cookies := headers.get_all("Set-Cookie"):
        yield "Cookie", "; ".join(cookie.split(";", 1)[0] for cookie in cookies)


def _fetch(port: int, asked: Asked, status: int, size: int | None) -> tuple[bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWERS_WITHIN)
    try:
        body = b"x" * asked.body if asked.body else None
        connection.request(asked.method, asked.path, body, dict(asked.headers))
        response = connection.getresponse()
        content = response.read()
        if response.status != status or size not in (None, len(content)):
            raise _NotYet(f"{response.status} with {len(content)} bytes")
        return content, response.headers
    finally:
        connection.close()
