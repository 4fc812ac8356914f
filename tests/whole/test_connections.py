"""What clients of all kinds say on a connection, and what the application and they get to see of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.running import Site, running
from tests.whole.talking import Talk

pytestmark = pytest.mark.usefixtures("over")

ECHO = """
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/204":
        start_response("204 No Content", [])
        return []
    if path == "/304":
        start_response("304 Not Modified", [("ETag", '"seven"')])
        return []
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (part for part in (b"one ", b"two ", b"three"))
    body = environ["wsgi.input"].read()
    said = f"{environ['REQUEST_METHOD']} {path} {environ.get('CONTENT_LENGTH')} ".encode() + body
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(said)))])
    return [said]
"""
CONFIG = """
proxy: {processes: 1}
pools: {web: {app: echo, workers: 1, threads: 2}}
"""


@pytest.fixture(scope="module")
def site(over: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("connections")
    with running(folder, CONFIG, echo=ECHO) as site:
        yield site


def test_keep_alive(site: Site) -> None:
    with Talk(site.address) as talk:
        for number in range(20):
            assert talk.get(f"/{number}").body == f"GET /{number} None ".encode()
        answer = talk.get("/last", "Connection: close")
        assert answer.headers["connection"] == "close"
        assert talk.is_at_end()


def test_pipelined_requests_are_answered_in_order(site: Site) -> None:
    requests = [
        f"POST /{n} HTTP/1.1\nHost: a.example\nContent-Length: {len(str(n))}\n\n{n}" if n % 3 else
        f"GET /{n} HTTP/1.1\nHost: a.example\n\n"
        for n in range(50)
    ]  # fmt: skip
    with Talk(site.address) as talk:
        talk.say("".join(requests))
        for n in range(50):
            expected = f"POST /{n} {len(str(n))} {n}" if n % 3 else f"GET /{n} None "
            assert talk.answer().body == expected.encode()


def test_http10_closes_unless_asked_to_keep_alive(site: Site) -> None:
    with Talk(site.address) as talk:
        answer = talk.say("GET /old HTTP/1.0\n\n").answer()
        assert (answer.status, answer.body) == (200, b"GET /old None ")
        assert talk.is_at_end()
    with Talk(site.address) as talk:
        for _ in range(2):
            answer = talk.say("GET /old HTTP/1.0\nHost: a.example\nConnection: keep-alive\n\n").answer()
            assert answer.headers["connection"].lower() == "keep-alive"


def test_http10_gets_a_streamed_answer_without_chunks(site: Site) -> None:
    with Talk(site.address) as talk:
        answer = talk.say("GET /stream HTTP/1.0\nConnection: keep-alive\n\n").answer()
        assert "transfer-encoding" not in answer.headers
        assert answer.body == b"one two three"  # read to the end of the connection


def test_head_has_the_head_alone(site: Site) -> None:
    with Talk(site.address) as talk:
        answer = talk.get("/x", method="HEAD")
        assert answer.headers["content-length"] == str(len("HEAD /x None "))
        streamed = talk.get("/stream", method="HEAD")
        assert (streamed.status, streamed.body) == (200, b"")
        assert talk.get("/after").body == b"GET /after None "


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body(site: Site, status: int) -> None:
    with Talk(site.address) as talk:
        answer = talk.get(f"/{status}")
        assert answer.status == status
        assert "content-length" not in answer.headers
        assert "transfer-encoding" not in answer.headers
        assert talk.get("/after").status == 200


def test_chunked_upload_arrives_whole_with_its_length(site: Site) -> None:
    with Talk(site.address) as talk:
        talk.say("POST /c HTTP/1.1\nHost: a.example\nTransfer-Encoding: chunked\n\n")
        for piece in (b"a" * 10, b"b" * 70_000, b"c"):
            talk.say(f"{len(piece):x}\n", piece, "\n")
        answer = talk.say("0\n\n").answer()
        assert answer.body == b"POST /c 70011 " + b"a" * 10 + b"b" * 70_000 + b"c"
        assert talk.get("/after").status == 200


def test_expect_100_continue(site: Site) -> None:
    with Talk(site.address) as talk:
        talk.say("PUT /e HTTP/1.1\nHost: a.example\nContent-Length: 4\nExpect: 100-continue\n\n")
        assert talk.head()[1] == 100  # and nothing was sent of the body yet
        assert talk.say("body").answer().body == b"PUT /e 4 body"
        assert talk.get("/after").status == 200


def test_a_get_may_have_a_body(site: Site) -> None:
    with Talk(site.address) as talk:
        answer = talk.say("GET /g HTTP/1.1\nHost: a.example\nContent-Length: 5\n\nquery").answer()
        assert answer.body == b"GET /g 5 query"
        assert talk.get("/after").status == 200


def test_an_unread_body_is_not_taken_for_a_request(site: Site) -> None:
    hidden = b"GET /hidden HTTP/1.1\r\nHost: a.example\r\n\r\n"
    with Talk(site.address) as talk:
        talk.say(f"POST /204 HTTP/1.1\nHost: a.example\nContent-Length: {len(hidden)}\n\n", hidden)
        assert talk.answer().status == 204
        assert talk.get("/next").body == b"GET /next None "
