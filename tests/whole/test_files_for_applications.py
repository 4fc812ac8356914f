"""X-Accel-Redirect and X-Sendfile through the whole stack: who may send what, and how long a slot is held."""

from collections.abc import Iterator

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk

APP = """
import os

def application(environ, start_response):
    path, where = environ["PATH_INFO"], environ["QUERY_STRING"]
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Set-Cookie", "seen=1")]
    if path == "/accel":
        headers.append(("X-Accel-Redirect", where))
    elif path == "/sendfile":
        headers.append(("X-Sendfile", os.path.join(os.getcwd(), where)))
    elif path == "/typed":
        headers = [("Content-Type", "text/csv"), ("Content-Disposition", "attachment; filename=a.csv"),
                   ("Cache-Control", "private, max-age=60"), ("X-Accel-Redirect", where)]
    elif path == "/wrapped":
        start_response("200 OK", [("Content-Type", "application/x-own")])
        return environ["wsgi.file_wrapper"](open(where, "rb"))
    start_response("200 OK", headers)
    return [b"from the application: " + path.encode()]
"""
CONFIG = """
proxy: {processes: 1}
log: {access: access.log}
routes:
  - path: /protected/
    internal: true
    files: private
    response_headers: {set: {X-Frame-Options: DENY}}
  - {path: /public/, files: public}
  - {path: /, files: {root: public, fallback: next}}
  - {path: /, pool: web}
pools: {web: {app: sender, workers: 1, threads: 1}}
"""
DATA = b"0123456789" * 100
LARGE = 30_000_000  # more than a slow client's answer may wait in the proxy


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("sender")
    for name in ("private", "public"):
        (folder / name).mkdir()
    (folder / "private" / "a.txt").write_bytes(DATA)
    (folder / "private" / "report").write_bytes(DATA)
    (folder / "private" / "large.bin").write_bytes(DATA * (LARGE // len(DATA)))
    (folder / "public" / "page.html").write_bytes(b"a page")
    (folder / "secret.txt").write_bytes(b"SECRET")
    with running(folder, CONFIG, sender=APP) as site:
        yield site


@pytest.fixture
def talk(site: Site) -> Iterator[Talk]:
    with Talk(site.address) as talk:
        yield talk


@pytest.mark.parametrize("target", ["/accel?/protected/a.txt", "/sendfile?private/a.txt"])
def test_the_file_takes_the_answers_place(talk: Talk, target: str) -> None:
    answer = talk.get(target)
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["set-cookie"] == "seen=1"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert not any(name.startswith(("x-accel", "x-sendfile")) for name in answer.headers)
    part = talk.get(target, "Range: bytes=10-14")
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"01234", "bytes 10-14/1000")
    known = talk.get(target, f"If-None-Match: {answer.headers['etag']}")
    assert (known.status, known.headers["set-cookie"]) == (304, "seen=1")
    assert talk.get(target, method="HEAD").headers["content-length"] == "1000"
    assert talk.get(target, method="POST").body == DATA


def test_what_the_application_says_of_the_file_holds(talk: Talk) -> None:
    answer = talk.get("/typed?/protected/report")
    assert (answer.body, answer.headers["content-type"]) == (DATA, "text/csv")
    assert answer.headers["content-disposition"] == "attachment; filename=a.csv"
    assert answer.headers["cache-control"] == "private, max-age=60"


@pytest.mark.parametrize(
    "target",
    [
        "/accel?/public/page.html",
        "/accel?/",
        "/accel?/protected/../secret.txt",
        "/accel?/protected/%2e%2e/secret.txt",
        "/accel?secret.txt",
        "/sendfile?secret.txt",
        "/sendfile?public/page.html",
        "/sendfile?private/../secret.txt",
        "/sendfile?../../../../../../etc/passwd",
        "/sendfile?/etc/passwd",
    ],
)
def test_nothing_else_can_be_ordered(talk: Talk, target: str) -> None:
    answer = talk.get(target)
    assert answer.status == 502
    assert b"SECRET" not in answer.body
    assert b"a page" not in answer.body


def test_a_file_that_is_not_there(talk: Talk) -> None:
    assert talk.get("/accel?/protected/none.txt").status == 404


def test_clients_do_not_reach_it_nor_order_anything(talk: Talk) -> None:
    assert talk.get("/protected/a.txt").status == 404
    assert talk.get("/protected").body == b"from the application: /protected"  # no redirect tells of it
    answer = talk.get("/hello", "X-Accel-Redirect: /protected/a.txt", "X-Sendfile: private/a.txt")
    assert answer.body == b"from the application: /hello"


def test_the_file_first_and_then_the_application(talk: Talk) -> None:
    assert talk.get("/page.html").body == b"a page"
    assert talk.get("/other.html").body == b"from the application: /other.html"
    assert talk.get("/page.html", method="POST").body == b"from the application: /page.html"
    assert talk.get("/public/other.html").status == 404


@pytest.mark.parametrize("target", ["/accel?/protected/large.bin", "/wrapped?private/large.bin"])
def test_a_slow_client_of_a_large_file_holds_no_slot(site: Site, target: str) -> None:
    with Talk(site.address) as slow, Talk(site.address) as quick:
        slow.say(f"GET {target} HTTP/1.1\nHost: a\n\n")
        assert slow.file.read(15) == b"HTTP/1.1 200 OK"  # and reads no further: there is one slot
        for _ in range(3):
            assert quick.get("/hello").status == 200


@pytest.mark.parametrize(("name", "size"), [("a.txt", len(DATA)), ("large.bin", LARGE)])
def test_a_wrapped_file_is_sent_whole(site: Site, talk: Talk, name: str, size: int) -> None:
    for _ in range(2):
        answer = talk.get(f"/wrapped?private/{name}")
        assert (answer.status, answer.headers["content-type"]) == (200, "application/x-own")
        assert answer.body == (site.folder / "private" / name).read_bytes()
        assert answer.headers["content-length"] == str(size)


def test_an_order_that_leads_nowhere_is_explained(site: Site, talk: Talk) -> None:
    talk.get("/sendfile?secret.txt")
    wait_until(lambda: "there is no route with internal: true for it" in site.said(), 5, site.said())
