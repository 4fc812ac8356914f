"""Rates over four proxy processes: as exact as the clock, also while the processes are killed one by one."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.whole.drills import seconds
from tests.whole.running import Site, running, wait_until

pytestmark = pytest.mark.drill

CLIENTS = 20
# Nobody reads as many lines; and of a client that hammers each is a refusal.
CONFIG = """
proxy: {processes: 4}
log: {access: off}
routes:
  - {path: /, respond: x, rate_limit: {rate: 100/s, burst: 1}}
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


class Crowd:
    """Clients with connections of their own; `passed`, `refused` and `lost` are of all of them."""

    def __init__(self, site: Site, count: int, length: float) -> None:
        self.passed = self.refused = self.lost = 0
        self.last_pass = 0.0
        self._address = ("127.0.0.1", site.port)
        self._lock = threading.Lock()
        self._until = time.monotonic() + length
        self._threads = [threading.Thread(target=self._ask) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _ask(self) -> None:
        while time.monotonic() < self._until:
            try:
                with socket.create_connection(self._address, 5) as sock:
                    self._ask_on(sock)
            except OSError:
                self._count(b"")

    def _ask_on(self, sock: socket.socket) -> None:
        while time.monotonic() < self._until:
            sock.sendall(REQUEST)
            status = sock.recv(65536)[9:12]  # an answer is one piece: head and a page of a few hundred bytes
            self._count(status)
            if not status:
                return
            # Some 2000 requests a second from all of them: enough to be refused most of the time.
            time.sleep(0.008)

    def _count(self, status: bytes) -> None:
        assert status in (b"200", b"429", b""), status
        with self._lock:
            self.passed += status == b"200"
            self.refused += status == b"429"
            self.lost += not status
            if status == b"200":
                self.last_pass = time.monotonic()


def test_a_hundred_a_second_are_a_hundred_a_second(tmp_path: Path) -> None:
    length = seconds(10)
    with running(tmp_path, CONFIG) as site:
        crowd = Crowd(site, CLIENTS, length)
        crowd.join()
    print(f"{length:g} s: {crowd.passed} passed, {crowd.refused} refused, {crowd.lost} lost")
    assert crowd.lost == 0
    assert abs(crowd.passed - 100 * length) <= 5 * length
    assert crowd.refused > crowd.passed


def test_processes_that_are_killed_make_it_neither_more_nor_less(tmp_path: Path) -> None:
    length = seconds(10)
    with running(tmp_path, CONFIG) as site:
        crowd = Crowd(site, CLIENTS, length)
        until = time.monotonic() + length - 1
        killed = 0
        while time.monotonic() < until:
            time.sleep(0.5)
            victims = wait_until(lambda: site.pids(" process "))
            os.kill(victims[killed % len(victims)], signal.SIGKILL)
            killed += 1
        crowd.join()
        ended = time.monotonic()
        wait_until(lambda: len(site.status()["proxy"]["processes"]) == 4, what="all processes are back")
    print(f"{length:g} s, {killed} killed: {crowd.passed} passed, {crowd.refused} refused, {crowd.lost} lost")
    # A request that was counted and whose process was killed before it answered is one fewer each time.
    assert 100 * length * 0.95 - killed * 5 <= crowd.passed <= 100 * length + 50
    assert ended - crowd.last_pass < 1.0, "it goes on"
