"""Clients that leave at each byte of what they ask and are told.

No application runs on a part of a body, the slot is free again, the log says that the client left, and
nothing is held afterwards. The ordinary run takes some of the bytes, the drill all of them.
"""

import json
import random
import socket
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.whole.drills import seconds
from tests.whole.leaks import Quiet
from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk

pytestmark = pytest.mark.slow

NOTING = """
import hashlib, os, time
here = os.path.dirname(__file__)
runs = os.open(os.path.join(here, "runs.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def application(environ, start_response):
    body = environ["wsgi.input"].read()
    os.write(runs, f"{environ['QUERY_STRING']} {hashlib.sha256(body).hexdigest()}\\n".encode())
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/long":
        return (b"%07d\\n" % n * 4096 for n in range(512))
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.3)
    return [b"noted"]
"""
CONFIG = """
proxy: {processes: 1}
spool: {dir: spool, memory: 1KiB}
log: {access: access.log, format: json, error: error.log}
routes:
  - {path: /static/, files: static}
  - {path: /stream, pool: web, stream: true}
  - {path: /, pool: web}
pools: {web: {app: noting, workers: 1, threads: 1}}
"""
BODY = random.Random(16).randbytes(2000)
CHUNKS = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (BODY[:7], BODY[7:1500], BODY[1500:]))
CHUNKED = CHUNKS + b"0\r\n\r\n"
RESET = struct.pack("ii", 1, 0)


class Exchange(NamedTuple):
    """`head` has one %s, the mark."""

    head: str
    body: bytes = b""
    is_run: bool = True

    def bytes(self, mark: str) -> bytes:
        return (self.head % mark).replace("\n", "\r\n").encode() + self.body


EXCHANGES = {
    "file": Exchange("GET /static/small.txt?%s HTTP/1.1\nHost: a\nConnection: close\n\n", is_run=False),
    "pool": Exchange("GET /?%s HTTP/1.1\nHost: a\nConnection: close\n\n"),
    "spooled": Exchange(
        f"POST /?%s HTTP/1.1\nHost: a\nConnection: close\nContent-Length: {len(BODY)}\n\n", BODY
    ),
}
UPLOADS = {
    "counted": EXCHANGES["spooled"],
    "chunked": Exchange(
        "POST /?%s HTTP/1.1\nHost: a\nConnection: close\nTransfer-Encoding: chunked\n\n", CHUNKED
    ),
    "counted, streamed": Exchange(
        f"POST /stream?%s HTTP/1.1\nHost: a\nConnection: close\nContent-Length: {len(BODY)}\n\n", BODY
    ),
    "chunked, streamed": Exchange(
        "POST /stream?%s HTTP/1.1\nHost: a\nConnection: close\nTransfer-Encoding: chunked\n\n", CHUNKED
    ),
}


class Leaver:
    """Asks, leaves early, and knows afterwards what became of it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._marks = 0
        for exchange in EXCHANGES.values():
            assert self.whole(exchange)
        self.quiet = Quiet(site.processes(), [site.folder / "spool"])

    def mark(self) -> str:
        self._marks += 1
        return f"m{self._marks:06}"

    def whole(self, exchange: Exchange) -> bytes:
        """Everything the exchange's answer consists of."""
        with Talk(self.site.address) as talk:
            return talk.say(exchange.bytes(self.mark())).file.read()

    def leave(self, exchange: Exchange, sent: int, taken: int, is_reset: bool) -> str:
        """Send and take so many bytes, then close or reset; the mark."""
        mark = self.mark()
        with Talk(self.site.address) as talk:
            talk.say(exchange.bytes(mark)[:sent])
            talk.exactly(taken)
            if is_reset:
                talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        return mark

    def end_early(self, exchange: Exchange, sent: int, address: tuple[str, int] | str) -> tuple[str, bytes]:
        """Send so many bytes and the end of our side; the mark, and all that is said to it."""
        mark = self.mark()
        with Talk(address) as talk:
            talk.say(exchange.bytes(mark)[:sent])
            try:
                talk.sock.shutdown(socket.SHUT_WR)
                return mark, talk.file.read()
            except OSError:
                return mark, b""

    def is_well(self) -> None:
        """The slot is free and nothing is held that was not before."""
        assert b" 200 " in self.whole(EXCHANGES["pool"])[:15]
        assert self.quiet.extra(5.0) == {}

    def runs(self) -> dict[str, list[str]]:
        """The digests of the bodies that the application had read whole, by mark."""
        found: dict[str, list[str]] = defaultdict(list)
        for line in (self.site.folder / "runs.txt").read_text().splitlines():
            mark, digest = line.split()
            found[mark].append(digest)
        return found

    def log(self) -> dict[str, list[str]]:
        """Status and reason by mark; "" has what never became a request."""
        found: dict[str, list[str]] = defaultdict(list)
        for line in (self.site.folder / "access.log").read_text().splitlines():
            entry = json.loads(line)
            mark = entry.get("target", "").partition("?")[2]
            found[mark].append(f"{entry['status']} {entry.get('why', '')}".strip())
        return found


@contextmanager
def leaving(folder: Path) -> Iterator[Leaver]:
    for name in ("static", "spool"):
        (folder / name).mkdir()
    (folder / "static" / "small.txt").write_bytes(b"small\n" * 50)
    (folder / "static" / "large.bin").write_bytes(bytes(1 << 24))
    with running(folder, CONFIG, noting=NOTING) as site:
        leaver = Leaver(site)
        yield leaver
        leaver.is_well()
        assert len(site.processes()) == 5
    errors = (folder / "error.log").read_text()
    assert "Traceback" not in errors, errors


