"""kill -9 of any process: the service answers again within 2 s without an operator, and nothing is left."""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.whole.crowd import Browser, Crowd
from tests.whole.running import Site, running, wait_until

pytestmark = pytest.mark.slow

# What the issue promises, in seconds.
AGAIN = 2.0
GONE = 2.0
CLOSED = {"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError"}
SLEEPER = """
import os, time

def application(environ, start_response):
    what, _, value = environ["QUERY_STRING"].partition("=")
    if what == "sleep":
        print("asleep", flush=True)
        time.sleep(float(value))
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{value} {os.getpid()}".encode()]
"""
CONFIG = """
{listen}
proxy: {{processes: 2}}
log: {{access: off}}
stop_timeout: 5s
pools: {{web: {{app: sleeper, workers: 2, threads: {threads}}}}}
"""


ALL = {
    r"trivet: serve .*": 1,
    r"trivet: pool web": 1,
    r"trivet: worker web \d+ .*": 2,
    r"trivet: proxy \S+": 1,
    r"trivet: proxy \S+ process \d+": 2,
}


def _config(threads: int = 1, port: int = 0) -> str:
    return CONFIG.format(listen=f"listen: 127.0.0.1:{port}", threads=threads)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Asked:
    """A request in a thread of its own, under way once the application has it."""

    def __init__(self, site: Site, method: str, seconds: float) -> None:
        self.outcome = ""
        before = site.said().count("asleep")
        self._browser = Browser(site.address)
        self._thread = threading.Thread(target=self._run, args=(method, seconds), daemon=True)
        self._thread.start()
        wait_until(lambda: site.said().count("asleep") > before, 10, "the request in the application")

    def answer(self) -> str:
        self._thread.join(15)
        assert not self._thread.is_alive()
        return self.outcome

    def _run(self, method: str, seconds: float) -> None:
        try:
            answer = self._browser.ask(f"/?sleep={seconds}", method, b"x" if method == "POST" else None)
        except Exception as error:
            self.outcome = type(error).__name__
            return
        finally:
            self._browser.close()
        why = re.search(rb"reason: (\S+)", answer.body)
        self.outcome = f"{answer.status}" + (f" {why[1].decode()}" if why else "")


def _busy_worker(site: Site) -> int:
    """The pid of the worker that runs a request."""
    workers = site.pool_status()["workers"]
    return next(
        int(worker["pid"])
        for worker in workers
        if any(slot["state"] == "running" and "sleep" in slot["path"] for slot in worker["slots"])
    )


def _only(site: Site, title: str) -> int:
    """The pid of the only process with exactly this title."""
    (found,) = [pid for pid, its in site.processes().items() if re.fullmatch(title, its)]
    return found


def _is_complete(site: Site) -> bool:
    titles = list(site.processes().values())
    return len(titles) == sum(ALL.values()) and all(
        sum(bool(re.fullmatch(title, found)) for found in titles) == count for title, count in ALL.items()
    )


KINDS: dict[str, Callable[[Site], int]] = {
    "worker": _busy_worker,
    "proxy process": lambda site: site.pids(" process ")[0],
    "proxy master": lambda site: _only(site, r"trivet: proxy \S+"),
    "pool master": lambda site: _only(site, "trivet: pool web"),
}


