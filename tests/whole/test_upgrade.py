"""USR2: the program as it is installed now starts on the same sockets; the old one leaves when it is up."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.deployed.machine import LOAD, Load
from tests.whole.running import Site, wait_until
from tests.whole.talking import ask

pytestmark = pytest.mark.slow

APP = """
import os, time
VERSION = "one"
def application(environ, start_response):
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
