"""Deadlines with a watchdog, a slot and real sockets: in a thread, and in a process of its own by signals."""

import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any

import pytest

from tests.backend.fakes import FakeLog
from tests.backend.pools import until
from tests.whole.drills import share
from trivet_backend import RequestTimeout
from trivet_backend.environ import EnvironBuilder
from trivet_backend.file_wrapper import FileWrapper
from trivet_backend.interrupt import Alarm
from trivet_backend.limits import SlotLimits, Trust
from trivet_backend.slot import Slot
from trivet_backend.streams import WorkerLog, WorkerStream
from trivet_backend.watchdog import Duties, Watchdog
from trivet_common.channel import Channel
from trivet_common.config import from_mapping
from trivet_common.http1.collector import HeadLimits
from trivet_common.pool.board import DEADLINE, STATE, TIMEOUTS, Board, SlotState
from trivet_common.pool.idle import IdleFifo, Token
from trivet_common.pool.places import PoolPlaces

PATIENCE = 10.0
TIMEOUT = 0.1
WHERE = pytest.mark.parametrize("where", ["thread", "process"])


class Timed:
    """One slot that is watched, and its proxy (we). In a process its main thread runs it, as in a worker."""

    def __init__(self, folder: Path, application: Any, where: str, timeout: float, **changes: Any) -> None:
        self.places = PoolPlaces(folder / "web")
        self.places.create()
        self.board = Board.create(self.places.board(1), 1, 1, monotonic_ns())
        self.words = self.board.slot(0).words
        self.fifo = IdleFifo(self.places.idle_fifo)
        self.log_file = folder / "log"
        settings = from_mapping({"log": {"error": str(self.log_file)}, "pools": {"web": {"app": "shop"}}})
        self.log = WorkerLog(settings, "web w1")
        self.ours, self.theirs = Channel.pair()
        self.limits = SlotLimits(HeadLimits(8192, 50), 10**6, 5, 5, None, 5, 1024, None, timeout, **changes)
        self.where = where
        listener = self._listen(self.places.slot_socket(1, 0))
        shared = self._listen(self.places.pool_socket)
        self.watchdog = Watchdog(
            self.theirs,
            self.log,
            Duties(lambda message, fds: None, self._say(b"late "), self._stuck, lambda: None),
            kill_grace=0.1,
            orphan_grace=60,
        )
        row = self.board.slot(0)
        self.slot = Slot(
            0,
            1,
            row=row,
            alarm=Alarm(row, "w1.0", self.watchdog, is_by_signal=where == "process"),
            fifo=self.fifo,
            listener=listener,
            shared=[shared],
            application=application,
            environs=EnvironBuilder(
                errors=sys.stderr, threads=1, workers=1, file_wrapper=FileWrapper, is_proxy=lambda a: False
            ),
            limits=self.limits,
            trust=Trust(frozenset({os.geteuid()}), lambda address: False),
            log=self.log,
        )
        self.pid = 0
        self._opened: list[Any] = [self.ours, self.theirs, self.fifo, listener, shared]
        self._start()

    def _say(self, verb: bytes) -> Callable[[str], None]:
        return lambda text: self.theirs.send(verb + text.encode())

    def _stuck(self, alarm: Alarm) -> None:
        self.theirs.send(b"stuck " + alarm.row.shown().encode())

    def _start(self) -> None:
        if self.where == "thread":
            self.watchdog.start()
            self.watchdog.watch([self.slot.alarm])
            self.thread = threading.Thread(target=self.slot.run, daemon=True)
            self.thread.start()
            return
        self.pid = os.fork()
        if self.pid == 0:
            try:
                sys.stdout = WorkerStream(self.log.info)
                signal.signal(signal.SIGTERM, lambda *_: self.slot.leave())
                self.watchdog.start()
                self.watchdog.watch([self.slot.alarm])
                self.slot.run()
                os._exit(0)
            except BaseException as error:
                self.log.error(f"outside: {error!r}")
            finally:
                os._exit(1)

    def close(self) -> int:
        status = 0
        if self.where == "thread":
            self.slot.leave()
            self.thread.join(PATIENCE)
            assert not self.thread.is_alive()
            self.watchdog.end()
        else:
            os.kill(self.pid, signal.SIGTERM)
            status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        for opened in self._opened:
            opened.close()
        return status

    def token(self) -> Token:
        found = until(self.fifo.try_read)
        assert isinstance(found, Token)
        return found

    def connect(self, path: Path | None = None) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(os.fspath(path or self.places.slot_socket(1, 0)))
        self._opened.append(client)
        return client

    def ask(self, path: str = "/", *, to: socket.socket | None = None, fields: str = "") -> bytes:
        """One claimed request; all that comes until its answer is whole or the connection ends."""
        token = self.token()
        link = to or self.connect()
        link.sendall(
            f"GET {path} HTTP/1.1\r\nhost: a\r\ntrivet-claim: {token.number} 5\r\n{fields}\r\n".encode()
        )
        return receive(link)

    def said(self) -> bytes:
        return bytes(until(self.ours.receive))

    def text(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def _listen(self, path: Path) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.fspath(path))
        listener.listen(128)
        listener.setblocking(False)
        return listener


