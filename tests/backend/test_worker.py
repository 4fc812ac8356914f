"""A worker as a process: what it tells its master, how it tires, and how it leaves."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.backend.pools import until
from trivet_backend.place import Berth
from trivet_backend.worker import run_worker
from trivet_common.channel import Channel, ChannelClosed
from trivet_common.config import from_mapping
from trivet_common.pool.board import SlotState, read_board
from trivet_common.pool.places import PoolPlaces

PATIENCE = 10.0

APP = """
import os, sys, threading, time
leaked = []
go = threading.Event()
def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/sleep":
        time.sleep(float(query))
    elif path == "/steps":
        end = time.monotonic() + float(query)
        while time.monotonic() < end:
            time.sleep(0.005)  # the looping line
    elif path == "/leak":
        leaked.append(b"x" * (int(query) << 20))
    elif path == "/fault":
        raise LookupError("no table")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{path} {os.getpid()}".encode()]
"""
HOOKS = """
import os, pathlib
here = pathlib.Path(__file__).parent
def hello(): (here / "hello").write_text(str(os.getpid()))
def goodbye(): (here / "goodbye").write_text(str(os.getpid()))
def broken(): raise ValueError("no database")
"""


class WorkerProcess:
    """One worker and its master (we)."""

    def __init__(self, folder: Path, app: str, given: Any, ready: str | None, keys: dict[str, Any]) -> None:
        (folder / "shop.py").write_text(app)
        (folder / "hooks.py").write_text(HOOKS)
        self.log_file = folder / "log"
        changes = {name: keys.pop(name) for name in list(keys) if name == "is_development"}
        settings = from_mapping(
            {
                "log": {"error": str(self.log_file)},
                "pools": {"web": {"app": "shop", "directory": str(folder), "workers": 1, **keys}},
            }
        )
        pool = replace(settings.pools["web"], **changes)
        self.places = PoolPlaces(folder / "web")
        self.places.create()
        berth = Berth.make(self.places, 1, pool.threads)
        self.shared = socket.socket(socket.AF_UNIX)
        self.shared.bind(os.fspath(self.places.pool_socket))
        self.shared.listen(64)
        self.shared.setblocking(False)
        self.channel, theirs = Channel.pair()
        self.status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.channel.close()
                sys.dont_write_bytecode = True
                place, given = berth.take(), given() if given else None
                shared = [self.shared]
                os._exit(
                    run_worker(
                        pool,
                        settings,
                        self.places,
                        place,
                        theirs,
                        shared=shared,
                        application=given,
                        ready=ready,
                    )
                )
            finally:
                os._exit(70)
        theirs.close()
        berth.close()

    def said(self) -> bytes:
        return bytes(until(self.channel.receive))

    def tell(self, message: bytes) -> None:
        self.channel.send(message)

    def get(self, path: str = "/") -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(os.fspath(self.places.pool_socket))
            client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            data = b""
            while piece := client.recv(65536):
                data += piece
        return data

    def in_thread(self, path: str) -> "Asked":
        return Asked(lambda: self.get(path))

    def states(self) -> list[SlotState]:
        return [slot.state for slot in read_board(self.places.board(1)).slots]

    def text(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def left(self) -> int:
        """The exit status, once it has left."""

        def has_left() -> bool:
            pid, raw = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(raw)
            return bool(pid)

        if self.status is None:
            until(has_left)
        assert self.status is not None
        return self.status

    def close(self) -> None:
        if self.status is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        self.channel.close()
        self.shared.close()


class Asked:
    """A request in a thread of the test's own, and its answer."""

    def __init__(self, ask: Callable[[], bytes]) -> None:
        self.answer = b""
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._run, args=(ask,), daemon=True)
        self._thread.start()

    def _run(self, ask: Callable[[], bytes]) -> None:
        begun = monotonic()
        self.answer = ask()
        self.seconds = monotonic() - begun

    def wait(self) -> bytes:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.answer


