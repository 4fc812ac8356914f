"""Events of a streamed answer arrive one by one: the next is sent when the client has the last."""

from pathlib import Path

import pytest

from tests.whole.running import running
from tests.whole.talking import Talk, ask

pytestmark = pytest.mark.usefixtures("over")

EVENTS = """
import threading
arrived = threading.Semaphore(0)
def events():
    for number in range(20):
        yield f"data: {number}\\n\\n".encode()
        if not arrived.acquire(timeout=5):
            yield b"data: nobody got the last one\\n\\n"
            return
def application(environ, start_response):
    if environ["PATH_INFO"] == "/arrived":
        arrived.release()
        start_response("204 No Content", [])
        return []
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return events()
"""


def test_each_event_leaves_when_it_is_yielded(tmp_path: Path) -> None:
    config = "pools: {web: {app: events, workers: 1, threads: 2}}\n"
    with running(tmp_path, config, events=EVENTS) as site, Talk(site.address) as talk:
        talk.say("GET /events HTTP/1.1\nHost: a.example\n\n")
        _, status, _, headers = talk.head()
        assert (status, headers["transfer-encoding"]) == (200, "chunked")
        assert headers["content-type"] == "text/event-stream"
        for number in range(20):
            assert talk.chunk() == f"data: {number}\n\n".encode()
            assert ask(site.address, "/arrived").status == 204
        assert talk.chunk() == b""
        assert talk.get("/arrived").status == 204  # the connection goes on


def test_a_client_that_leaves_frees_the_slot(tmp_path: Path) -> None:
    config = "pools: {web: {app: events, workers: 1, threads: 1}}\nlog: {access: access.log}\n"
    endless = EVENTS.replace("if not arrived.acquire(timeout=5):", "if arrived.acquire(timeout=0.05):")
    with running(tmp_path, config, events=endless.replace("range(20)", "range(100000)")) as site:
        with Talk(site.address) as talk:
            talk.say("GET /events HTTP/1.1\nHost: a.example\n\n").head()
            talk.chunk()
        assert ask(site.address, "/arrived").status == 204  # the only slot is free again
    assert "why=client_left" in (tmp_path / "access.log").read_text()
