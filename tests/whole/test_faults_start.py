"""F3, F32: what a start finds, and code that does not live: an explained refusal, never a stranger's harm.

Each case is a state of the machine before `trivet serve`, what is said, and who must be unharmed by it.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.whole.crowd import Crowd
from tests.whole.running import Site, running, started, wait_until
from tests.whole.talking import ask

pytestmark = pytest.mark.slow

HELLO = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['QUERY_STRING'].removeprefix('mark=')} {os.getpid()}".encode()]
"""
CONFIG = """
listen: [127.0.0.1:{port}, "unix:http.sock"]
proxy: {{processes: 1}}
log: {{access: off}}
pools: {{web: {{app: hello, workers: {workers}}}}}
"""


def config(port: int = 0, workers: int = 1) -> str:
    return CONFIG.format(port=port, workers=workers)


class Ground:
    """The machine before the start: a site's folder, and strangers in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.port = 0
        self.socks: list[socket.socket] = []
        (folder / "hello.py").write_text(HELLO)

    def listen_tcp(self) -> None:
        self.socks.append(socket.create_server(("127.0.0.1", 0)))
        self.port = self.socks[0].getsockname()[1]

    def listen_unix(self, path: Path) -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(os.fspath(path))
        sock.listen()
        self.socks.append(sock)

    def strangers_live(self) -> bool:
        """Whether each stranger's socket still gets who connects to its name."""
        for sock in self.socks:
            with socket.socket(sock.family) as client:
                client.connect(sock.getsockname())
            sock.settimeout(5)
            sock.accept()[0].close()
        return True

    def close(self) -> None:
        for sock in self.socks:
            sock.close()


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path)
    yield ground
    ground.close()


def dead_sockets(ground: Ground) -> None:
    """As after kill -9 and a power cut: files of a run, nobody behind any of them."""
    (ground.run / "web").mkdir(parents=True, mode=0o700)
    ground.run.chmod(0o700)
    names = ("control.sock", "proxy.sock", "web/control.sock", "web/pool.sock", "web/w3.0.sock")
    for path in [*(ground.run / name for name in names), ground.folder / "http.sock"]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(os.fspath(path))
    (ground.run / "web" / "w3.board").write_bytes(os.urandom(5000))
    (ground.run / "web" / ".w4.board.new").write_bytes(b"half")
    (ground.run / "web" / "incarnation").write_text("garbage")


def recycled_pid(ground: Ground) -> None:
    ground.run.mkdir(mode=0o700)
    for name in ("lock", "pool-web.lock", "proxy.lock"):
        (ground.run / name).write_text(f"{os.getpid()}\n")


def half_a_site(ground: Ground) -> None:
    """Everything but the FIFO's kind is right."""
    dead_sockets(ground)
    os.mkfifo(ground.run / "web" / "idle.fifo", 0o600)
    (ground.run / "front.board").write_bytes(b"\xff" * 100)


def port_taken(ground: Ground) -> None:
    ground.listen_tcp()


def path_taken(ground: Ground) -> None:
    ground.listen_unix(ground.folder / "http.sock")


def path_is_a_file(ground: Ground) -> None:
    (ground.folder / "http.sock").write_text("precious")


def run_dir_is_open_to_all(ground: Ground) -> None:
    ground.run.mkdir()
    ground.run.chmod(0o777)


def run_dir_is_a_link(ground: Ground) -> None:
    (ground.folder / "elsewhere").mkdir(mode=0o700)
    ground.run.symlink_to(ground.folder / "elsewhere")


STARTS: list[Callable[[Ground], None]] = [dead_sockets, recycled_pid, half_a_site]
REFUSED: dict[Callable[[Ground], None], str] = {
    port_taken: "taken by another program",
    path_taken: "another program is listening there",
    path_is_a_file: "exists and is no socket",
    run_dir_is_open_to_all: "others may write there",
    run_dir_is_a_link: "links are not followed here",
}


@pytest.mark.parametrize("state", STARTS, ids=lambda state: state.__name__)
def test_f32_what_a_dead_run_left_is_taken_over(ground: Ground, state: Callable[[Ground], None]) -> None:
    state(ground)
    with started(Site(ground.folder, config())) as site:
        assert ask(site.address, "/").status == 200
        assert ask(os.fspath(ground.folder / "http.sock"), "/").status == 200
    assert not (ground.folder / "http.sock").exists()


@pytest.mark.parametrize("state", REFUSED, ids=lambda state: state.__name__)
def test_f32_a_strangers_place_is_refused_in_a_sentence(
    ground: Ground, state: Callable[[Ground], None]
) -> None:
    state(ground)
    before = set(ground.folder.rglob("*"))
    done = Site(ground.folder, config(ground.port)).command("serve", "trivet.yaml")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert REFUSED[state] in done.stderr
    assert ground.strangers_live()
    found = {path for path in ground.folder.rglob("*") if path.name != "trivet.yaml"}
    assert found == before
    assert [path.read_text() for path in found if path.name == "http.sock" and path.is_file()] in (
        [],
        ["precious"],
    )


def test_f32_a_second_one_is_refused_and_the_first_unharmed(ground: Ground) -> None:
    with started(Site(ground.folder, config())) as site:
        second = site.command("serve", "trivet.yaml")
        assert second.returncode == 1
        assert f"by process {site.pid}" in second.stderr
        assert ask(site.address, "/").status == 200
        assert ask(os.fspath(ground.folder / "http.sock"), "/").status == 200


# ------------------------------------------------------------ F3 code that does not live

WATCHED = 1.5
BROKEN = {
    "a syntax error": "def application(:\n",
    "an exception": "raise ValueError('at import')\n",
    "an exit": "import os\nos._exit(1)\n",
    "a crash": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "death a moment later": HELLO + "import threading\nthreading.Timer(0.2, os._exit, (1,)).start()\n",
}


@pytest.mark.parametrize(
    "case", [case if case == "an exit" else pytest.param(case, marks=pytest.mark.drill) for case in BROKEN]
)
def test_f3_a_worker_that_cannot_come_back_leaves_the_others_alone(tmp_path: Path, case: str) -> None:
    """One of two dies, and the code on the disk is broken by now: it is tried again ever less often."""
    with running(tmp_path, config(workers=2), hello=HELLO) as site:
        (tmp_path / "hello.py").write_text(BROKEN[case])
        victim, other = site.pids("trivet: worker")
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: site.pids("trivet: worker") != [victim, other])
        with Crowd(site.address, 4, pause=0.01) as crowd:
            began = time.monotonic()
            time.sleep(WATCHED)
            tried, seconds = last_incarnation(site) - 2, time.monotonic() - began
            (tmp_path / "hello.py").write_text(HELLO)
            wait_until(lambda: len(ready(site)) == 2, 10, "two workers again")
        print(f"\n{case}: tried {tried} times in {seconds:.1f} s; {dict(crowd.outcomes())}")
        assert 1 < tried <= 6  # after 0, 0.1, 0.2, 0.4, 0.8 s
        if case != "death a moment later":
            assert crowd.failures() == []
        assert other in site.pids("trivet: worker")


def last_incarnation(site: Site) -> int:
    return int((site.run_dir / "web" / "incarnation").read_text())


def ready(site: Site) -> list[int]:
    found = site.pool_status()["workers"]
    return [worker["pid"] for worker in found if worker["state"] == "ready"]