Start = Callable[..., WorkerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    begun = []

    def begin(*, app: str = APP, given: Any = None, ready: str | None = None, **keys: Any) -> WorkerProcess:
        worker = WorkerProcess(tmp_path, app, given, ready, keys)
        begun.append(worker)
        return worker

    yield begin
    for worker in begun:
        worker.close()


# ------------------------------------------------------------ beginning and end


@pytest.mark.parametrize("threads", [1, 2])
def test_hooks_are_called_in_the_worker(start: Start, tmp_path: Path, threads: int) -> None:
    worker = start(post_fork="hooks:hello", worker_exit="hooks:goodbye", threads=threads)
    assert worker.said() == b"ready"
    assert (tmp_path / "hello").read_text() == str(worker.pid)
    assert not (tmp_path / "goodbye").exists()
    worker.tell(b"retire")
    assert worker.left() == 0
    assert (tmp_path / "goodbye").read_text() == str(worker.pid)


def test_a_failing_post_fork_is_a_failed_worker(start: Start) -> None:
    worker = start(post_fork="hooks:broken")
    said = worker.said().decode()
    assert said.startswith("failed post_fork: hooks:broken failed: ValueError: no database\nTraceback")
    assert worker.left() == 1


def test_a_failing_worker_exit_is_logged(start: Start) -> None:
    worker = start(worker_exit="hooks:broken")
    assert worker.said() == b"ready"
    worker.tell(b"quit")
    assert worker.left() == 0
    assert "worker_exit: hooks:broken failed: ValueError: no database" in worker.text()


def test_the_ready_check_is_asked_before_anybody_else_may(start: Start) -> None:
    worker = start(ready="/healthz")
    assert worker.said() == b"ready"
    assert worker.get("/a").endswith(f"/a {worker.pid}".encode())


def test_one_that_is_not_ready_fails_with_its_traceback(start: Start) -> None:
    worker = start(ready="/fault")
    said = worker.said().decode()
    assert said.startswith("failed the ready check of /fault answered 500\n")
    assert "LookupError: no table" in said
    assert worker.left() == 1


def test_a_template_gives_the_application(start: Start) -> None:
    def template() -> Any:
        def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response("200 OK", [])
            return [b"from the template"]

        return application

    worker = start(app="this is no Python", given=template)
    assert worker.said() == b"ready"
    assert worker.get().endswith(b"from the template")


def test_while_it_imports_it_hears_its_master(start: Start) -> None:
    worker = start(app="import time\ntime.sleep(60)  # imports for ever\n")

    def dumped() -> str:
        worker.tell(b"dump")
        return worker.said().decode()

    until(lambda: "imports for ever" in dumped())
    worker.channel.close()
    # Nobody to tell any more: it leaves by itself.
    worker.left()


def test_a_broken_application_is_a_page_while_it_is_developed(start: Start) -> None:
    worker = start(app="import nothing_of_this_name\n", ready="/", is_development=True)
    assert worker.said() == b"ready"
    answer = worker.get()
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"nothing_of_this_name" in answer
    assert "nothing_of_this_name" in worker.text()


def test_and_a_failed_worker_otherwise(start: Start) -> None:
    worker = start(app="import nothing_of_this_name\n")
    assert worker.said().startswith(b"failed app: importing shop failed")
    assert worker.left() == 1


# ------------------------------------------------------------ late requests


def test_one_thread_blocked_in_a_sleep_is_interrupted_and_its_successor_asked_for(start: Start) -> None:
    worker = start(timeout="150ms")
    assert worker.said() == b"ready"
    asked = worker.in_thread("/sleep?60")
    assert asked.wait().startswith(b"HTTP/1.1 504 ")
    assert asked.seconds < 2
    assert worker.said().startswith(b"late GET /sleep?60 ")
    assert worker.said() == b"tired timeout"
    until(lambda: worker.states() == [SlotState.RETIRING])
    assert "time.sleep(float(query))" in worker.text()
    worker.tell(b"retire")
    assert worker.left() == 0


def test_kept_it_serves_on(start: Start) -> None:
    worker = start(timeout="150ms", after_timeout="keep")
    assert worker.said() == b"ready"
    for _ in range(3):
        assert worker.get("/steps?60").startswith(b"HTTP/1.1 504 ")
        assert worker.get("/a").endswith(f"/a {worker.pid}".encode())
        assert worker.said().startswith(b"late ")
    assert worker.channel.receive() is None


def test_of_four_threads_only_the_late_one_is_interrupted(start: Start) -> None:
    worker = start(timeout="400ms", threads=4)
    assert worker.said() == b"ready"
    late = worker.in_thread("/steps?60")
    siblings = [worker.in_thread("/steps?0.3") for _ in range(3)]
    for sibling in siblings:
        assert sibling.wait().endswith(f"/steps {worker.pid}".encode())
    assert late.wait().startswith(b"HTTP/1.1 504 ")
    assert worker.said().startswith(b"late GET /steps?60 ")
    assert worker.said() == b"tired timeout"
    assert "# the looping line" in worker.text()
    # The others go on until the successor is there.
    assert worker.get("/a").endswith(f"/a {worker.pid}".encode())
    until(lambda: sorted(worker.states()) == [SlotState.IDLE] * 3 + [SlotState.RETIRING])
    worker.tell(b"retire")
    assert worker.left() == 0


def test_a_thread_that_cannot_be_interrupted_is_left_behind(start: Start) -> None:
    worker = start(timeout="300ms", kill_grace="200ms", threads=2)
    assert worker.said() == b"ready"
    blocked = worker.in_thread("/sleep?60")
    assert worker.said().startswith(b"late GET /sleep?60 ")
    assert worker.said() == b"tired timeout"
    sibling = worker.in_thread("/steps?0.25")
    # Its other request is finished, then it leaves, sleeping thread and all.
    assert sibling.wait().endswith(f"/steps {worker.pid}".encode())
    assert worker.left() == 0
    assert blocked.wait() == b""
    assert "deadline: it has not ended in 0.2 s" in worker.text()


def test_dump_shows_what_each_slot_runs(start: Start) -> None:
    worker = start(threads=2)
    assert worker.said() == b"ready"
    asked = worker.in_thread("/steps?2")
    until(lambda: SlotState.RUNNING in worker.states())
    worker.tell(b"dump")
    verb, _, text = worker.said().decode().partition(" ")
    assert verb == "dumped"
    parts = {part.split("\n")[0]: part for part in text.split("\n\n")}
    busy = next(part for title, part in parts.items() if "GET /steps?2 " in title)
    assert busy.startswith("w1.")
    assert "in app" in busy
    assert "trivet_backend" not in busy
    assert any(
        title.startswith("w1.") and title.endswith(" idle") and part == title for title, part in parts.items()
    )
    assert len(parts) == 2
    asked.wait()


def test_a_blocked_single_thread_answers_dump_too(start: Start) -> None:
    worker = start()
    assert worker.said() == b"ready"
    asked = worker.in_thread("/sleep?1")
    until(lambda: worker.states() == [SlotState.RUNNING])
    worker.tell(b"dump")
    text = worker.said().decode()
    assert text.startswith("dumped w1.0 GET /sleep?1 ")
    assert "time.sleep(float(query))" in text
    asked.wait()


FORKING = """
import os, sys, traceback
def app(environ, start_response):
    while True:
        pid = os.fork()
        if pid == 0:
            try:
                for _ in range(2000):
                    os.getpid()
            except BaseException:
                open("struck", "a").write(traceback.format_exc())
            os._exit(0)
        os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_what_it_forks_is_never_interrupted(start: Start, tmp_path: Path, threads: int) -> None:
    worker = start(app=FORKING, timeout="20ms", after_timeout="keep", kill_grace="5s", threads=threads)
    assert worker.said() == b"ready"
    for _ in range(40):
        assert worker.get().startswith(b"HTTP/1.1 504 ")
    assert not (tmp_path / "struck").exists()
    assert "ignored" not in worker.text()


# ------------------------------------------------------------ wear


def test_after_max_requests_it_asks_for_its_successor_and_goes_on(start: Start) -> None:
    worker = start(max_requests=10)
    assert worker.said() == b"ready"
    for _ in range(15):
        assert worker.get("/a").endswith(f"/a {worker.pid}".encode())
    assert worker.said() == b"tired requests"
    assert worker.channel.receive() is None
    worker.tell(b"retire")
    assert worker.left() == 0


def test_one_that_leaks_asks_early_and_above_max_memory_takes_nothing(start: Start) -> None:
    worker = start(max_memory="150MiB", threads=2)
    assert worker.said() == b"ready"
    until(lambda: worker.states() == [SlotState.IDLE] * 2)
    served = 0
    while SlotState.IDLE in worker.states() and served < 30:
        worker.get("/leak?10")
        served += 1
        time.sleep(0.02)  # until its slot has looked
    assert worker.said() == b"tired memory"
    until(lambda: worker.states() == [SlotState.RETIRING] * 2)
    assert 8 <= served <= 15
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(0.2)
        client.connect(os.fspath(worker.places.pool_socket))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(TimeoutError):
            client.recv(100)
    worker.tell(b"retire")
    assert worker.left() == 0


PRINTING = """
def app(environ, start_response):
    print("hello")
    start_response("200 OK", [])
    return []
"""


def test_a_moved_log_is_given_to_who_may_not_open_it(start: Start, tmp_path: Path) -> None:
    worker = start(app=PRINTING)
    assert worker.said() == b"ready"
    moved = os.open(tmp_path / "moved", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.rename(worker.log_file, tmp_path / "old")
    worker.channel.send_fds(b"reopen " + os.fsencode(worker.log_file), [moved])
    worker.channel.send_fds(b"reopen /somebody/elses", [moved])  # not ours: then our own by its name
    os.close(moved)
    until(worker.log_file.exists)
    worker.get()
    assert "hello" in worker.text()
    moved = os.open(tmp_path / "moved", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    worker.channel.send_fds(b"reopen " + os.fsencode(worker.log_file), [moved])
    os.close(moved)
    worker.tell(b"dump")
    worker.said()
    worker.get()
    assert "hello" in (tmp_path / "moved").read_text()


def test_quit_is_heard_while_nothing_runs(start: Start) -> None:
    for threads in (1, 2):
        worker = start(threads=threads)
        assert worker.said() == b"ready"
        worker.tell(b"quit")
        assert worker.left() == 0
        with pytest.raises(ChannelClosed):
            worker.channel.receive()
        worker.shared.close()
        worker.places.remove()
        worker.places.pool_socket.unlink(missing_ok=True)
