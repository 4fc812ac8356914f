"""`trivet proxy` and `trivet backend` as two commands on one file, whichever comes first."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.whole.running import Site
from tests.whole.talking import Answer, ask

HELLO = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['REMOTE_ADDR']} {os.getppid()}".encode()]
"""
CONFIG = "log: {access: access.log}\npools: {web: {app: hello, workers: 2, threads: 1}}\n"


@contextmanager
def half(folder: Path, verb: str) -> Iterator[Site]:
    site = Site(folder, CONFIG, verb)
    site.out = folder / f"{verb}.txt"
    try:
        yield site.start()
        assert site.stop() == 0, site.said()
    finally:
        if site.process.poll() is None or site.processes():
            site.abandon()


@pytest.mark.parametrize("order", [("proxy", "backend"), ("backend", "proxy")])
def test_either_may_start_first(tmp_path: Path, order: tuple[str, str]) -> None:
    (tmp_path / "hello.py").write_text(HELLO)
    with ExitStack() as stack:
        halves = {verb: stack.enter_context(half(tmp_path, verb)) for verb in order}
        proxy = halves["proxy"]
        answer = ask(proxy.address, "/")
        assert (answer.status, answer.body.split()[0]) == (200, b"127.0.0.1")
        assert answer.body.split()[1] == str(halves["backend"].pid).encode()
    assert not (tmp_path / "run").exists()


def test_who_asks_while_the_backend_is_replaced_waits(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(HELLO)
    answers: list[Answer] = []
    with half(tmp_path, "proxy") as proxy:
        with half(tmp_path, "backend") as first:
            assert ask(proxy.address, "/").body.endswith(str(first.pid).encode())
        asking = threading.Thread(target=lambda: answers.append(ask(proxy.address, "/")))
        asking.start()
        with half(tmp_path, "backend") as second:
            asking.join(10)
            assert [answer.status for answer in answers] == [200]
            assert answers[0].body.endswith(str(second.pid).encode())
