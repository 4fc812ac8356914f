"""Two thousand handshakes that never end, hellos that are none, and a thousand idle connections (D10)."""

import contextlib
import os
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from tests.endurance import crowds
from tests.whole.drills import seconds
from tests.whole.over import client_context, write_pair
from tests.whole.running import Site, running, wait_until

pytestmark = pytest.mark.drill

SECONDS = seconds(float(os.environ.get("ENDURANCE_SECONDS", "20")))
STALLED, IDLE = crowds.affordable(2000, 1.2), crowds.affordable(1000, 1.2)
# nginx needs 14 KiB, trio's SSLStream 24.
MOST_KIB = 32.0
APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"small"]
"""
CONFIG = """
listen:
  - 127.0.0.1:0
  - {address: "127.0.0.1:PORT", tls: {certificate: site.pem, key: site.key, handshake_timeout: 5s}}
proxy: {processes: 2}
limits: {connections: 20000, idle_timeout: 10m}
log: {access: off}
pools: {web: {app: app, workers: 2}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def plain_port(site: Site) -> int:
    return int(site.said().split("http://127.0.0.1:")[1].split("/")[0])


def shake_hands(port: int) -> ssl.SSLSocket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    return client_context().wrap_socket(sock, server_hostname="127.0.0.1")


def handshakes(port: int, count: int) -> float:
    """The median of so many whole handshakes, one after the other, in milliseconds."""
    took = []
    for _ in range(count):
        began = time.perf_counter()
        shake_hands(port).close()
        took.append((time.perf_counter() - began) * 1000)
    return sorted(took)[count // 2]


class Spoiler:
    """A hundred times a second somebody says something that is no hello."""

    def __init__(self, port: int) -> None:
        self.said = 0
        self._port = port
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Spoiler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(20)

    def _run(self) -> None:
        garbage = [b"\x16\x03\x01\x00\x40" + bytes(range(64)), bytes(300), os.urandom(300)]
        while not self._is_over.wait(0.01):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self._port), 10) as sock,
            ):
                sock.sendall(garbage[self.said % len(garbage)])
                self.said += 1
                sock.recv(1000)


def test_honest_clients_beside_handshakes_that_stall(tmp_path: Path) -> None:
    write_pair(tmp_path)
    port = free_port()
    with running(tmp_path, CONFIG.replace("PORT", str(port)), app=APP) as site:
        fronts, plain = crowds.fronts(site), plain_port(site)
        crowds.honest(plain, 3)
        alone, shaken = crowds.honest(plain, SECONDS), handshakes(port, 100)
        memory, descriptors = crowds.memory(fronts), crowds.descriptors(fronts)
        half = STALLED // 2
        with crowds.swarm(port, rate=400, mute=half, hello=half) as became, Spoiler(port) as spoiler:
            beside, shaken_beside = crowds.honest(plain, SECONDS), handshakes(port, 100)
            each = (crowds.memory(fronts) - memory) / STALLED / 1024
        wait_until(lambda: crowds.descriptors(fronts) <= descriptors + 20, 20, "the descriptors given back")
    print(f"{STALLED} stalled or spoilt: alone {alone}, {shaken:.1f} ms a handshake")
    print(f"beside {beside}, {shaken_beside:.1f} ms a handshake; {each:.1f} KiB each; {became}")
    print(f"{spoiler.said} spoilt hellos meanwhile")
    print(f"p99 {beside['p99'] / alone['p99']:.1f} times that of without (goal: 2)")
    assert alone["failed"] == beside["failed"] == 0
    assert beside["p99"] < 1000


def test_what_an_idle_connection_costs(tmp_path: Path) -> None:
    write_pair(tmp_path)
    port = free_port()
    with running(tmp_path, CONFIG.replace("PORT", str(port)), app=APP) as site:
        fronts = crowds.fronts(site)
        shake_hands(port).close()
        before = crowds.memory(fronts)
        clients = []
        try:
            for _ in range(IDLE):
                client = shake_hands(port)
                client.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
                answer = b""
                while not answer.endswith(b"small"):
                    answer += client.recv(4096)
                clients.append(client)
            each = (crowds.memory(fronts) - before) / IDLE / 1024
        finally:
            for client in clients:
                client.close()
    print(f"{each:.1f} KiB an idle connection over TLS, of {IDLE}")
    assert each < MOST_KIB
