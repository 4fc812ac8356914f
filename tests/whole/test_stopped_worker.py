"""A worker that stands still with requests unread: they are run elsewhere within 2 s, and only there."""

import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.whole.crowd import Browser, Crowd
from tests.whole.drills import seconds
from tests.whole.record import APPLICATION, Record
from tests.whole.running import running, wait_until
from trivet_common.pool.queue_board import read_queue_board

pytestmark = pytest.mark.slow

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
    """Each for about as long as it takes until its requests are taken back, so that both come in any order.

    One that is stopped again and again without a moment to read is killed by its master, which is as good.
    """
    config = CONFIG.replace("WORKERS", "4").replace("THREADS", str(threads))
    chance = random.Random(1)
    with running(tmp_path, config, marks=APPLICATION) as site, Crowd(site.address, 24) as crowd:
        stopped: dict[int, float] = {}
        stops = 0
        until = time.monotonic() + seconds(30.0)
        while time.monotonic() < until or stopped:
            for pid in [pid for pid, at in stopped.items() if at <= time.monotonic()]:
                del stopped[pid]
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            free = [pid for pid in site.pids("trivet: worker ") if pid not in stopped]
            if len(free) > 1 and time.monotonic() < until:
                with suppress(ProcessLookupError):
                    os.kill(victim := chance.choice(free), signal.SIGSTOP)
                stopped[victim] = time.monotonic() + chance.uniform(0.8, 1.6)
                stops += 1
            time.sleep(chance.uniform(0.01, 0.3))
        wait_until(lambda: read_queue_board(site.run_dir / "web" / "queue.board"), 5)
        rows = read_queue_board(site.run_dir / "web" / "queue.board")
        returns = sum(row.counts.returns for row in rows)
    times = Record(tmp_path).times_run()
    print(
        f"\n{threads} threads: {len(times)} requests, {stops} stops, {returns} taken back, {crowd.outcomes()}"
    )
    assert set(crowd.outcomes()) == {"200"}
    assert set(times.values()) == {1}
    assert returns > 10


def _answers(browser: Browser, pid: int) -> bool:
    mark = f"again-{time.monotonic_ns()}"
    return browser.ask(f"/?mark={mark}").body.split(b" ")[1] == b"%d" % pid