@pytest.mark.parametrize(
    ("threads", "kinds"), [(1, [*KINDS]), pytest.param(2, [*KINDS], marks=pytest.mark.drill)]
)
def test_any_process_below_serve(tmp_path: Path, threads: int, kinds: list[str]) -> None:
    with running(tmp_path, _config(threads), sleeper=SLEEPER) as site:
        for kind in kinds:
            get, post = Asked(site, "GET", 1.0), Asked(site, "POST", 1.0)
            victim = KINDS[kind](site)
            with Crowd(site.address, 4, pause=0.02) as crowd:
                os.kill(victim, signal.SIGKILL)
                killed = time.monotonic()
                outcomes = get.answer(), post.answer()
                wait_until(lambda: _is_complete(site), what=f"all after the {kind}: {site.processes()}")
                whole = time.monotonic() - killed
                time.sleep(max(0.0, killed + AGAIN + 0.2 - time.monotonic()))
            late = [visit for visit in crowd.failures() if visit.ended > killed + AGAIN]
            failures = dict(crowd.outcomes() - Counter({"200": len(crowd.visits)}))
            print(f"\n{kind}: complete after {whole:.2f} s; GET, POST: {outcomes}; others: {failures}")
            assert late == [], kind
            assert [visit for visit in crowd.visits if visit.sent > killed + AGAIN], kind
            assert "200" in [visit.outcome for visit in crowd.visits if visit.ended < killed + AGAIN]
            if kind == "worker":
                assert "502 worker_died" in outcomes or outcomes == ("200", "200"), outcomes
                assert outcomes[0] == "200"
            elif kind != "proxy process":
                assert outcomes == ("200", "200"), kind
            # A proxy that leaves closes idle connections, and a client may ask just then (RFC 9112, 9.5).
            assert set(failures) <= CLOSED | ({"502 worker_died"} if kind == "worker" else set()), kind


class Departure:
    """When the last process of a site was gone, watched from now on."""

    def __init__(self, site: Site) -> None:
        self._began = time.monotonic()
        self._took = float("inf")
        self._thread = threading.Thread(target=self._watch, args=(site,), daemon=True)
        self._thread.start()

    def took(self) -> float:
        self._thread.join(10)
        return self._took

    def _watch(self, site: Site) -> None:
        wait_until(lambda: not site.processes(), 10)
        self._took = time.monotonic() - self._began


@pytest.mark.parametrize(
    "case",
    ["idle", "one long request", pytest.param("long requests in threads", marks=pytest.mark.drill)],
)
def test_serve_itself(tmp_path: Path, case: str) -> None:
    threads = 2 if case == "long requests in threads" else 1
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    first = Site(tmp_path, _config(threads, _free_port())).start()
    second = Site(tmp_path, first.file.read_text())
    second.out = tmp_path / "again.txt"
    kept, fresh = Browser(first.address), Browser(first.address)
    try:
        assert kept.ask("/").status == 200
        asked = [Asked(first, "GET", 10.0) for _ in range(0 if case == "idle" else threads)]
        os.kill(first.pid, signal.SIGKILL)
        killed, departure = time.monotonic(), Departure(first)
        first.process.wait(5)
        second.start()
        ready = time.monotonic() - killed
        gone = departure.took()
        print(f"\n{case}: all gone {gone:.2f} s after the kill, ready again after {ready:.2f} s")
        assert gone < GONE
        assert fresh.ask("/").status == 200
        assert all(one.answer() != "200" for one in asked)
        assert _is_complete(second)
        assert second.stop() == 0
        assert not second.run_dir.exists()
    finally:
        kept.close()
        fresh.close()
        for site in (first, second):
            if hasattr(site, "process") and (site.process.poll() is None or site.processes()):
                site.abandon()


def test_a_run_directory_is_taken_over_from_the_dead_only(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    first = Site(tmp_path, _config()).start()
    for pid in [first.pid, *first.processes()]:
        with contextlib.suppress(ProcessLookupError):  # one may have seen its master's end already
            os.kill(pid, signal.SIGKILL)
    first.process.wait(5)
    left = sorted(path.relative_to(tmp_path) for path in first.run_dir.rglob("*"))
    assert Path("run/web/idle.fifo") in left
    first.out.unlink()
    # A worker's number is never used again, not even then: its board may still be open somewhere.
    boards = {int(path.stem[1:]) for path in first.run_dir.glob("web/w*.board")}
    with running(tmp_path, _config()) as site:
        browser = Browser(site.address)
        assert browser.ask("/").status == 200
        browser.close()
        found = {worker["incarnation"] for worker in site.status()["pools"]["web"]["workers"]}
        assert min(found) > max(boards)
        second = site.command("serve", "trivet.yaml")
        assert second.returncode == 1
        assert len(second.stderr.splitlines()) == 1
        assert f"by process {site.pid} in {site.run_dir};" in second.stderr
