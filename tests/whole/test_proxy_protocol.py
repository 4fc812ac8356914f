"""A listener behind a balancer: its PROXY header names the client, and nobody is served without one."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.running import Site, running, wait_until

pytestmark = pytest.mark.slow

APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['REMOTE_ADDR']} {environ.get('HTTP_X_FORWARDED_FOR', '-')}".encode()]
"""
CONFIG = """
listen: {address: "127.0.0.1:0", proxy_protocol: [%s]}
log: {access: access.log}
proxy: {processes: 1}
pools: {web: {app: telling, workers: 1}}
"""
LINE = b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
BALANCER = """
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend in
    bind 127.0.0.1:{front} {accept}
    default_backend out
backend out
    server one 127.0.0.1:{port} {send}
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running(tmp_path, CONFIG % "127.0.0.0/8", telling=APP) as site:
        yield site


def say(site: Site, data: bytes) -> bytes:
    assert isinstance(site.address, tuple)
    with socket.create_connection(site.address, 10) as sock:
        sock.sendall(data)
        answer = b""
        try:
            while piece := sock.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass  # what we sent was not read
        return answer


def test_the_address_that_was_told_is_the_clients(site: Site) -> None:
    assert say(site, LINE + REQUEST).endswith(b"192.0.2.7 192.0.2.7")
    wait_until(lambda: "192.0.2.7 - - [" in (site.folder / "access.log").read_text() or None)


@pytest.mark.parametrize("data", [REQUEST, b"PROXY TCP4 nobody\r\n" + REQUEST, b"\x16\x03\x01\x00\x05hello"])
def test_nobody_is_served_without_it(site: Site, data: bytes) -> None:
    assert say(site, data) == b""
    assert say(site, LINE + REQUEST).startswith(b"HTTP/1.1 200")
    assert "PROXY" in site.said()


def test_nobody_but_the_balancer_may_say_it(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG % "192.0.2.0/24", telling=APP) as site:
        assert say(site, LINE + REQUEST) == b""
        assert "not one of those that proxy_protocol names" in site.said()


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id"])
def test_a_real_sender(site: Site, send: str, tmp_path: Path) -> None:
    """Told by us that the client is another, HAProxy passes it on in a header of its own making."""
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("needs haproxy: not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        front = free.getsockname()[1]
    assert isinstance(site.address, tuple)
    unique = "unique-id-format %rt\n    " if "unique-id" in send else ""
    text = BALANCER.format(front=front, accept="accept-proxy", port=site.address[1], send=send)
    (tmp_path / "haproxy.cfg").write_text(text.replace("default_backend", unique + "default_backend"))
    with open(tmp_path / "haproxy.txt", "wb") as out:
        balancer = subprocess.Popen(
            [program, "-db", "-f", str(tmp_path / "haproxy.cfg")], stdout=out, stderr=out
        )
    try:
        until = time.monotonic() + 15
        while True:
            try:
                with socket.create_connection(("127.0.0.1", front), 10) as sock:
                    sock.sendall(LINE + REQUEST)
                    answer = b"".join(iter(lambda: sock.recv(65536), b""))
                break
            except ConnectionRefusedError:
                assert time.monotonic() < until, (tmp_path / "haproxy.txt").read_text()
                time.sleep(0.1)
        assert answer.endswith(b"192.0.2.7 192.0.2.7"), answer
    finally:
        balancer.terminate()
        balancer.wait(10)
