"""A client that takes 10 KiB a second of 5 MiB holds no slot: the only one serves the next at once."""

import socket
import statistics
import threading
import time
from pathlib import Path

import pytest

from tests.whole.over import connected
from tests.whole.running import running
from tests.whole.talking import Talk

pytestmark = pytest.mark.usefixtures("over")

DOWNLOAD = """
def application(environ, start_response):
    is_large = environ["PATH_INFO"] == "/large"
    start_response("200 OK", [("Content-Length", str(80 * 65536 if is_large else 5))])
    return (bytes([n]) * 65536 for n in range(80)) if is_large else [b"small"]
"""
CONFIG = """
proxy: {processes: 1}
pools: {web: {app: download, workers: 1, threads: 1}}
"""


def delays(address: tuple[str, int], count: int) -> list[float]:
    """Milliseconds of so many small requests, each on a new connection."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        with Talk(address) as talk:
            assert talk.get("/small").body == b"small"
        found.append((time.perf_counter() - began) * 1000)
    return found


def test_a_slow_download_delays_nobody(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, download=DOWNLOAD) as site:
        delays(site.address, 20)
        alone = delays(site.address, 60)
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(5)
        slow.connect(site.address)
        slow = connected(site.address, slow)
        slow.sendall(b"GET /large HTTP/1.1\r\nHost: a.example\r\n\r\n")
        taken = [slow.recv(1024)]  # the answer has begun
        is_over = threading.Event()

        def take_slowly() -> None:
            while not is_over.wait(0.1):
                taken.append(slow.recv(1024))

        taker = threading.Thread(target=take_slowly)
        taker.start()
        try:
            first, *beside = delays(site.address, 60)
        finally:
            is_over.set()
            taker.join(10)
        assert len(b"".join(taken)) < 200_000  # it is still far from its end
        slow.sendall(b"GET /small HTTP/1.0\r\n\r\n")
        while piece := slow.recv(65536):
            taken.append(piece)
        slow.close()
    _, large, small = b"".join(taken).split(b"\r\n\r\n")
    assert large.startswith(b"".join(bytes([n]) * 65536 for n in range(80)) + b"HTTP/1.1 200 OK")
    assert small == b"small"
    figures = f"median {statistics.median(alone):.2f} ms alone, {statistics.median(beside):.2f} ms beside"
    print(
        f"second client: {figures}, first {first:.2f} ms, longest {max(beside):.2f} ({max(alone):.2f} alone)"
    )
    # Bounds a loaded machine keeps; had the slot been held, it would have been minutes.
    assert first < 1000
    assert statistics.median(beside) < 3 * statistics.median(alone) + 5, figures
