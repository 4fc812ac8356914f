"""A worker that stands still with requests unread: they are run elsewhere within 2 s, and only there."""

import os
import random
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.whole.crowd import Browser, Crowd, Visit
from tests.whole.drills import seconds
from tests.whole.record import APPLICATION, Record, Run
from tests.whole.running import running, wait_until
from trivet_common.pool.queue_board import read_queue_board

pytestmark = pytest.mark.slow

UNREAD = 0.9  # seconds: a little less than until they are taken back

CONFIG = """
proxy: {processes: 2}
log: {access: access.log}
pools: {web: {app: marks, workers: WORKERS, threads: THREADS, retry: off}}
"""


@pytest.mark.parametrize(("workers", "threads"), [(2, 1), (2, 4)])
def test_what_a_stopped_worker_has_not_read_is_run_by_another(
    tmp_path: Path, workers: int, threads: int
) -> None:
    config = CONFIG.replace("WORKERS", str(workers)).replace("THREADS", str(threads))
    with running(tmp_path, config, marks=APPLICATION) as site:
        browsers = [Browser(site.address) for _ in range(4)]  # of both proxy processes, most likely
        wait_until(lambda: site.pool_status()["ready"] == workers, 10, "all workers")
        stopped = site.pids("trivet: worker ")[0]
        os.kill(stopped, signal.SIGSTOP)
        wait_until(lambda: _stands_still(stopped), 5, "every thread to stop")
        took: list[float] = []
        try:
            for number in range(60):
                began = time.monotonic()
                mark = f"{number}"
                answer = browsers[number % 4].ask(f"/?mark={mark}", "POST", mark.encode())
                took.append(time.monotonic() - began)
                assert answer.status == 200, answer.body
                assert answer.body.split(b" ") != [mark.encode(), b"%d" % stopped]
        finally:
            os.kill(stopped, signal.SIGCONT)
        held_up = sorted(one for one in took if one > 0.5)
        print(f"\n{workers} x {threads}: of {len(took)} POSTs {len(held_up)} were held up, {held_up}")
        assert held_up
        # One of each process, and perhaps once more after 5 s.
        assert len(held_up) <= 4
        assert max(held_up) < 1.25 + 0.75
        # What it had not read it does not run now, and it is as good as any other again.
        wait_until(lambda: _answers(browsers[0], stopped), 15, "the worker that goes on")
        for browser in browsers:
            browser.close()
    times = Record(tmp_path).times_run()
    assert set(times.values()) == {1}
    assert {str(number) for number in range(60)} <= set(times)


def _stands_still(pid: int) -> bool:
    """A signal stops one thread after the other: one may still begin a request."""
    states = [
        stat.read_text().rsplit(")", 1)[1].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")
    ]
    return set(states) == {"T"}


@pytest.mark.drill
@pytest.mark.parametrize("threads", [1, 3])
def test_workers_that_stop_and_go_on_all_the_time(tmp_path: Path, threads: int) -> None:
    """Some for less time than it takes until their requests are taken back, more of them for longer.

    One that is stopped again and again without a moment to read is killed by its master, which is as good.
    """
    config = CONFIG.replace("WORKERS", "4").replace("THREADS", str(threads))
    chance = random.Random(1)
    # With a pause: who is stopped is idle more often than not, and then its next request is unread.
    with running(tmp_path, config, marks=APPLICATION) as site, Crowd(site.address, 24, pause=0.2) as crowd:
        first = set(site.pids("trivet: worker "))
        stops: list[Stop] = []
        stopped: dict[int, Stop] = {}
        until = time.monotonic() + seconds(30.0)
        while time.monotonic() < until or stopped:
            for pid in [pid for pid, stop in stopped.items() if stop.until <= time.monotonic()]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
                stops.append(stopped.pop(pid)._replace(until=time.monotonic()))
            free = [pid for pid in site.pids("trivet: worker ") if pid not in stopped]
            if len(free) > 2 and time.monotonic() < until:
                victim, now = chance.choice(free), time.monotonic()
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGSTOP)
                stopped[victim] = Stop(victim, now, now + chance.uniform(0.8, 2.2))
            time.sleep(chance.uniform(0.01, 0.3))
        wait_until(lambda: read_queue_board(site.run_dir / "web" / "queue.board"), 5)
        rows = read_queue_board(site.run_dir / "web" / "queue.board")
        returns = sum(row.counts.returns for row in rows)
        killed = len(first - set(site.pids("trivet: worker ")))
    record = Record(tmp_path)
    times = record.times_run()
    elsewhere = _run_elsewhere(crowd.visits, record.runs, stops)
    print(
        f"\n{threads} threads: {len(times)} requests, {len(stops)} stops, {killed} killed, "
        f"{returns} taken back, {elsewhere} after a second, {crowd.outcomes()}"
    )
    assert set(crowd.outcomes()) == {"200"}
    assert set(times.values()) == {1}
    # What a killed worker had not read is run elsewhere too, and proves nothing.
    proofs = elsewhere - killed * threads
    assert proofs >= len(stops) / 4
    assert returns >= elsewhere


class Stop(NamedTuple):
    """Of a worker, from when to when."""

    pid: int
    since: float
    until: float


def _run_elsewhere(visits: Iterable[Visit], runs: Iterable[Run], stops: Iterable[Stop]) -> int:
    """How many requests were taken from a worker that stood still: none had gone on before they were run."""
    sent = {visit.mark: visit.sent for visit in visits}
    late = [run for run in runs if run.mark in sent and run.begin - sent[run.mark] > UNREAD]
    return sum(not any(sent[run.mark] < stop.until <= run.begin for stop in stops) for run in late)


def _answers(browser: Browser, pid: int) -> bool:
    mark = f"again-{time.monotonic_ns()}"
    return browser.ask(f"/?mark={mark}").body.split(b" ")[1] == b"%d" % pid
