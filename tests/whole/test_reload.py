"""Reloads: new code without a failed request; a broken file or release changes nothing and says why."""

import http.client
import re
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.whole.crowd import Browser, Crowd
from tests.whole.drills import Inventory, files, print_report, share
from tests.whole.running import Site, running, wait_until

pytestmark = pytest.mark.usefixtures("over")

RELOADS, CLIENTS, SLOTS = share(20, 5), 64, 4
RELOADED = re.compile(r"\[serve \d+\] reloaded")
REFUSED = re.compile(r"\[serve \d+\] .*reload failed")
RELEASE = """
import time

def application(environ, start_response):
    mark = environ["QUERY_STRING"].removeprefix("mark=")
    environ["wsgi.input"].read()
    time.sleep(1.0 if environ["PATH_INFO"] == "/slow" else 0.002)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Release", "NAME")])
    return [f"{mark} NAME".encode()]
"""
# The listening address stays: the one who reloads has connections open on it.
CONFIG = """
listen: 127.0.0.1:0
proxy: {processes: 2}
log: {access: off}
pools: {web: {app: release, workers: 2, threads: 2, reload: {timeout: 10s}}}
"""
BROKEN = {
    "a syntax error": ("def application(:\n", "SyntaxError"),
    "an exception": ("raise ValueError('a word of the release')\n", "ValueError: a word of the release"),
    "an exit": ("import os\nos._exit(3)\n", "exited with status 3"),
}


HANGING = {"an import that hangs": ("import time\ntime.sleep(600)\n", "10 s")}


def _release(name: str) -> str:
    return RELEASE.replace("NAME", name)


def _served(crowd: Crowd) -> list[str]:
    """The releases that answered, in the order in which their answers came."""
    return [visit.said.split(b" ")[1].decode() for visit in crowd.visits if visit.outcome == "200"]


class Slow:
    """Requests that take longer than a reload, one after the other: what is begun is finished."""

    def __init__(self, site: Site) -> None:
        self.outcomes: Counter[str] = Counter()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(site,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self, site: Site) -> None:
        while not self._is_over.is_set():
            browser = Browser(site.address, keeps=False)
            try:
                self.outcomes[str(browser.ask("/slow", "POST", b"x").status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[type(error).__name__] += 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reloads", "clients"), [(2, 8), pytest.param(RELOADS, CLIENTS, marks=pytest.mark.drill)]
)
def test_under_load(tmp_path: Path, over: str, reloads: int, clients: int) -> None:
    is_full = reloads == RELOADS
    reloads = reloads if over == "http" else 2 + reloads // 10
    took = []
    with running(tmp_path, CONFIG, release=_release("r0")) as site:
        inventory = Inventory(site, SLOTS)
        slow = Slow(site)
        with Crowd(site.address, clients) as crowd:
            for number in range(1, reloads + 1):
                (tmp_path / "release.py").write_text(_release(f"r{number}"))
                began = time.monotonic()
                _reload(site, by_signal=number % 4 == 2)
                took.append(time.monotonic() - began)
                asked = time.monotonic()
                wait_until(lambda asked=asked: sum(visit.sent > asked for visit in crowd.visits) > 8)
                after = {visit.said.split(b" ")[1] for visit in crowd.visits if visit.sent > asked}
                assert after == {f"r{number}".encode()}
            if is_full:
                _try_broken_releases(site)
                asked = time.monotonic()
                wait_until(lambda: sum(visit.sent > asked for visit in crowd.visits) > 8)
        slow.end()
        rest = inventory.check()
    visits = crowd.visits
    print_report(
        f"{reloads} reloads of {took and sum(took) / len(took):.2f} s under {clients} clients",
        f"{len(visits)} requests: {dict(crowd.outcomes())}; of 1 s: {dict(slow.outcomes)}",
        f"longest {max(visit.ended - visit.sent for visit in visits):.2f} s; {rest}",
    )
    assert crowd.failures() == []
    assert set(slow.outcomes) == {"200"}
    assert _served(crowd)[-1] == f"r{reloads}"


def _reload(site: Site, by_signal: bool) -> None:
    if by_signal:
        said = len(RELOADED.findall(site.said()))
        site.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(RELOADED.findall(site.said())) > said, 30, "HUP")
    else:
        done = site.command("reload")
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("trivet.yaml: reloaded\n"), done.stdout


def _try_broken_releases(site: Site) -> None:
    """Each is refused with its reason, and whoever is served meanwhile is served by the old one."""
    good = (site.folder / "release.py").read_text()
    workers = site.pids("trivet: worker")
    for case, (text, words) in (BROKEN | HANGING).items():
        (site.folder / "release.py").write_text(text)
        began = time.monotonic()
        done = site.command("reload")
        seconds = time.monotonic() - began
        print(f"\n{case}: exit status {done.returncode} after {seconds:.1f} s, {done.stderr.strip()[:200]!r}")
        assert done.returncode == 1, case
        assert words in done.stderr, (case, done.stderr)
        assert words in site.said(), case
        assert site.pids("trivet: worker") == workers, case
    (site.folder / "release.py").write_text(good)


def _are_all_ready(site: Site) -> bool:
    status = site.pool_status()
    return bool(status["ready"] == status["wanted"])


def test_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    with (
        running(tmp_path, CONFIG, release=_release("r0")) as site,
        Crowd(site.address, 4, pause=0.02) as crowd,
    ):
        wait_until(
            lambda: _are_all_ready(site), 20, "all workers"
        )  # or the last would load what is written next
        workers = site.pids("trivet: worker")
        (tmp_path / "release.py").write_text(_release("r1"))
        site.file.write_text(site.file.read_text() + "worker: 4\n")
        done = site.command("reload")
        assert (done.returncode, done.stdout) == (1, "")
        assert re.search(r"trivet\.yaml:\d+: .*worker", done.stderr), done.stderr
        site.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(REFUSED.findall(site.said())) == 2, 10)
        assert site.pids("trivet: worker") == workers
    assert crowd.failures() == []
    assert set(_served(crowd)) == {"r0"}


@pytest.mark.slow
def test_a_broken_release_leaves_the_old_one(tmp_path: Path) -> None:
    with (
        running(tmp_path, CONFIG, release=_release("r0")) as site,
        Crowd(site.address, 4, pause=0.02) as crowd,
    ):
        wait_until(
            lambda: _are_all_ready(site), 20, "all workers"
        )  # or the last would load what is written next
        workers, before = site.pids("trivet: worker"), files(site)
        for case, (text, words) in BROKEN.items():
            (tmp_path / "release.py").write_text(text)
            done = site.command("reload")
            assert (done.returncode, done.stdout) == (1, ""), case
            assert words in done.stderr, (case, done.stderr)
            assert words in site.said(), case
            assert site.pids("trivet: worker") == workers, case
            assert files(site) == before, case
        (tmp_path / "release.py").write_text(_release("r1"))
        assert site.command("reload").returncode == 0
        asked = time.monotonic()
        wait_until(lambda: any(visit.sent > asked for visit in crowd.visits))
    assert crowd.failures() == []
    assert sorted(set(_served(crowd))) == ["r0", "r1"]
