"""USR2: the program as it is installed now starts on the same sockets; the old one leaves when it is up."""

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.deployed.machine import LOAD, Load
from tests.whole.running import Site, wait_until
from tests.whole.talking import ask

pytestmark = pytest.mark.slow

APP = """
import os, time
VERSION = "one"
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        open("slow", "w").close()
        time.sleep(4)
    time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"version {VERSION}".encode()]
"""
CONFIG = """
listen: ["127.0.0.1:%d", "unix:http.sock"]
log: {access: access.log}
proxy: {processes: 2}
pools: {web: {app: hello, workers: 2}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "hello.py").write_text(APP)
    return Site(tmp_path, CONFIG % port)


def master(site: Site) -> int:
    """The one that is left; each has the same title."""
    (pid,) = site.pids("trivet: serve")
    return pid


def upgrade(site: Site) -> int:
    """Ask for one, and wait until the old version has left; the pid of the new one."""
    before = master(site)
    os.kill(before, signal.SIGUSR2)
    wait_until(lambda: before not in site.pids("trivet: serve"), 60, "the old version leaves: " + site.said())
    return master(site)


def end(site: Site) -> None:
    if left := site.pids("trivet: serve"):
        os.kill(left[0], signal.SIGTERM)
        wait_until(lambda: not site.processes(), 30, f"all leave: {site.said()}")


def start_successor(site: Site) -> int:
    """Ask for one whose application takes its time to load; its pid, as soon as there is one."""
    (site.folder / "hello.py").write_text("import time\ntime.sleep(2)\n" + APP.replace('"one"', '"two"'))
    os.kill(site.pid, signal.SIGUSR2)

    def found() -> int | None:
        match = re.search(r"upgrade: process (\d+) was started", site.said())
        return int(match[1]) if match else None

    return wait_until(found, 20, site.said())


def answers(site: Site, path: str = "/") -> list[bytes]:
    """What both listeners say."""
    where: list[Any] = [("127.0.0.1", site.port), str(site.folder / "http.sock")]
    return [ask(address, path).body for address in where]


def wait_until_two_answers(site: Site) -> None:
    """Nobody is refused meanwhile. What a killed version had accepted in its last moment is lost with it."""

    def look() -> bool:
        try:
            return answers(site) == [b"version two"] * 2
        except (AssertionError, ConnectionResetError):
            return False

    wait_until(look, 20, site.said())


def times_ready(site: Site) -> int:
    return len(re.findall(r"^ready in ", site.said(), re.MULTILINE))


@contextmanager
def slow_request(site: Site) -> Iterator[Callable[[], bytes]]:
    """A request of four seconds, begun; what comes of it."""
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(ask, ("127.0.0.1", site.port), "/slow")
        wait_until(lambda: (site.folder / "slow").exists(), 10, "it has reached the application")
        yield lambda: asked.result(20).body


def all_gone(site: Site) -> None:
    wait_until(lambda: not site.processes(), 30, f"all leave: {site.processes()} {site.said()}")
    assert not site.run_dir.exists(), sorted(site.run_dir.rglob("*"))
    assert not (site.folder / "http.sock").exists()


@pytest.mark.parametrize("is_new_up", [False, True], ids=["while it starts", "once it runs"])
def test_the_old_version_killed_before_the_hand_over_leaves_the_site_to_the_new_one(
    site: Site, is_new_up: bool
) -> None:
    site.start()
    try:
        new = start_successor(site)
        if is_new_up:
            wait_until(lambda: len(site.pids("trivet: serve")) == 2, 20, site.said())
        os.kill(site.pid, signal.SIGKILL)
        site.process.wait(10)
        wait_until_two_answers(site)
        wait_until(lambda: f"process {new}" in site.command("status").stdout, 20, site.said())
        assert "the old version has ended already; this one goes on alone" in site.said()
        assert site.command("reload").returncode == 0
        assert site.command("stop").returncode == 0
        all_gone(site)
    finally:
        site.abandon()


def test_an_orphan_that_cannot_start_leaves_nothing(site: Site) -> None:
    site.start()
    try:
        (site.folder / "hello.py").write_text("import time\ntime.sleep(1)\nimport nothing_of_the_kind\n")
        os.kill(site.pid, signal.SIGUSR2)
        wait_until(lambda: len(site.pids("trivet: serve")) == 2, 20, site.said())
        os.kill(site.pid, signal.SIGKILL)
        site.process.wait(10)
        all_gone(site)
        assert "nothing_of_the_kind" in site.said()
    finally:
        site.abandon()


@pytest.mark.parametrize("how", ["TERM", "INT", "trivet stop"])
def test_a_stop_during_an_upgrade_stops_both(site: Site, how: str) -> None:
    site.start()
    try:
        start_successor(site)
        wait_until(lambda: len(site.pids("trivet: serve")) == 2, 20, site.said())
        if how == "trivet stop":
            assert site.command("stop").returncode == 0
            assert site.processes() == {}
        else:
            os.kill(site.pid, getattr(signal, f"SIG{how}"))
        assert site.process.wait(20) == 0
        all_gone(site)
        assert times_ready(site) == 1
    finally:
        site.abandon()


@pytest.mark.parametrize("how", ["TERM to the new one", "trivet stop"])
def test_a_stop_while_the_old_version_finishes_waits_for_it(site: Site, how: str) -> None:
    site.start()
    try:
        with slow_request(site) as result:
            new = start_successor(site)
            wait_until(lambda: times_ready(site) == 2, 20, site.said())
            assert len(site.pids("trivet: serve")) == 2
            if how == "trivet stop":
                assert f"process {new}" in site.command("status").stdout
                assert site.command("stop").returncode == 0
                assert site.processes() == {}
            else:
                os.kill(new, signal.SIGTERM)
            assert result() == b"version one"
        all_gone(site)
    finally:
        site.abandon()


def test_the_new_version_killed_while_the_old_one_finishes_is_started_again(site: Site) -> None:
    site.start()
    try:
        with slow_request(site) as result:
            new = start_successor(site)
            wait_until(lambda: times_ready(site) == 2, 20, site.said())
            os.kill(new, signal.SIGKILL)
            wait_until_two_answers(site)
            assert result() == b"version one"
        wait_until(lambda: site.pid not in site.pids("trivet: serve"), 20, site.said())
        assert "the new version was ended before the old one had left" in site.said()
        assert answers(site) == [b"version two"] * 2
        assert f"process {master(site)}" in site.command("status").stdout
        assert site.command("stop").returncode == 0
        all_gone(site)
    finally:
        site.abandon()


def test_neither_a_reload_during_an_upgrade_nor_an_upgrade_during_a_reload(site: Site) -> None:
    site.start()
    try:
        start_successor(site)
        refused = site.command("reload")
        assert (refused.returncode, refused.stderr) == (1, "trivet: reload failed: an upgrade is going on\n")
        os.kill(site.pid, signal.SIGUSR2)
        wait_until(lambda: "no upgrade now: one is going on" in site.said(), 10, site.said())
        wait_until(lambda: site.pid not in site.pids("trivet: serve"), 20, site.said())
        second = master(site)
        with ThreadPoolExecutor(1) as threads:
            reload = threads.submit(site.command, "reload")
            wait_until(lambda: "reloading" in site.command("status").stdout, 10, site.said())
            os.kill(second, signal.SIGUSR2)
            wait_until(lambda: "no upgrade now: a start, a reload or a stop" in site.said(), 10, site.said())
            assert reload.result(30).returncode == 0
        assert site.command("stop").returncode == 0
        all_gone(site)
    finally:
        site.abandon()


def test_what_a_killed_second_version_has_left_is_swept_at_the_next_start(site: Site) -> None:
    site.start()
    try:
        second = upgrade(site)
        os.kill(second, signal.SIGKILL)
        site.process.wait(10)
        wait_until(lambda: not site.processes(), 20, site.said())
        assert (site.run_dir / ".b/control.sock").exists()
        assert site.command("status").returncode == 3
        site.start()
        wait_until(lambda: not (site.run_dir / ".b").exists(), 5, "it is swept")
        assert f"process {site.pid}" in site.command("status").stdout
        assert site.command("stop").returncode == 0
        all_gone(site)
    finally:
        site.abandon()


def test_under_load_nobody_is_refused_and_nothing_fails(site: Site) -> None:
    site.start()
    try:
        url = f"http://127.0.0.1:{site.port}/"
        clients = Load([sys.executable, str(LOAD), url, "120"])
        (site.folder / "hello.py").write_text(APP.replace('"one"', '"two"'))
        second = upgrade(site)
        assert ask(("127.0.0.1", site.port), "/").body == b"version two"
        assert (site.folder / "run/.b/control.sock").exists()
        assert f"process {second}" in site.command("status").stdout
        (site.folder / "hello.py").write_text(APP.replace('"one"', '"three"'))
        upgrade(site)
        assert (site.folder / "run/control.sock").exists()  # and back again
        assert site.command("reload").returncode == 0
        result = clients.result()
        print(f"two upgrades under load: {result['found']}")
        assert list(result["found"]) == ["200"], result
        assert set(result["bodies"]) == {"version one", "version two", "version three"}
        assert ask(str(site.folder / "http.sock"), "/").body == b"version three"
    finally:
        end(site)
        site.process.wait(10)
    assert not site.run_dir.exists()
    assert not (site.folder / "http.sock").exists()


def test_a_new_version_that_does_not_start_leaves_the_old_one_serving(site: Site) -> None:
    site.start()
    try:
        (site.folder / "hello.py").write_text("import nothing_of_the_kind\n")
        os.kill(site.pid, signal.SIGUSR2)
        wait_until(lambda: "upgrade failed" in site.said(), 60, "the failure is told")
        assert "nothing_of_the_kind" in site.said()
        assert site.pids("trivet: serve") == [site.pid]
        assert ask(("127.0.0.1", site.port), "/").body == b"version one"
        assert ask(str(site.folder / "http.sock"), "/").body == b"version one"
        assert f"process {site.pid}" in site.command("status").stdout
        (site.folder / "hello.py").write_text(APP.replace('"one"', '"two"'))
        upgrade(site)
        assert ask(("127.0.0.1", site.port), "/").body == b"version two"
    finally:
        end(site)
        site.process.wait(10)


def test_a_second_start_finds_the_version_that_was_upgraded(site: Site) -> None:
    site.start()
    try:
        upgrade(site)
        other = site.command("serve", "trivet.yaml")
        assert other.returncode == 1
        assert "this site runs already" in other.stderr
        assert site.command("stop").returncode == 0
        deadline = time.monotonic() + 10
        while site.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert site.processes() == {}
    finally:
        end(site)
        site.process.wait(10)
