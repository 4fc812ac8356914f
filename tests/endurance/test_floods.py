"""Floods of what costs its sender nothing: no leak, and CPU in proportion to bytes (rows D4 to D6, D12)."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.endurance import crowds
from tests.whole.leaks import Quiet
from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk

pytestmark = pytest.mark.drill

CONFIG = """
proxy: {processes: 1}
log: {access: off}
limits: {header_timeout: 2s, write_timeout: 3s}
routes: [{path: /small, respond: small}, {path: /, respond: "%s"}]
""" % ("x" * 1000)
GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
RESET = b"\1\0\0\0\0\0\0\0"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("floods"), CONFIG) as site:
        yield site


def connect_and_reset(site: Site) -> int:
    for _ in range(10_000):
        with socket.create_connection(site.address) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return 10_000 * 40


def connect_and_say_nothing(site: Site) -> int:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection(site.address)) for _ in range(2000)]
        for sock in socks:
            sock.settimeout(10)
            assert sock.recv(1) == b""  # header_timeout, without a word
    return 2000 * 40


def pipeline_and_read_nothing(site: Site) -> int:
    sent = 0
    with socket.create_connection(site.address) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(8)
        data = GET * 10_000
        with contextlib.suppress(OSError):  # not everything is taken, and in the end the connection goes
            while sent < len(data):
                sent += sock.send(data[sent : sent + 65536])
            sock.settimeout(8)
            time.sleep(4)
            while sock.recv(1 << 20):
                pass
    return sent * 20  # an answer is larger than its request


def lines_before_a_request(site: Site) -> int:
    return _refused(site, b"\r\n" * 1_000_000, 400)


def a_hundred_thousand_fields(site: Site) -> int:
    fields = b"".join(b"X-%d: y\r\n" % number for number in range(100_000))
    return _refused(site, GET[:-2] + fields + b"\r\n", 431)


def chunk_extensions(site: Site) -> int:
    return _refused(site, CHUNKED + (b"1;" + b"e" * 1000 + b"\r\nx\r\n") * 10_000, 400)


def one_endless_chunk_extension(site: Site) -> int:
    return _refused(site, CHUNKED + b"1;" + b"e" * 10_000_000, 400)


def a_target_without_an_end(site: Site) -> int:
    return _refused(site, b"GET /" + b"a" * 1_000_000, 414)


def _refused(site: Site, data: bytes, status: int) -> int:
    with Talk(site.address) as talk:
        with contextlib.suppress(OSError):
            talk.sock.sendall(data)
        try:
            assert talk.head()[1] in (status, 200)
        except OSError:
            pass  # what it sent after its answer has reset the connection
    return len(data)


FLOODS = [
    connect_and_reset,
    connect_and_say_nothing,
    pipeline_and_read_nothing,
    lines_before_a_request,
    a_hundred_thousand_fields,
    chunk_extensions,
    one_endless_chunk_extension,
    a_target_without_an_end,
]


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.__name__)
def test_flood(site: Site, flood: Callable[[Site], int]) -> None:
    fronts = crowds.fronts(site)
    crowds.honest(site.port, 0.5)
    quiet, memory, cpu = Quiet(fronts), crowds.memory(fronts), crowds.cpu_seconds(fronts)
    size = flood(site)
    wait_until(lambda: _connections(site) == 0, 10, "the end of every connection")
    cpu = crowds.cpu_seconds(fronts) - cpu
    growth = (crowds.memory(fronts) - memory) / 1024
    print(f"{flood.__name__}: {cpu:.2f} s for {size / 1e6:.1f} MB, {growth:.0f} KiB more")
    assert quiet.extra(5) == {}
    assert growth < 16 * 1024
    assert cpu < 0.5 + size * 15e-6  # 15 us a byte would be a tenth of what one byte a wake-up costs
    assert crowds.honest(site.port, 0.5)["failed"] == 0


def _connections(site: Site) -> int:
    (process,) = site.status()["proxy"]["processes"]
    found: int = process["connections"]
    return found
