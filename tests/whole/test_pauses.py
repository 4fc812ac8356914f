"""What counts against a timeout: the application's silence, and never the slowness of a client."""

import time
from collections.abc import Iterator

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk, ask, logged

pytestmark = pytest.mark.slow

PACED = """
import time
def application(environ, start_response):
    path, _, seconds = environ["PATH_INFO"].rpartition("/")
    headers = [("Content-Type", "text/plain")]
    if path.endswith("late"):
        time.sleep(float(seconds))
    if path.endswith("read"):
        body = environ["wsgi.input"].read()
        start_response("200 OK", headers)
        return [body]
    start_response("200 OK", headers)
    if path.endswith("large"):
        return (b"x" * 65536 for _ in range(int(seconds)))
    if path.endswith("paced"):
        return paced(float(seconds))
    return [environ["PATH_INFO"].encode()]

def paced(seconds):
    for number in range(6):
        yield b"%d" % number
        time.sleep(seconds)
"""
CONFIG = """
proxy: {processes: 1}
log: {access: access.log}
spool: {memory: 64KiB, limit: 4MiB}
routes:
  - {path: /off/, pool: web, timeout: off}
  - {path: /long/, pool: web, timeout: 5s}
  - {path: /short/, pool: web, timeout: 200ms}
  - {path: /stream/, pool: web, stream: true}
  - {path: /, pool: web}
limits: {body: 1MiB}
pools: {web: {app: paced, workers: 1, threads: 4, timeout: 500ms, after_timeout: keep}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("pauses"), CONFIG, paced=PACED) as site:
        yield site


def why(site: Site, target: str) -> str:
    """Of the one request for `target`; the log is written each second."""

    def look() -> list[str]:
        lines = (site.folder / "access.log").read_text().splitlines()
        return [found.get("why", "none") for found in map(logged, lines) if found["target"] == target]

    (found,) = wait_until(look, 5, f"the line of {target}")
    return found


def test_a_routes_timeout_is_its_own(site: Site) -> None:
    for target in ("/off/late/1", "/long/late/1"):
        assert ask(site.address, target).body == target.encode()
    for target, least in (("/short/late/2", 0.2), ("/late/2", 0.5)):
        began = time.monotonic()
        answer = ask(site.address, target)
        assert answer.status == 504
        assert b"deadline" in answer.body
        assert least <= time.monotonic() - began < least + 0.25


def test_a_late_answer_is_nobodys(site: Site) -> None:
    with Talk(site.address) as talk:
        for _ in range(3):
            assert talk.get("/short/late/0.4").status == 504
            for _ in range(6):
                assert talk.get("/mine/0").body == b"/mine/0"
                time.sleep(0.05)


def test_an_application_that_goes_on_speaking_lives_on(site: Site) -> None:
    began = time.monotonic()
    assert ask(site.address, "/paced/0.3").body == b"012345"
    assert time.monotonic() - began > 1.5


def test_one_that_falls_silent_is_cut_and_the_client_can_tell(site: Site) -> None:
    with Talk(site.address) as talk:
        talk.say("GET /paced/3 HTTP/1.1\nHost: a.example\n\n").head()
        assert talk.chunk() == b"0"
        began = time.monotonic()
        assert talk.is_at_end()  # no last chunk
        assert 0.3 < time.monotonic() - began < 0.75
    assert why(site, "/paced/3") == "deadline"


def test_a_client_that_takes_its_answer_slowly_costs_no_time(site: Site) -> None:
    """More than backlog and kernel hold: the slot stands in a send meanwhile."""
    with Talk(site.address, 20) as talk:
        talk.say("GET /large/512 HTTP/1.1\nHost: a.example\n\n").head()
        for _ in range(3):
            time.sleep(0.7)
            assert talk.chunk()
        assert sum(map(len, iter(talk.chunk, b""))) > 480 * 65536
    assert why(site, "/large/512") == "none"


def test_a_client_that_sends_its_body_slowly_costs_no_time(site: Site) -> None:
    """The body goes to the slot as it comes, which waits for it."""
    with Talk(site.address) as talk:
        talk.say("POST /stream/read/ HTTP/1.1\nHost: a.example\nTransfer-Encoding: chunked\n\n")
        for piece in ("one", "two", "six"):
            time.sleep(0.8)
            talk.say(f"3\n{piece}\n")
        talk.say("0\n\n")
        assert talk.answer("POST").body == b"onetwosix"
