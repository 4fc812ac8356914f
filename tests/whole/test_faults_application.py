"""F10, F11, F13: what goes wrong in an application, or in the middle of us, costs what it struck."""

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.whole.crowd import Browser, Crowd
from tests.whole.leaks import Quiet
from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk, ask

pytestmark = pytest.mark.slow

# ------------------------------------------------------------ F11 an application that raises

RAISES = """
import os

class Body:
    def __init__(self, where):
        self.where, self.left = where, 2
    def __iter__(self):
        return self
    def __next__(self):
        self.left -= 1
        if self.left == 0 and self.where == "iterating":
            raise ValueError("while iterating")
        if self.left < 0:
            raise StopIteration
        return b"piece"
    def close(self):
        if self.where == "closing":
            raise ValueError("in close")

def application(environ, start_response):
    where = environ["QUERY_STRING"]
    if where == "first":
        raise ValueError("at first")
    start_response("200 OK", [("Content-Type", "text/plain")])
    if where == "started":
        raise ValueError("after start_response")
    return Body(where) if where else [str(os.getpid()).encode()]
"""
ONE = """
proxy: {processes: 1}
log: {access: off}
pools: {web: {app: raises, workers: 1}}
"""


@pytest.fixture(scope="module")
def raising(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("raises"), ONE, raises=RAISES) as site:
        yield site


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    ("where", "outcome"),
    [("first", "500"), ("started", "500"), ("iterating", "cut"), ("closing", "200 piecepiece")],
)
def test_f11_it_is_a_500_or_a_cut_and_the_worker_goes_on(
    raising: Site, where: str, outcome: str, version: str
) -> None:
    (worker,) = raising.pids("worker")
    with Talk(raising.address) as talk:
        talk.say(f"GET /?{where} HTTP/{version}\nHost: a.example\n\n")
        try:
            answer = talk.answer()
            found = f"{answer.status} {answer.body.decode()}" if answer.status == 200 else str(answer.status)
        except (AssertionError, ConnectionResetError, ValueError):
            found = "cut"  # a reset, or no last chunk: nobody takes it for the whole
    assert found == outcome
    words = {"first": "at first", "started": "after start", "iterating": "while iter", "closing": "in close"}
    wait_until(lambda: f"ValueError: {words[where]}" in raising.said(), 3, "the traceback")
    assert ask(raising.address, "/").body == str(worker).encode()


# ------------------------------------------------------------ F13 an application that spoils its process

SPOILS = """
import os, sys, time

def application(environ, start_response):
    mark = environ["QUERY_STRING"].removeprefix("mark=")
    environ["wsgi.input"].read()
    if mark == "exits":
        os._exit(3)
    if mark == "sys.exit":
        sys.exit(3)
    if mark == "closes":
        os.closerange(0, 256)
    if mark == "aborts":
        os.abort()
    if mark == "bombs":
        for _ in range(60):
            if os.fork() == 0:
                time.sleep(1.5)
                os._exit(0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{mark} {os.getpid()}".encode()]
"""
TWO = """
proxy: {processes: 1}
log: {access: off}
pools: {web: {app: spoils, workers: 2}}
"""
SEEN = {
    "exits": {"502 worker_died"},
    "sys.exit": {"500 app_error"},
    "aborts": {"502 worker_died"},
    "closes": {"502 worker_died", "502 upstream_bad"},
    "bombs": {"200"},
}


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("spoils"), TWO, spoils=SPOILS) as site:
        yield site


@pytest.mark.parametrize("what", SEEN)
def test_f13_nobody_else_notices(spoiled: Site, what: str) -> None:
    before = set(spoiled.pids("worker"))
    with Crowd(spoiled.address, 4, pause=0.01) as crowd:
        wait_until(lambda: len(crowd.visits) > 8)
        answer = Browser(spoiled.address)
        found = answer.ask(f"/?mark={what}", "POST", b"x")
        answer.close()
        why = re.search(rb"reason: (\S+)", found.body)
        outcome = f"{found.status} {why[1].decode() if why else ''}".strip()
        kept = what in ("sys.exit", "bombs")
        wait_until(lambda: len(workers(spoiled)) == 2 and (kept or set(workers(spoiled)) != before), 10)
        # Both serve: the one that was there, and the one that came.
        seen = len(crowd.visits)
        wait_until(lambda: served_by(crowd, seen) >= set(workers(spoiled)), 10, "both workers")
    print(f"\n{what}: {outcome}; others {dict(crowd.outcomes())}")
    assert outcome in SEEN[what]
    # The other worker's requests, and GETs of the dead one: all answered. A POST in it is nobody's to repeat,
    # but there was one slot, and the spoiler had it.
    assert crowd.failures() == []
    wait_until(lambda: len(spoiled.pids("worker")) == 2, 10, "the end of what it forked")


