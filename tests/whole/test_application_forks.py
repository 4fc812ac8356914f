"""An application that forks: its children are none of the slot's, whatever they do, and hold nobody up."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.whole.running import running, wait_until
from tests.whole.talking import ask

CONFIG = "proxy: {processes: 1}\npools: {web: {app: 'forks:app', workers: 1, threads: %d}}\n"
FORKS = """
import os, sys, time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/exits" and os.fork() == 0:
        sys.exit(0)
    if path == "/returns":
        os.fork()
    if path == "/raises" and os.fork() == 0:
        raise ValueError("in the child")
    if path == "/writes" and os.fork() == 0:
        start_response("200 OK", [])(b"of the child")
    if path == "/stays" and os.fork() == 0:
        print("a child stays", flush=True)
        time.sleep(20)
        os._exit(0)
    if path == "/sleeps":
        print("it sleeps", flush=True)
        time.sleep(20)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/streams":
        return streamed()
    return [str(os.getpid()).encode()]
def streamed():
    yield b"before "
    if os.fork() == 0:
        sys.exit(0)
    yield b"after"
"""


@pytest.mark.parametrize("threads", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_child_that_comes_back_from_the_view_ends_there(tmp_path: Path, threads: int) -> None:
    with running(tmp_path, CONFIG % threads, forks=FORKS) as site:
        (worker,) = site.pids("worker")
        for path in ("/exits", "/returns", "/raises", "/writes"):
            assert ask(site.address, path).body == str(worker).encode()
            assert ask(site.address, "/").body == str(worker).encode()
        assert ask(site.address, "/streams").body == b"before after"
        wait_until(lambda: site.pids("worker") == [worker], 5, "the children's end")


def test_a_child_that_stays_keeps_no_connection_of_a_killed_worker(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG % 1, forks=FORKS) as site:
        (worker,) = site.pids("worker")
        assert ask(site.address, "/stays").status == 200
        (child,) = wait_until(lambda: [pid for pid in site.pids("worker") if pid != worker])
        status: list[int] = []
        asking = threading.Thread(
            target=lambda: status.append(ask(site.address, "/sleeps", method="POST").status)
        )
        asking.start()
        wait_until(lambda: "it sleeps" in site.said())
        began = time.monotonic()
        os.kill(worker, signal.SIGKILL)
        asking.join(10)
        assert status == [502]
        assert time.monotonic() - began < 5
        os.kill(child, signal.SIGKILL)
