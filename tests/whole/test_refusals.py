"""What a client gets when the application fails it, and the reason beside each in the access log."""

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Answer, Talk, ask, logged

FAILING = """
import os, socket
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if "HTTP_X_GATE" in environ:
        wait_at_gate(environ)
    if path == "/raise":
        raise ValueError("a secret of the application")
    if path == "/split":
        start_response("200 OK", [("X-Split", "a\\r\\nSet-Cookie: b")])
        return [b"never"]
    if path == "/die":
        os._exit(7)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return late(environ) if path == "/late" else [b"well"]
def late(environ):
    yield b"begun"
    wait_at_gate(environ, "HTTP_X_LATE_GATE")
    raise ValueError("too late to say so")
def wait_at_gate(environ, name="HTTP_X_GATE"):
    with socket.create_connection(("127.0.0.1", int(environ[name])), 5) as gate:
        gate.settimeout(10)
        gate.recv(1)
"""
CONFIG = """
proxy: {processes: 1}
log: {access: access.log, error: error.log}
routes:
  - {path: /slow, pool: one, timeout: 300ms}
  - {path: /die, pool: mortal}
  - {path: /alive, pool: mortal}
  - {path: /, pool: one}
pools:
  one: {app: failing, workers: 1, threads: 1, queue: {limit: 1, timeout: 300ms}}
  mortal: {app: failing, workers: 2, threads: 1}
"""
HTML = "Accept: text/html,application/xhtml+xml;q=0.9"


class Gate:
    """Where the application waits: `wait` returns when it has come, `open` lets it go on."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(5)
        self.port = self._listener.getsockname()[1]
        self._visitors: list[socket.socket] = []

    def wait(self) -> None:
        self._visitors.append(self._listener.accept()[0])

    def open(self) -> None:
        for each in [self._listener, *self._visitors]:
            each.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("refusals")
    with running(folder, CONFIG, failing=FAILING) as site:
        yield site


def why(site: Site, answer: Answer) -> str:
    """The reason in the access log's line for this answer of ours, which must be the one its page names."""
    page = answer.body.decode()
    named = re.search(r"request: (\w+)$|<dd>(\w+)</dd></dl>", page, re.MULTILINE)
    assert named, page
    line = line_with(site, f"id={named[1] or named[2]} ")
    assert line["status"] == str(answer.status)
    assert line["sent"] == str(len(answer.body))
    assert line["why"] in page
    return line["why"]


def line_with(site: Site, word: str) -> dict[str, str]:
    os.kill(site.pid, signal.SIGUSR1)  # what is reopened is flushed first: no need to wait for the second

    def look() -> list[str]:
        return [line for line in (site.folder / "access.log").read_text().splitlines() if word in line]

    return logged(wait_until(look, 3, f"a line with {word}")[0])


def test_a_full_queue_and_one_that_takes_too_long_are_503(site: Site, gate: Gate) -> None:
    with Talk(site.address) as holder, Talk(site.address) as one, Talk(site.address) as other:
        holder.say(f"GET /held HTTP/1.1\nHost: a\nX-Gate: {gate.port}\n\n")
        gate.wait()  # the only slot is taken now
        for talk in (one, other):
            talk.say("GET /queued HTTP/1.1\nHost: a\n\n")
        answers = [one.answer(), other.answer()]
        gate.open()
        assert holder.answer().body == b"well"
    assert [answer.status for answer in answers] == [503, 503]
    assert [answer.headers["retry-after"] for answer in answers] == ["1", "1"]
    assert {why(site, answer) for answer in answers} == {"queue_full", "queue_timeout"}


def test_an_answer_that_does_not_come_in_time_is_504(site: Site, gate: Gate) -> None:
    with Talk(site.address) as talk:
        answer = talk.get("/slow", f"X-Gate: {gate.port}")
        assert answer.status == 504
        assert why(site, answer) == "deadline"
        gate.wait()
        gate.open()
        assert talk.get("/next").body == b"well"  # the late answer went nowhere


def test_an_exception_of_the_application_is_500_with_a_page(site: Site) -> None:
    text, page = ask(site.address, "/raise"), ask(site.address, "/raise", HTML)
    assert (text.status, text.headers["content-type"]) == (500, "text/plain; charset=utf-8")
    assert (page.status, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert page.body.lower().startswith(b"<!doctype html>")
    assert b"secret" not in text.body + page.body
    assert (why(site, text), why(site, page)) == ("app_error", "app_error")
    assert "ValueError: a secret of the application" in (site.folder / "error.log").read_text()


def test_a_header_with_a_line_end_is_500_and_never_on_the_wire(site: Site) -> None:
    answer = ask(site.address, "/split")
    assert (answer.status, "set-cookie" in answer.headers) == (500, False)
    assert why(site, answer) == "app_error"
    assert "response splitting?" in (site.folder / "error.log").read_text()


def test_a_failure_after_the_beginning_is_a_cut_and_no_second_answer(site: Site, gate: Gate) -> None:
    with Talk(site.address) as talk:
        talk.say(f"GET /late HTTP/1.1\nHost: a\nX-Late-Gate: {gate.port}\n\n").head()
        assert talk.chunk() == b"begun"
        gate.wait()
        gate.open()
        assert talk.is_at_end()  # and no last chunk before it
    assert line_with(site, "/late")["why"] == "app_error"


def test_an_application_that_dies_is_502(site: Site) -> None:
    with Talk(site.address) as talk:
        posted = talk.say("POST /die HTTP/1.1\nHost: a\nContent-Length: 1\n\nx").answer()
        assert (posted.status, why(site, posted)) == (502, "worker_died")
    wait_until(lambda: ask(site.address, "/alive").status == 200, 5, "another worker")


def test_a_safe_request_that_kills_two_workers_is_not_given_a_third(site: Site) -> None:
    wait_until(lambda: len(site.pids("worker mortal")) == 2, 5, "both workers")
    answer = ask(site.address, "/die", HTML)
    assert (answer.status, why(site, answer)) == (502, "worker_twice")
    wait_until(lambda: ask(site.address, "/alive").status == 200, 5, "another worker")


def test_a_pool_whose_slots_are_all_held_leaves_the_others_alone(site: Site, gate: Gate) -> None:
    answers: list[Answer] = []
    held = threading.Thread(target=lambda: answers.append(ask(site.address, "/h", f"X-Gate: {gate.port}")))
    held.start()
    gate.wait()
    assert ask(site.address, "/alive").body == b"well"
    gate.open()
    held.join(10)
    assert answers[0].body == b"well"
