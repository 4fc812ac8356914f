"""More clients than descriptors: the proxy does not spin, and serves as soon as there is room."""

import os
import resource
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.whole.crowd import Browser
from tests.whole.running import Site, running

pytestmark = pytest.mark.slow

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here"]
"""
CONFIG = """
proxy: {processes: 1}
log: {access: off}
pools: {web: {app: hello, workers: 1}}
"""
CLIENTS = 60
# Descriptors the proxy process may open beyond those it has: fewer than clients come.
ROOM = 20
SECONDS = 1.0
# A loop that spins uses all of a processor; ten tries a second use next to nothing.
MOST_BUSY = 0.25


def _proxy(site: Site) -> int:
    (found,) = site.pids(" process ")
    return found


def _seconds_of_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _leave_room(pid: int, room: int) -> None:
    """Let it open so many more descriptors."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(entry) for entry in os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + room, hard))


def _connected(site: Site, count: int) -> list[socket.socket]:
    """Clients that say nothing; the kernel's backlog takes those the proxy has no room for."""
    return [socket.create_connection(site.address, timeout=10) for _ in range(count)]


def _is_served(site: Site) -> bool:
    browser = Browser(site.address, timeout=10)
    try:
        return browser.ask("/").body == b"here"
    finally:
        browser.close()


def test_silent_and_idle_clients(tmp_path: Path) -> None:
    """Nobody is accepted while silent ones hold all there is; whoever was answered gives way to who asks."""
    with running(tmp_path, CONFIG, hello=HELLO) as site:
        assert _is_served(site)
        proxy = _proxy(site)
        _leave_room(proxy, ROOM)
        clients = _connected(site, CLIENTS)
        before = _seconds_of_cpu(proxy)
        time.sleep(SECONDS)
        used = (_seconds_of_cpu(proxy) - before) / SECONDS
        print(f"\n{used:.1%} of a processor while nobody can be accepted")
        assert used < MOST_BUSY
        assert 0 < site.said().count("no new connection can be accepted") < 5
        for client in clients:
            client.close()
        browsers = [Browser(site.address, timeout=10) for _ in range(CLIENTS)]
        for browser in browsers:
            assert browser.ask("/").body == b"here"
        for browser in browsers:
            browser.close()
        assert _proxy(site) == proxy


def test_a_slot_that_cannot_be_connected_to(tmp_path: Path) -> None:
    """The last descriptor is the client's own: its request waits for a slot until there is another one."""
    with running(tmp_path, CONFIG, hello=HELLO) as site:
        proxy = _proxy(site)
        limits = resource.prlimit(proxy, resource.RLIMIT_NOFILE)
        _leave_room(proxy, 1)
        served: list[bool] = []
        asking = threading.Thread(target=lambda: served.append(_is_served(site)))
        asking.start()
        before = _seconds_of_cpu(proxy)
        time.sleep(SECONDS)
        used = (_seconds_of_cpu(proxy) - before) / SECONDS
        print(f"\n{used:.1%} of a processor while no slot can be reached")
        assert served == []
        assert used < MOST_BUSY
        resource.prlimit(proxy, resource.RLIMIT_NOFILE, limits)
        asking.join(5)
        assert served == [True]