def workers(site: Site) -> list[int]:
    found = site.pool_status()["workers"]
    return [worker["pid"] for worker in found if worker["state"] == "ready"]


def served_by(crowd: Crowd, first: int) -> set[int]:
    return {int(visit.said.split(b" ")[1]) for visit in crowd.visits[first:] if visit.outcome == "200"}


# ------------------------------------------------------------ F10 an exception at any await of a connection

# Loaded by every Python process of the site before anything else: the Nth time that a connection's task goes
# on after it waited, an exception comes instead. N is read when the connection begins.
SHAKEN = """
import os, types
folder = os.path.dirname(__file__)

@types.coroutine
def shaken(coroutine, nth):
    error = sent = None
    for turn in range(1, 1_000_000):
        try:
            trap = coroutine.throw(error) if error else coroutine.send(sent)
        except StopIteration as over:
            return over.value
        error = None
        try:
            sent = yield trap
        except BaseException as other:
            error = other
            continue
        if turn == nth:
            open(os.path.join(folder, "struck"), "w").close()
            error = ZeroDivisionError("shaken")

def install():
    import trivet_proxy.connection as room
    run = room.Connection.run
    async def shaken_run(self):
        with open(os.path.join(folder, "nth")) as file:
            nth = int(file.read())
        await shaken(run(self), nth)
    room.Connection.run = shaken_run

install()
"""
TALKS = """
import time
def application(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return pieces() if environ["PATH_INFO"] == "/pieces" else [b"x" * 3_000_000 if body == b"large" else body]
def pieces():
    for _ in range(3):
        time.sleep(0.02)
        yield b"piece"
"""
MIXED = """
proxy: {processes: 1}
log: {access: off}
routes: [{path: /, pool: web}]
pools: {web: {app: talks, workers: 1, threads: 2}}
"""
# What is sent, a moment between two of them.
HEAD = "POST /%s HTTP/1.1\nHost: a.example\nContent-Length: %d\n%s\n"
TALK: dict[str, list[str]] = {
    "get": ["GET / HTTP/1.1\nHost: a.example\nConnection: close\n\n"],
    "head in pieces": ["GET / HT", "TP/1.1\nHost: a.example\nConn", "ection: close\n\n"],
    "two in turn": ["GET / HTTP/1.1\nHost: a.example\n\n", HEAD % ("", 2, "Connection: close\n"), "ab"],
    "body in pieces": [HEAD % ("", 4, "Connection: close\n"), "ab", "cd"],
    "expects": [HEAD % ("", 2, "Expect: 100-continue\nConnection: close\n"), "ab"],
    "answer in pieces": [HEAD % ("pieces", 2, "Connection: close\n"), "ab"],
    "large answer": [HEAD % ("", 5, "Connection: close\n"), "large"],
    "refused": ["GET / HTTP/1.1\nHost: a.example\nHost: b\n\n", "left over"],
}


def test_f10_an_exception_at_any_await_ends_that_connection_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SHAKEN)
    (tmp_path / "nth").write_text("0")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    with running(tmp_path, MIXED, talks=TALKS) as site:
        outcomes: Counter[str] = Counter()
        fronts = site.pids(" process ")
        for _ in range(3):
            assert talk(site, TALK["answer in pieces"]) == "200"
        quiet = Quiet(fronts)
        for name, pieces in TALK.items():
            for nth in count(1):
                (tmp_path / "nth").write_text(str(nth))
                outcome = talk(site, pieces)
                (tmp_path / "nth").write_text("0")
                is_struck = (tmp_path / "struck").exists()
                (tmp_path / "struck").unlink(missing_ok=True)
                assert talk(site, TALK["get"]) == "200", (name, nth)
                if not is_struck:
                    break
                outcomes[outcome] += 1
                assert nth < 200, name
        struck = outcomes.total()
        print(f"\n{struck} awaits struck: {dict(outcomes)}")
        assert struck >= len(TALK)
        assert set(outcomes) <= {"200", "400", "500", "cut"}
        assert site.said().count("ZeroDivisionError: shaken") <= struck
        assert site.pids(" process ") == fronts
        assert quiet.extra(5) == {}


def talk(site: Site, pieces: list[str]) -> str:
    """The status of the last answer, if all came whole; else "cut"."""
    requests = sum(" HTTP/1.1\n" in piece or piece.startswith("TP/1.1") for piece in pieces)
    status = 0
    with Talk(site.address, 5) as line:
        try:
            for piece in pieces:
                line.say(piece)
                time.sleep(0.005)  # most often it is a segment of its own; the drill counts what it struck
            while requests:
                status = line.answer().status
                requests -= status >= 200
        except TimeoutError:
            return "nothing"
        except (OSError, ValueError, AssertionError):
            return "cut"
    return str(status)
