"""F33: an application that opened a connection, or began a thread, before its workers were forked."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.crowd import Crowd
from tests.whole.running import Site, running, started, wait_until
from tests.whole.talking import ask

pytestmark = pytest.mark.slow

DATABASE = """
import os, socket
connection = None

def connect():
    global connection
    connection = socket.create_connection(("127.0.0.1", PORT), 5)

def left():
    with open(os.path.join(os.path.dirname(__file__), f"left-{os.getpid()}"), "w"):
        pass

connect()

def application(environ, start_response):
    environ["wsgi.input"].read()
    mark = environ["QUERY_STRING"].removeprefix("mark=")
    mine = os.readlink(f"/proc/self/fd/{connection.fileno()}")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join([mark, str(os.getpid()), mine]).encode()]
"""
CONFIG = """
proxy: {{processes: 1}}
log: {{access: off}}
pools: {{web: {{app: database, workers: 3, {more}}}}}
"""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Somebody who takes every connection, as a database would; nothing is ever said on them."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener


def database(server: socket.socket) -> str:
    return DATABASE.replace("PORT", str(server.getsockname()[1]))


def connections(site: Site) -> dict[int, str]:
    """The connection that each worker uses, by pid, once all three have been asked."""
    found: dict[int, str] = {}

    def all_three() -> bool:
        words = ask(site.address, "/").body.decode().split(" ")
        found[int(words[1])] = words[2]
        return len(found) == 3

    wait_until(all_three, 10, "all three workers")
    return found


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("preload: false", marks=pytest.mark.drill),
        "preload: true, post_fork: 'database:connect'",
    ],
)
def test_f33_no_connection_is_shared(tmp_path: Path, server: socket.socket, more: str) -> None:
    with running(tmp_path, CONFIG.format(more=more), database=database(server)) as site:
        found = connections(site)
        assert len(set(found.values())) == 3, found
        warned = "all workers would share it" in site.said()
    assert warned == ("true" in more)


def test_f33_what_is_shared_is_named_and_so_is_the_way_out(tmp_path: Path, server: socket.socket) -> None:
    port = server.getsockname()[1]
    more = "preload: true, worker_exit: 'database:left'"
    with running(tmp_path, CONFIG.format(more=more), database=database(server)) as site:
        assert len(set(connections(site).values())) == 1
        workers = site.pids("trivet: worker")
        assert re.search(rf"warning .*preload: .*{port}.*post_fork", site.said()), site.said()
    assert {path.name for path in tmp_path.glob("left-*")} == {f"left-{pid}" for pid in workers}


HELLO = """
import os, threading, time
def application(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['QUERY_STRING'].removeprefix('mark=')} {os.getpid()}".encode()]
"""
THREADED = HELLO + "threading.Thread(target=time.sleep, args=(60,), name='exporter', daemon=True).start()\n"


def test_f33_a_second_thread_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "database.py").write_text(THREADED)
    site = Site(tmp_path, CONFIG.format(more="preload: true"))
    with pytest.raises(AssertionError, match="it ended with 1"), started(site):
        pass
    assert "exporter" in site.said()
    assert "database" in site.said()
    site.configure(CONFIG.format(more="preload: {threads: allow}"))
    site.out.unlink()
    with started(site):
        assert ask(site.address, "/").status == 200


@pytest.mark.drill
def test_f33_a_release_is_loaded_once_and_a_broken_one_leaves_the_old(tmp_path: Path) -> None:
    config = CONFIG.format(more="preload: true, max_requests: 30")
    counted = "open(os.path.join(os.path.dirname(__file__), 'loaded'), 'a').write('x')\n"
    with running(tmp_path, config, database=HELLO + counted) as site:
        with Crowd(site.address, 4, pause=0.005) as crowd:
            before = set(site.pids("trivet: worker"))
            wait_until(lambda: not before & set(site.pids("trivet: worker")), 20, "other workers")
            assert (tmp_path / "loaded").read_text() == "x"
            for text, words in ((THREADED, "exporter"), ("raise ValueError('no')\n", "ValueError: no")):
                (tmp_path / "database.py").write_text(text)
                done = site.command("reload")
                assert done.returncode == 1
                assert words in done.stderr, done.stderr
            old = set(site.pids("trivet: template"))
            (tmp_path / "database.py").write_text(HELLO + counted.replace("'x'", "'y'"))
            assert site.command("reload").returncode == 0
            asked = time.monotonic()
            wait_until(lambda: sum(visit.sent > asked for visit in crowd.visits) > 30)
        assert (tmp_path / "loaded").read_text() == "xy"
        # The old one is let go with its last worker; and a worker that is just born still has its title.
        wait_until(lambda: len(site.pids("trivet: template")) == 1, 5, "one template")
        assert not old & set(site.pids("trivet: template"))
    assert crowd.failures() == []
