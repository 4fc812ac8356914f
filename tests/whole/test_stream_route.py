"""`stream: true`: the application reads while the client sends, and may answer while it reads."""

from pathlib import Path

import pytest

from tests.whole.running import running
from tests.whole.talking import Talk

pytestmark = pytest.mark.usefixtures("over")

DUPLEX = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/size":
        return [str(len(environ["wsgi.input"].read())).encode()]
    return answers(environ["wsgi.input"])
def answers(lines):
    yield b"begun"
    while line := lines.readline():
        yield b"got " + line
"""
CONFIG = """
log: {access: access.log}
routes:
  - {path: /duplex, pool: web, stream: true}
  - {path: /size, pool: web, stream: true, limits: {body: 1MiB}}
  - {path: /, pool: web}
pools: {web: {app: duplex, workers: 1, threads: 1}}
"""


def test_each_line_is_answered_before_the_next_is_sent(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, duplex=DUPLEX) as site:
        with Talk(site.address) as talk:
            talk.say("POST /duplex HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n").head()
            assert talk.chunk() == b"begun"
            for number in range(10):
                talk.say(f"2\n{number}", b"\n", "\n")
                assert talk.chunk() == f"got {number}\n".encode()
            talk.say("0\n\n")
            assert talk.chunk() == b""
        with Talk(site.address) as talk:  # more than any socket buffer holds, with a length and without
            body = b"x" * 1_000_000
            talk.say(f"POST /size HTTP/1.1\nHost: a\nContent-Length: {len(body)}\n\n", body)
            assert talk.answer().body == b"1000000"
            talk.say(
                f"POST /size HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n{len(body):x}\n",
                body,
                "\n0\n\n",
            )
            assert talk.answer().body == b"1000000"
            talk.say("POST /size HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n200000\n", b"x" * 0x200000)
            assert talk.answer().status == 413
    assert (tmp_path / "access.log").read_text().count("why=") == 1


def test_without_it_a_slow_upload_holds_no_slot(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, duplex=DUPLEX) as site, Talk(site.address) as slow:
        slow.say("POST / HTTP/1.1\nHost: a\nContent-Length: 8\n\none\n")
        with Talk(site.address) as other:
            for _ in range(5):
                assert other.get("/").body == b"begun"  # the only slot, while the other body is on its way
        assert slow.say("two").answer().body == b"begungot one\r\ngot two"
