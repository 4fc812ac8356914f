"""D4, D5, D6, D12: what costs a client nothing to send must not cost us more, nor be kept.

The corpus has the verdicts on each (rows D4 and D5, tests/requests); here is what they cost a process that
serves others meanwhile. Slow clients by the thousand are another matter (rows D1 to D3).
"""

import fcntl
import os
import random
import socket
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk, ask
from tests.whole.volley import Shot, bytewise, fire

WELL = "well" * 500  # many of them are more than the kernels between us keep
CONFIG = f"""
proxy: {{processes: 1}}
log: {{access: off}}
limits: {{header_timeout: 5s, write_timeout: 20s}}
routes: [{{respond: {WELL}}}]
"""
MIB = 1024 * 1024
GOOD = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site"), CONFIG, verb="proxy") as site:
        ask(site.address, "/")
        yield site
        assert "Traceback" not in site.said()


@pytest.fixture
def pid(site: Site) -> Iterator[int]:
    """The proxy process; after each test it serves, and holds no more descriptors than before."""
    pid = max(site.processes())
    before = descriptors(pid)
    yield pid
    assert ask(site.address, "/").body == WELL.encode()
    wait_until(lambda: descriptors(pid) <= before, 10, "descriptors given back")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory(pid: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def seconds_of_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("what", "flood", "statuses"),
    [
        ("a line of 1 MiB", b"GET /" + b"a" * MIB, [414]),
        ("a head of 1 MiB", GOOD[:-2] + b"X: " + b"a" * MIB, [431]),
        ("100 000 fields", GOOD[:-2] + b"X: y\r\n" * 100_000, [431]),
        ("a million crumbs", GOOD[:-2] + b"Cookie: " + b"a=b; " * 1_000_000, [431]),
        ("empty lines", b"\r\n" * 500_000, [400]),
        ("carriage returns", b"\r" * MIB, [400]),
        ("zeros", bytes(MIB), [400]),
        ("one letter", b"G" * MIB, [414]),
    ],
)
def test_d4_d5_a_flood_ends_where_its_verdict_falls(
    what: str, flood: bytes, statuses: list[int], site: Site, pid: int
) -> None:
    before, cpu = memory(pid), seconds_of_cpu(pid)
    outcomes = fire(site.address, [Shot([flood])] * 10, 10)
    assert [outcome.statuses for outcome in outcomes] == [statuses] * 10, what
    assert memory(pid) - before < 8 * MIB, what
    assert seconds_of_cpu(pid) - cpu < 2.0, what  # ten times a megabyte, most of it thrown away unseen


def test_d4_a_head_byte_by_byte_is_a_head(site: Site, pid: int) -> None:
    head = GOOD[:-2] + b"Cookie: " + b"a" * 4000 + b"\r\nConnection: close\r\n\r\n"
    outcomes = fire(site.address, [Shot(bytewise(head))] * 8, 8)
    assert [outcome.statuses for outcome in outcomes] == [[200]] * 8


def test_d5_d12_connections_without_a_word(site: Site, pid: int) -> None:
    """Opened and closed, reset, or with an empty line: a thousand of each leave nothing behind."""
    for number in range(3000):
        with socket.create_connection(site.address, 5) as sock:
            if number % 3 == 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif number % 3 == 2:
                sock.sendall(b"\r\n")


def test_d6_ten_thousand_requests_and_nobody_reads(site: Site, pid: int) -> None:
    """One ahead at most: the rest waits in the client's own kernel, and others are served meanwhile."""
    before = memory(pid)
    count = 10_000
    padded = GOOD[:-2] + b"X: " + b"a" * 1000 + b"\r\n\r\n"
    with Talk(site.address, 30) as talk:
        talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender = threading.Thread(target=talk.sock.sendall, args=(padded * count,), daemon=True)
        sender.start()
        wait_until(lambda: is_still(talk.sock), 10, "the sender to be held up")
        assert sender.is_alive()
        for _ in range(20):
            assert ask(site.address, "/").body == WELL.encode()
        assert memory(pid) - before < 4 * MIB
        talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
        for _ in range(count):
            answer = talk.answer()
            assert (answer.status, answer.body) == (200, WELL.encode())
        sender.join(10)


def is_still(sock: socket.socket) -> bool:
    """Whether nothing of what waits to be sent moves for a moment."""
    seen = unsent(sock)
    return seen > 0 and all(unsent(sock) == seen for _ in range(20) if not threading.Event().wait(0.01))


def unsent(sock: socket.socket) -> int:
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)


def test_rubbish_of_every_kind(site: Site, pid: int) -> None:
    """Seeded noise: an answer or an end for each, and nothing in the log that should not be there."""
    chance = random.Random(4)
    shots = [Shot([chance.randbytes(chance.randint(1, 3000))], answers=0) for _ in range(300)]
    for outcome in fire(site.address, shots, 16):
        assert outcome.end != "open"
        assert set(outcome.statuses) <= {400, 414, 431, 501, 505}