def receive(link: socket.socket, data: bytes = b"") -> bytes:
    while not is_whole(data):
        piece = link.recv(65536)
        if not piece:
            break
        data += piece
    return data


def is_whole(data: bytes) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line[15:])
    return body.endswith(b"0\r\n\r\n")


Start = Callable[..., Timed]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    begun = []

    def begin(application: Any, where: str, timeout: float = TIMEOUT, **changes: Any) -> Timed:
        timed = Timed(tmp_path, application, where, timeout, **changes)
        begun.append(timed)
        return timed

    yield begin
    for timed in begun:
        assert timed.close() == 0
        assert "outside" not in timed.text()
        assert "slot 0:" not in timed.text()
        assert "watchdog:" not in timed.text()


def ok(start_response: Any) -> None:
    start_response("200 OK", [("Content-Type", "text/plain")])


def looping(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/loop":
        while True:
            time.sleep(0.001)  # the looping line
    ok(start_response)
    return [environ["PATH_INFO"].encode()]


# ------------------------------------------------------------ one late request


@WHERE
def test_one_that_loops_is_interrupted_named_and_answered_504(start: Start, where: str) -> None:
    pool = start(looping, where, is_spent_by_timeout=False)
    begun = monotonic()
    answer = pool.ask("/loop?x=1", fields="x-request-id: abc\r\n")
    assert TIMEOUT <= monotonic() - begun < 3
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"trivet-why: deadline\r\n" in answer
    assert b"connection: close\r\n" in answer
    assert pool.said() == b"late GET /loop?x=1 abc"
    log = pool.text()
    assert "GET /loop?x=1 abc: deadline: " in log
    assert "# the looping line" in log
    assert "trivet_backend/slot.py" not in log
    assert pool.words[TIMEOUTS] == 1
    # Kept, it serves on, and the next one is not struck.
    assert pool.ask("/next").endswith(b"/next")
    assert pool.words[DEADLINE] == 0


@WHERE
def test_its_slot_takes_no_other_when_workers_are_replaced(start: Start, where: str) -> None:
    pool = start(looping, where)
    pool.ask("/loop")
    until(lambda: pool.words[STATE] == SlotState.RETIRING)
    link = pool.connect()
    link.sendall(b"GET / HTTP/1.1\r\nhost: a\r\ntrivet-claim: 2 5\r\n\r\n")
    assert link.recv(1000).startswith(b"HTTP/1.1 409 ")
    link.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert link.recv(1000).startswith(b"HTTP/1.1 503 ")
    assert pool.fifo.try_read() is None


def test_a_long_sleep_is_interrupted_in_the_main_thread(start: Start) -> None:
    def sleeping(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        time.sleep(60)
        return []

    pool = start(sleeping, "process")
    begun = monotonic()
    assert pool.ask().startswith(b"HTTP/1.1 504 ")
    assert monotonic() - begun < 3
    assert "time.sleep(60)" in pool.text()


def test_in_another_thread_it_is_not_and_the_worker_hears_that_it_is_stuck(start: Start) -> None:
    go = threading.Event()
    left: list[BaseException] = []

    def blocked(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            go.wait()
        except BaseException as error:
            left.append(error)
            raise
        raise AssertionError("not struck")

    pool = start(blocked, "thread")
    token = pool.token()
    link = pool.connect()
    link.sendall(f"GET /b HTTP/1.1\r\nhost: a\r\ntrivet-claim: {token.number} 5\r\n\r\n".encode())
    assert pool.said().startswith(b"late GET /b")
    assert pool.said().startswith(b"stuck GET /b")
    assert pool.watchdog.is_stuck(pool.slot.alarm)
    go.set()
    assert receive(link).startswith(b"HTTP/1.1 504 ")
    assert isinstance(left[0], RequestTimeout)
    until(lambda: not pool.watchdog.is_stuck(pool.slot.alarm))


@WHERE
def test_a_guest_of_the_pools_socket_gets_its_504_too(start: Start, where: str) -> None:
    pool = start(looping, where)
    guest = pool.connect(pool.places.pool_socket)
    guest.sendall(b"GET /loop HTTP/1.0\r\n\r\n")
    assert receive(guest).startswith(b"HTTP/1.1 504 ")


@WHERE
def test_after_the_head_the_client_is_cut_off(start: Start, where: str) -> None:
    def half(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        ok(start_response)
        yield b"half"
        looping({"PATH_INFO": "/loop"}, start_response)

    pool = start(half, where, is_spent_by_timeout=False)
    answer = pool.ask()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"4\r\nhalf\r\n")
    assert pool.token().number == 2


@WHERE
def test_one_that_speaks_now_and_then_lives_on(start: Start, where: str) -> None:
    def speaking(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        ok(start_response)
        for _ in range(16):
            time.sleep(TIMEOUT / 6)
            yield b"x"

    pool = start(speaking, where)
    assert pool.ask().count(b"\r\nx\r\n") == 16


@WHERE
def test_time_spent_on_a_slow_client_or_a_slow_body_does_not_count(start: Start, where: str) -> None:
    def large(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        got = environ["wsgi.input"].read()
        ok(start_response)
        for _ in range(20):
            yield got * 100_000

    pool = start(large, where)
    token, link = pool.token(), pool.connect()
    head = f"POST / HTTP/1.1\r\nhost: a\r\ntrivet-claim: {token.number} 5\r\ntrivet-stream: 1\r\n"
    link.sendall(f"{head}content-length: 4\r\n\r\nab".encode())
    time.sleep(TIMEOUT * 3)
    link.sendall(b"cd")
    data = link.recv(1000)
    time.sleep(TIMEOUT * 3)
    assert len(receive(link, data)) > 20 * 400_000


@WHERE
def test_what_runs_when_it_is_interrupted(start: Start, where: str) -> None:
    """`except Exception` does not see it, finally does, and close() is called."""
    done: list[str] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            try:
                looping({"PATH_INFO": "/loop"}, None)
            except Exception:
                print("swallowed")
            finally:
                print("finally")
            yield b"never"

        def close(self) -> None:
            print("closed")
            done.append("closed")

    def application(environ: dict[str, Any], start_response: Any) -> Body:
        ok(start_response)
        return Body()

    pool = start(application, where, is_spent_by_timeout=False)
    before, sys.stdout = sys.stdout, WorkerStream(pool.log.info)
    try:
        assert pool.ask().startswith(b"HTTP/1.1 504 ")
        pool.token()
    finally:
        sys.stdout = before
    printed = [line.rpartition("] ")[2] for line in pool.text().splitlines() if " info " in line]
    assert printed == ["finally", "closed"]


@WHERE
def test_one_that_swallows_everything_is_504_all_the_same(start: Start, where: str) -> None:
    def stubborn(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/loop":
            try:
                looping(environ, start_response)
            except BaseException:
                print("swallowed it")
        ok(start_response)
        return [b"fine"]

    pool = start(stubborn, where, is_spent_by_timeout=False)
    answer = pool.ask("/loop")
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"fine" not in answer
    assert pool.ask().endswith(b"fine")


@WHERE
def test_a_late_close_is_interrupted_and_its_whole_answer_stands(start: Start, where: str) -> None:
    class Body(list[bytes]):
        def close(self) -> None:
            looping({"PATH_INFO": "/loop"}, None)

    def application(environ: dict[str, Any], start_response: Any) -> Body:
        ok(start_response)
        return Body([b"whole"])

    pool = start(application, where, is_spent_by_timeout=False)
    assert b"whole" in pool.ask()
    assert pool.token().number == 2
    assert pool.words[TIMEOUTS] == 1


@WHERE
def test_the_routes_own_timeout_and_what_the_application_is_told(start: Start, where: str) -> None:
    def telling(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        ok(start_response)
        left = environ["trivet.deadline"]
        time.sleep(float(environ["QUERY_STRING"] or 0))
        return [b"none" if left is None else b"%d" % round(left - monotonic())]

    pool = start(telling, where, 60.0, is_spent_by_timeout=False)
    assert pool.ask("/").endswith(b"\r\n60")
    assert pool.ask("/", fields="trivet-timeout: 5000\r\n").endswith(b"\r\n5")
    assert pool.ask("/", fields="trivet-timeout: 0\r\n").endswith(b"none")
    begun = monotonic()
    sleep = 0.5 if where == "thread" else 60
    assert pool.ask(f"/?{sleep}", fields="trivet-timeout: 100\r\n").startswith(b"HTTP/1.1 504 ")
    assert monotonic() - begun < 5


# ------------------------------------------------------------ the master's words


def test_it_hears_the_master_and_leaves_without_one(tmp_path: Path) -> None:
    ours, theirs = Channel.pair()
    heard: list[bytes | None] = []
    died = threading.Event()
    log = FakeLog()

    def hear(message: bytes | None, fds: list[int]) -> None:
        heard.append(message)

    duties = Duties(hear, lambda text: None, lambda alarm: None, died.set)
    watchdog = Watchdog(theirs, log, duties, kill_grace=1, orphan_grace=0.05)
    watchdog.start()
    ours.send(b"dump")
    until(lambda: heard == [b"dump"])
    ours.close()
    until(lambda: heard == [b"dump", None])
    assert died.wait(PATIENCE)
    watchdog.end()
    theirs.close()
    assert log.errors == []
    assert "Watchdog of 0" in repr(watchdog)


def test_what_goes_wrong_in_a_duty_does_not_end_it() -> None:
    ours, theirs = Channel.pair()
    heard: list[bytes | None] = []

    def hear(message: bytes | None, fds: list[int]) -> None:
        heard.append(message)
        if message == b"bad":
            raise ValueError("bad")

    log = FakeLog()
    duties = Duties(hear, lambda text: None, lambda alarm: None, lambda: None)
    watchdog = Watchdog(theirs, log, duties, kill_grace=1, orphan_grace=60)
    watchdog.start()
    ours.send(b"bad")
    ours.send(b"good")
    until(lambda: heard == [b"bad", b"good"])
    assert "ValueError: bad" in log.errors[0]
    ours.close()
    until(lambda: heard[-1] is None)
    watchdog.end()
    theirs.close()


# ------------------------------------------------------------ races, in numbers


def racing(environ: dict[str, Any], start_response: Any) -> Any:
    """Ends within a millisecond of its deadline, in one of the ways applications end."""
    style, _, shift = environ["QUERY_STRING"].partition("&")
    until = environ["trivet.deadline"] + int(shift) / 1e6
    name = environ["PATH_INFO"].encode()

    def work() -> None:
        while monotonic() < until:
            if style == "print":
                print("x" * 50)
            time.sleep(0.00002)

    if style == "pieces":
        ok(start_response)

        def pieces() -> Iterator[bytes]:
            try:
                work()
                yield name
            finally:
                os.getpid()

        return pieces()
    if style == "write":
        write = start_response("200 OK", [("Content-Length", str(len(name)))])
        work()
        write(name)
        return []
    if style == "raise":
        work()
        raise ValueError("mine")
    if style == "swallow":
        try:
            work()
        except BaseException:
            os.getpid()
        ok(start_response)
        return [name]
    work()
    ok(start_response)
    return [name]


STYLES = ["list", "pieces", "write", "print", "raise", "swallow"]


def race(pool: Timed, count: int) -> dict[str, int]:
    """Each request has one outcome, and it is its own."""
    rng = random.Random(11)
    seen = {"200": 0, "500": 0, "504": 0, "cut": 0}
    link = pool.connect()
    before, sys.stdout = sys.stdout, WorkerStream(pool.log.info)
    try:
        for number in range(count):
            style = rng.choice(STYLES)
            path = f"/{number}?{style}&{rng.randrange(-1000, 1000)}"
            answer = pool.ask(path, to=link)
            while message := pool.ours.receive():
                assert message.startswith((b"late GET /", b"stuck GET /"))
            what = answer[9:12].decode() if is_whole(answer) else "cut"
            seen[what] += 1
            if what == "200":
                body = answer.partition(b"\r\n\r\n")[2]
                assert f"/{number}".encode() in body.split(b"\r\n"), answer
            elif what == "500":
                assert style == "raise", answer
            if what in ("cut", "504") or b"connection: close" in answer or is_closed(link):
                link.close()
                link = pool.connect()
    finally:
        sys.stdout = before
    assert pool.token().number == count + 1
    assert pool.words[STATE] == SlotState.IDLE
    return seen


def is_closed(link: socket.socket) -> bool:
    """Whether it ended after its answer: that was late too, by a hair."""
    link.setblocking(False)
    try:
        return link.recv(1) == b""
    except BlockingIOError:
        return False
    finally:
        link.settimeout(PATIENCE)


def run_race(start: Start, where: str, count: int) -> None:
    pool = start(racing, where, 0.003, is_spent_by_timeout=False)
    seen = race(pool, count)
    print(seen, pool.words[TIMEOUTS])
    assert sum(seen.values()) == count
    assert pool.words[TIMEOUTS] >= seen["504"] + seen["cut"] > count / 50
    assert seen["200"] > count / 20
    assert seen["cut"] < count / 10


@WHERE
def test_requests_that_end_at_their_deadline(start: Start, where: str) -> None:
    run_race(start, where, 700)


@pytest.mark.drill
@WHERE
def test_ten_thousand_requests_that_end_at_their_deadline(start: Start, where: str) -> None:
    run_race(start, where, share(10_000))


def test_one_that_is_just_ending_is_not_stuck(tmp_path: Path) -> None:
    """Its deadline is gone from the board, and its slot has not yet said that it is over."""
    row = Board.create(tmp_path / "w1.board", 1, 1, 0).slot(0)
    stuck: list[Alarm] = []
    ours, theirs = Channel.pair()
    duties = Duties(lambda message, fds: None, lambda request: None, stuck.append, lambda: None)
    watchdog = Watchdog(theirs, FakeLog(), duties, kill_grace=0.1, orphan_grace=60)
    alarm = Alarm(row, "w1.0", watchdog)
    alarm.begin(monotonic_ns() - 10**9, 10**8)
    alarm.armed = True
    assert alarm.judge()
    row.words[DEADLINE] = 0
    again = watchdog._see_to_its_end(alarm)
    assert stuck == []
    assert not watchdog.is_stuck(alarm)
    assert again < monotonic_ns() + 10**8
    row.words[DEADLINE] = monotonic_ns() - 10**9
    watchdog._see_to_its_end(alarm)
    assert stuck == [alarm]
    watchdog.let_go()
    ours.close(), theirs.close()


def test_it_ends_when_it_is_told() -> None:
    ours, theirs = Channel.pair()
    before = threading.active_count()
    duties = Duties(lambda message, fds: None, lambda request: None, lambda alarm: None, lambda: None)
    watchdog = Watchdog(theirs, FakeLog(), duties, kill_grace=1, orphan_grace=60)
    watchdog.start()
    assert threading.active_count() == before + 1
    watchdog.end()
    assert threading.active_count() == before
    ours.close(), theirs.close()
