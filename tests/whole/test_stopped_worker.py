"""A worker that stands still with requests unread: they are run elsewhere within 2 s, and only there."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.whole.crowd import Browser
from tests.whole.record import APPLICATION, Record
from tests.whole.running import running, wait_until

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
        stopped = site.pids("trivet: worker ")[0]
        os.kill(stopped, signal.SIGSTOP)
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
        held_up = sorted(seconds for seconds in took if seconds > 0.5)
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


def _answers(browser: Browser, pid: int) -> bool:
    mark = f"again-{time.monotonic_ns()}"
    return browser.ask(f"/?mark={mark}").body.split(b" ")[1] == b"%d" % pid
