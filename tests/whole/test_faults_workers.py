"""F5, F6: a worker is killed while it runs requests, or stopped: only its own requests notice."""

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.whole.crowd import Browser, Crowd
from tests.whole.drills import Inventory, print_report
from tests.whole.running import Site, running, wait_until
from trivet_common.pool.board import SlotState, read_board

WAITS = """
import os, time
folder = os.path.dirname(__file__)

def application(environ, start_response):
    mark = environ["QUERY_STRING"].removeprefix("mark=")
    environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/wait":
        open(os.path.join(folder, f"in-{mark}-{os.getpid()}"), "w").close()
        until = time.monotonic() + 15
        while not os.path.exists(os.path.join(folder, "go")) and time.monotonic() < until:
            time.sleep(0.005)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{mark} {os.getpid()}".encode()]
"""
CONFIG = """
proxy: {{processes: 2}}
log: {{access: off}}
pools: {{web: {{app: waits, workers: {workers}, threads: {threads}, timeout: {timeout}}}}}
"""
KILLS = 25


class Asked:
    """A request in a thread of its own, which the application keeps until the file `go` is there."""

    def __init__(self, site: Site, mark: str, method: str) -> None:
        self.outcome = ""
        self.ended = 0.0
        self._thread = threading.Thread(target=self._run, args=(site, mark, method), daemon=True)
        self._thread.start()
        wait_until(lambda: list(site.folder.glob(f"in-{mark}-*")), 10, mark)
        (found,) = site.folder.glob(f"in-{mark}-*")
        self.worker = int(found.name.split("-")[2])

    def join(self) -> str:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.outcome

    def _run(self, site: Site, mark: str, method: str) -> None:
        browser = Browser(site.address)
        try:
            answer = browser.ask(f"/wait?mark={mark}", method, b"x" if method == "POST" else None)
            why = re.search(rb"reason: (\S+)", answer.body)
            self.outcome = f"{answer.status} {why[1].decode() if why else ''}".strip()
        except Exception as error:
            self.outcome = type(error).__name__
        self.ended = time.monotonic()
        browser.close()


def ready(site: Site) -> list[int]:
    found = site.pool_status()["workers"]
    return [worker["pid"] for worker in found if worker["state"] == "ready"]


@pytest.mark.parametrize("kills", [2, pytest.param(KILLS, marks=pytest.mark.drill)])
def test_f5_only_the_requests_of_a_killed_worker_fail_and_at_once(tmp_path: Path, kills: int) -> None:
    """2 workers of 2 slots, all four busy with POSTs; then one worker is killed."""
    took, whole = [], []
    with running(tmp_path, CONFIG.format(workers=2, threads=2, timeout="30s"), waits=WAITS) as site:
        for number in range(kills):
            asked = [Asked(site, f"{number}.{slot}", "POST") for slot in range(4)]
            victim = asked[number % 4].worker
            os.kill(victim, signal.SIGKILL)
            killed = time.monotonic()
            lost = [one for one in asked if one.worker == victim]
            assert [one.join() for one in lost] == ["502 worker_died"] * 2
            took += [one.ended - killed for one in lost]
            wait_until(
                lambda victim=victim: len(found := site.pids("trivet: worker")) == 2 and victim not in found
            )
            (tmp_path / "go").touch()
            assert {one.join() for one in asked if one.worker != victim} == {"200"}
            wait_until(lambda victim=victim: len(found := ready(site)) == 2 and victim not in found)
            whole.append(time.monotonic() - killed)
            (tmp_path / "go").unlink()
            # What a slot answers within a second of its start counts for its worker.
            with Crowd(site.address, 4) as crowd:
                wait_until(lambda crowd=crowd: len(crowd.visits) > 20)
            assert crowd.failures() == []
    took.sort()
    print(
        f"\n{kills} kills, {len(took)} POSTs lost: 502 after {1000 * took[len(took) // 2]:.0f} ms (median), "
        f"at most {took[-1] * 1000:.0f} ms; pool complete after at most {max(whole):.2f} s"
    )


@pytest.mark.drill
@pytest.mark.parametrize(
    ("workers", "threads", "where"),
    [(2, 1, "anywhere"), (2, 3, "anywhere"), (2, 1, "reading"), (2, 1, "over")],
)
def test_f6_a_stopped_worker_is_killed_and_only_what_it_ran_is_late(
    tmp_path: Path, workers: int, threads: int, where: str
) -> None:
    """What it had in hand has its 504; what it had not read is run by another worker."""
    config = CONFIG.format(workers=workers, threads=threads, timeout="2s, kill_grace: 500ms")
    with running(tmp_path, config, waits=WAITS) as site:
        inventory = Inventory(site, workers * threads)
        with Crowd(site.address, 8) as crowd:
            wait_until(lambda: len(crowd.visits) > 50)
            victim = site.pids("trivet: worker")[0]
            stop(site, victim, where)
            stopped = time.monotonic()
            wait_until(
                lambda: len(found := ready(site)) == workers and victim not in found, 15, "another one"
            )
            whole = time.monotonic() - stopped
            time.sleep(0.5)
        rest = inventory.check()
    took = sorted(visit.ended - visit.sent for visit in crowd.visits if visit.ended > stopped)
    print_report(
        f"{workers} workers of {threads}, one stopped {where}: {dict(crowd.outcomes())}",
        f"complete after {whole:.1f} s",
        f"99th percentile {took[int(0.99 * len(took))] * 1000:.0f} ms, longest {took[-1]:.2f} s; {rest}",
    )
    assert set(crowd.outcomes()) <= {"200", "504 deadline"}
    assert len(crowd.failures()) <= threads


def stop(site: Site, pid: int, where: str) -> None:
    """Stop it: anywhere; or with a request claimed and not entered; or with one over, and not idle yet."""
    for _ in range(5000):
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: " T " in Path(f"/proc/{pid}/stat").read_text(), 5, "its stop")
        (board,) = (
            view for view in map(read_board, (site.run_dir / "web").glob("w*.board")) if view.pid == pid
        )
        slot = board.slots[0]
        is_over = slot.state is SlotState.RUNNING and not slot.deadline
        if where == "anywhere" or (slot.state is SlotState.READING if where == "reading" else is_over):
            return
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.001)
    pytest.skip(f"never seen {where}")
