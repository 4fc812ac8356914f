"""S15, faults 16 and 17: a request that breaks off at any byte never looks whole, wherever it arrives."""

import gzip
import socket
import struct
from collections.abc import Iterator

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.scripted import Upstream, scripted
from tests.whole.strangers import free_port
from tests.whole.talking import Talk
from tests.whole.volley import Address, Shot, fire
from tests.whole.witness import APPLICATION, Witness, ran

CONFIG = """
proxy: {processes: 1}
log: {access: access.log}
limits: {header_timeout: 2s, body_timeout: 2s}
routes:
  - {path: /stream/, pool: web, stream: true}
  - {path: /good/, upstream: "URL"}
  - {path: /, pool: web}
pools: {web: {app: witness, workers: 2, listen: "127.0.0.1:PORT"}}
"""
COUNTED = b"POST %b HTTP/1.1\r\nHost: a.example\r\nContent-Length: 11\r\n\r\nhello world"
CHUNKED = (
    b"POST %b HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n"
)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with scripted({}) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def site(upstream: Upstream, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    config = CONFIG.replace("URL", upstream.url).replace("PORT", str(port))
    with running(tmp_path_factory.mktemp("site"), config, witness=APPLICATION) as site:
        yield site
        assert "Traceback" not in site.said()


@pytest.fixture(scope="module")
def witness(site: Site) -> Witness:
    return Witness(site.folder)


def starts(target: bytes) -> list[bytes]:
    """Every beginning of a request with a body that is not the whole of it."""
    wholes = [COUNTED % target, CHUNKED % target]
    return [whole[:size] for whole in wholes for size in range(1, len(whole))]


@pytest.mark.parametrize("target", [b"/p", b"/stream/p", b"/good/1"])
def test_s15_at_the_proxy(target: bytes, site: Site, witness: Witness, upstream: Upstream) -> None:
    for outcome in fire(site.address, [Shot([start], answers=0) for start in starts(target)], 32):
        assert outcome.statuses in ([], [400])
        assert outcome.end != "open"
    assert_nothing_was_whole(site, witness, upstream)


@pytest.mark.parametrize("place", ["slot", "pool.sock", "tcp"])
def test_s15_at_the_pool(place: str, site: Site, witness: Witness, upstream: Upstream, port: int) -> None:
    web = site.run_dir / "web"
    slot = str(sorted(web.glob("w*.0.sock"))[0])
    addresses: dict[str, Address] = {
        "slot": slot, "pool.sock": str(web / "pool.sock"), "tcp": ("127.0.0.1", port)
    }  # fmt: skip
    shots = [Shot([start], answers=0) for start in starts(b"/p")]
    for outcome in fire(addresses[place], shots, 8):
        assert outcome.statuses == []
        assert outcome.end != "open"
    assert_nothing_was_whole(site, witness, upstream)


@pytest.mark.parametrize("target", [b"/p", b"/stream/p", b"/good/1"])
def test_s15_a_reset_is_no_end_either(
    target: bytes, site: Site, witness: Witness, upstream: Upstream
) -> None:
    for start in starts(target)[::3]:
        with socket.create_connection(site.address, 10) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.sendall(start)
    assert_nothing_was_whole(site, witness, upstream)


def test_s6_a_body_that_nobody_reads_is_no_request(site: Site, witness: Witness) -> None:
    """A GET with a body, and bodies on routes that answer without reading them."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"
    with Talk(site.address) as talk:
        talk.say(
            b"GET /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % len(smuggled), smuggled
        )
        assert talk.answer().status == 200
        assert talk.get("/b").status == 200
    runs = [run.ran.target for run in witness.new_runs()]
    assert runs == [b"/a", b"/b"]


def test_d9_an_encoded_body_is_nobodys_to_inflate(site: Site, witness: Witness) -> None:
    """64 MiB of zeros in 64 KiB arrive as the 64 KiB they are."""
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    with Talk(site.address) as talk:
        talk.say(f"POST /p HTTP/1.1\nHost: a\nContent-Encoding: gzip\nContent-Length: {len(bomb)}\n\n", bomb)
        assert talk.answer().status == 200
    (run,) = witness.new_runs()
    assert run.ran == ran(b"POST", b"/p", bomb)
    assert run.fields["HTTP_CONTENT_ENCODING"] == "gzip"


def assert_nothing_was_whole(site: Site, witness: Witness, upstream: Upstream) -> None:
    """Behind all that went wrong a good request is run: the only one, and the only 200 in the log."""
    with Talk(site.address) as talk:
        assert talk.get("/honest").status == 200
    assert [run.ran.target for run in witness.new_runs()] == [b"/honest"]
    assert upstream.asked == []
    log = site.folder / "access.log"
    wait_until(lambda: "/honest" in log.read_text(), 5, "the log")
    lines: list[str] = log.read_text().splitlines()
    log.write_text("")
    assert [line for line in lines if '1.1" 2' in line and "/honest" not in line] == []
