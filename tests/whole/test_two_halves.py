"""`trivet proxy` and `trivet backend` as two commands on one file, whichever comes first."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.whole.running import Site
from tests.whole.talking import Answer, ask

pytestmark = pytest.mark.slow

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


def test_the_backend_first(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(HELLO)
    with half(tmp_path, "backend") as backend, half(tmp_path, "proxy") as proxy:
        assert ask(proxy.address, "/").body.decode() == f"127.0.0.1 {backend.pid}"
    assert not (tmp_path / "run").exists()


def test_the_proxy_first_and_who_asks_while_there_is_no_backend_waits(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(HELLO)
    with half(tmp_path, "proxy") as proxy:
        for _ in range(2):  # the second one replaces the first
            answers: list[Answer] = []
            asking = threading.Thread(target=lambda kept=answers: kept.append(ask(proxy.address, "/")))
            asking.start()
            with half(tmp_path, "backend") as backend:
                asking.join(10)
                assert [(answer.status, answer.body.decode()) for answer in answers] == [
                    (200, f"127.0.0.1 {backend.pid}")
                ]
    assert not (tmp_path / "run").exists()
