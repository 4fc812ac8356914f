"""A worker that dies in a request: run once more where the configuration says so, and never a third time."""

import re
from pathlib import Path

import pytest

from tests.whole.running import running, wait_until
from tests.whole.talking import Answer, Talk
from trivet_common.pool.queue_board import read_queue_board

pytestmark = pytest.mark.slow

# /once kills its worker the first time, /always each time; what began is written down.
DEADLY = """
import os
folder = os.path.dirname(__file__)
record = os.open(os.path.join(folder, "record.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def application(environ, start_response):
    path = environ["PATH_INFO"]
    os.write(record, f"{environ['REQUEST_METHOD']}{path} {environ['trivet.request_id']}\\n".encode())
    flag = os.path.join(folder, "died" + path.replace("/", "-") + environ["REQUEST_METHOD"])
    if path == "/always" or (path == "/once" and not os.path.exists(flag)):
        open(flag, "w").close()
        os._exit(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done ", environ["wsgi.input"].read()]
"""
CONFIG = """
proxy: {{processes: 1}}
log: {{access: off}}
pools: {{web: {{app: deadly, workers: 4, retry: {retry}}}}}
"""


def send(talk: Talk, method: str, path: str) -> Answer:
    body = "hello" if method in ("POST", "PUT") else ""
    talk.say(f"{method} {path} HTTP/1.1\nHost: a.example\nContent-Length: {len(body)}\n\n{body}")
    return talk.answer(method)


@pytest.mark.parametrize(
    ("retry", "again"),
    [("off", ""), ("safe", "GET OPTIONS"), ("idempotent", "GET OPTIONS PUT DELETE")],
)
def test_what_is_run_once_more(tmp_path: Path, retry: str, again: str) -> None:
    with running(tmp_path, CONFIG.format(retry=retry), deadly=DEADLY) as site:
        with Talk(site.address) as talk:
            for method in ("GET", "OPTIONS", "PUT", "DELETE", "POST"):
                answer = send(talk, method, "/once")
                if method in again.split():
                    assert (answer.status, answer.body[:5]) == (200, b"done "), method
                    assert method != "PUT" or answer.body == b"done hello"
                else:
                    assert answer.status == 502, method
                    assert b"worker_died" in answer.body
        times = (tmp_path / "record.txt").read_text().split()[::2]
        assert [times.count(f"{method}/once") for method in ("GET", "PUT", "POST")] == [
            1 + (method in again.split()) for method in ("GET", "PUT", "POST")
        ]
        board = site.run_dir / "web" / "queue.board"
        wait_until(lambda: [row.counts.deaths for row in read_queue_board(board)] == [5], 5)
        assert read_queue_board(board)[0].counts.retries == len(again.split())


def test_who_killed_two_workers_is_named_each_time(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG.format(retry="safe"), deadly=DEADLY) as site:
        for _ in range(2):
            with Talk(site.address) as talk:
                answer = send(talk, "GET", "/always")
                assert answer.status == 502
                assert b"worker_twice" in answer.body
        said = wait_until(lambda: _named(site.said()), 5)
        ids = (tmp_path / "record.txt").read_text().split()[1::2]
        assert ids == [said[0], said[0], said[1], said[1]]


def _named(said: str) -> list[str]:
    found = re.findall(r"two workers died in GET a\.example/always \(request (\w+)\)", said)
    return found if len(found) == 2 else []