# Bytes; every third where drills are to be short.
EVERY = 1 if seconds(60) == 60 else 3


def offsets(size: int, step: int) -> range:
    return range(0, size, step)


def try_to_leave(folder: Path, step: int) -> None:
    """Each offset below the whole request, and below the whole answer, by close and by reset."""
    asked: dict[str, tuple[Exchange, bool]] = {}
    with leaving(folder) as leaver:
        for exchange in EXCHANGES.values():
            request, answer = exchange.bytes(leaver.mark()), leaver.whole(exchange)
            for is_reset in (False, True):
                for sent in offsets(len(request), step):
                    asked[leaver.leave(exchange, sent, 0, is_reset)] = exchange, False
                for taken in offsets(len(answer), step):
                    asked[leaver.leave(exchange, len(request), taken, is_reset)] = exchange, True
            leaver.is_well()
    runs, log = leaver.runs(), leaver.log()
    seen: Counter[str] = Counter()
    for mark, (exchange, is_whole) in asked.items():
        may_run = [sha256(exchange.body).hexdigest()]
        assert runs.get(mark, []) in ([[], may_run] if is_whole and exchange.is_run else [[]]), (
            mark,
            exchange,
        )
        told = log.get(mark, [])
        assert len(told) <= 1, told
        assert is_whole or not any(one.startswith("2") for one in told), (mark, told)
        seen[f"{'answer' if is_whole else 'request'}: {' '.join(told) or 'no request'}"] += 1
    print(f"\nleft {len(asked)} times: {dict(seen)}; beside: {dict(Counter(log['']))}")


def try_truncated_uploads(folder: Path, step: int) -> None:
    asked: dict[str, bytes] = {}
    with leaving(folder) as leaver:
        pool = str(leaver.site.run_dir / "web" / "pool.sock")
        ways: dict[str, tuple[str, int] | str] = {"proxy": leaver.site.address, "pool.sock": pool}
        for way, address in ways.items():
            for name, exchange in UPLOADS.items():
                head = len(exchange.bytes(leaver.mark())) - len(exchange.body)
                for sent in offsets(len(exchange.body), step):
                    mark, said = leaver.end_early(exchange, head + sent, address)
                    asked[mark] = said
                    assert b" 200 " not in said[:15], (way, name, sent, said)
        leaver.is_well()
    runs, log = leaver.runs(), leaver.log()
    assert [mark for mark in asked if mark in runs] == []
    assert not any(one.startswith("2") for mark in asked for one in log.get(mark, []))
    told = Counter(answer[:12].decode() or "closed" for answer in asked.values())
    why = Counter(one for mark in asked for one in log.get(mark, []))
    print(f"\n{len(asked)} uploads cut short: 0 delivered as complete; told {dict(told)}; logged {dict(why)}")


def test_leaving_at_some_bytes(tmp_path: Path) -> None:
    try_to_leave(tmp_path, 37)


@pytest.mark.drill
def test_leaving_at_every_byte(tmp_path: Path) -> None:
    try_to_leave(tmp_path, EVERY)


def test_uploads_cut_short_at_some_bytes(tmp_path: Path) -> None:
    try_truncated_uploads(tmp_path, 37)


@pytest.mark.drill
def test_uploads_cut_short_at_every_byte(tmp_path: Path) -> None:
    try_truncated_uploads(tmp_path, EVERY)


@pytest.mark.parametrize("target", ["/static/large.bin", "/long"])
@pytest.mark.parametrize("is_reset", [False, True])
def test_leaving_a_long_answer_is_logged_and_frees_the_slot(
    tmp_path: Path, target: str, is_reset: bool
) -> None:
    exchange = Exchange(f"GET {target}?%s HTTP/1.1\nHost: a\nConnection: close\n\n")
    with leaving(tmp_path) as leaver:
        request = len(exchange.bytes(leaver.mark()))
        marks = [leaver.leave(exchange, request, taken, is_reset) for taken in (1, 1000, 100_000)]
        leaver.is_well()
    log = leaver.log()
    assert [log[mark] for mark in marks] == [["200 client_left"]] * 3


@pytest.mark.parametrize("is_reset", [False, True])
def test_leaving_while_waiting_for_a_slot_runs_nothing(tmp_path: Path, is_reset: bool) -> None:
    slow, quick = Exchange("GET /slow?%s HTTP/1.1\nHost: a\nConnection: close\n\n"), EXCHANGES["pool"]
    with leaving(tmp_path) as leaver, Talk(leaver.site.address) as busy:
        runs = leaver.site.folder / "runs.txt"
        busy.say(slow.bytes(mark := leaver.mark()))
        wait_until(lambda: mark in runs.read_text(), 5, "the slot to be busy")
        request = len(quick.bytes(mark))
        marks = [leaver.leave(quick, request, 0, is_reset) for _ in range(5)]
        assert busy.answer().status == 200
    runs_by_mark, log = leaver.runs(), leaver.log()
    assert [runs_by_mark.get(mark, []) for mark in marks] == [[]] * 5
    assert [log[mark] for mark in marks] == [["499 client_left"]] * 5
