"""L1 to L9: one process of ours, or another user of the machine, against the rest of us.

What a worker may write (its board, its line to the master, the FIFO, every descriptor it holds) is written
full of rubbish; rights, links, locks and control sockets are tried as an attacker would.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.whole.crowd import Browser
from tests.whole.others import NOBODY, as_nobody, needs_root, public_folder
from tests.whole.running import Site, running, started, wait_until
from tests.whole.talking import ask

pytestmark = pytest.mark.slow

PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 24, 36
CAP_SETGID, CAP_SETUID = 6, 7
# An application that does what its query says to the process it runs in.
TRIES = """
import ctypes, json, os, socket, time
open(os.path.join(os.path.dirname(__file__), "loaded.txt"), "a").close() if os.geteuid() == 0 else None

WORDS = (
    b"ready", b"failed ", b"late", b"late \\xff \\xff \\xff", b"tired", b"tired \\xff", b"", b"reloaded",
    b"dumped \\xff" * 1000, b"born 1", b"born x", b"progress \\xff",
)

def board():
    "Rubbish over all of it, by the mapping: there is no descriptor."
    for line in open("/proc/self/maps"):
        if ".board" in line and line.split()[1].startswith("rw"):
            first, last = (int(end, 16) for end in line.split()[0].split("-"))
            ctypes.memmove(first, os.urandom(4096), min(4096, last - first))

def line():
    "Words to the master that only a mad worker says."
    for fd in range(3, 256):
        try:
            with socket.socket(fileno=os.dup(fd)) as sock:
                if sock.type != socket.SOCK_SEQPACKET:
                    continue
                for word in WORDS:
                    sock.send(b"\\0" + word)
                    sock.send(b"\\1" + word)
                read, write = os.pipe()
                socket.send_fds(sock, [b"\\1"], [read])
                socket.send_fds(sock, [b"\\1"], [0])
                os.close(read), os.close(write)
        except (OSError, TypeError):
            pass

def descriptors():
    for fd in range(3, 256):
        for size in (1, 16, 5000):
            try:
                os.write(fd, os.urandom(size))
            except OSError:
                pass

def identity(environ):
    refused = []
    for act in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):
        try:
            act()
        except PermissionError:
            refused.append(True)
    return {"uids": os.getresuid(), "gids": os.getresgid(), "groups": os.getgroups(), "refused": refused}

def holds(environ):
    import subprocess
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    child = subprocess.run(["ls", "/proc/self/fd"], close_fds=False, capture_output=True, text=True).stdout
    return {"links": links, "child": child.split(), "environ": dict(os.environ)}

def orphans(environ):
    for status in (0, 3, 255):
        if os.fork() == 0:
            if os.fork() == 0:
                time.sleep(0.05)
            os._exit(status)
        os.wait()
    return {}

def application(environ, start_response):
    what = environ["QUERY_STRING"]
    said = {"pid": os.getpid()}
    if what.startswith("spoil"):
        for act in what.split("=")[1].split(","):
            {"board": board, "line": line, "descriptors": descriptors}[act]()
    elif what == "end":
        os._exit(1)
    elif what:
        said |= globals()[what](environ)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]
"""
CONFIG = """
listen: 127.0.0.1:{port}
proxy: {{processes: 1}}
log: {{access: access.log}}
pools:
  web: {{app: tries, workers: {workers}{more}}}
"""


def config(port: int = 0, workers: int = 1, more: str = "") -> str:
    return CONFIG.format(port=port, workers=workers, more=more)


def prctl(*numbers: int) -> list[str]:
    """A command that starts the one behind it, changed so."""
    call = f"ctypes.CDLL(None).prctl({', '.join(map(str, numbers))}, 0, 0, 0)"
    return [sys.executable, "-c", f"import ctypes, os, sys; {call}; os.execv(sys.argv[1], sys.argv[1:])"]


def masters(site: Site) -> dict[int, str]:
    return {pid: title for pid, title in site.processes().items() if "worker" not in title}


def told(site: Site, what: str = "") -> dict[str, object]:
    answer = ask(site.address, f"/?{what}")
    assert answer.status == 200, answer
    found: dict[str, object] = answer.json()
    return found


def is_well(site: Site, requests: int = 6) -> bool:
    return all(ask(site.address, "/").status == 200 for _ in range(requests))


# ------------------------------------------------------------ L1 a worker against its master and its mates


@pytest.mark.parametrize("what", ["board", "line", "descriptors", "board,line,descriptors"])
def test_l1_a_worker_writes_rubbish_everywhere(site_of_two: Site, what: str) -> None:
    site = site_of_two
    before = masters(site)
    with closing(Browser(site.address)) as browser:
        try:
            browser.ask(f"/?spoil={what}")
        except (OSError, http.client.HTTPException):
            pass  # its own connections are among what it writes to
    wait_until(lambda: is_well(site), 10, "good answers of the other worker")
    for pid in site.pids("trivet: worker"):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(ready_workers(site)) == 2, 10, "two workers")
    assert is_well(site)
    assert masters(site) == before
    assert "Traceback" not in site.said()


@pytest.fixture(scope="module")
def site_of_two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("two")
    with running(folder, config(workers=2), tries=TRIES) as site:
        yield site


def ready_workers(site: Site) -> list[int]:
    workers = site.pool_status()["workers"]
    return [worker["pid"] for worker in workers if worker["state"] == "ready"]


# ------------------------------------------------------------ L2 becoming the user


@needs_root
@pytest.mark.parametrize("preload", ["", ", preload: true"])
def test_l2_workers_are_their_user_for_good(public: Path, preload: str) -> None:
    more = f", user: {NOBODY}, group: {NOBODY}{preload}"
    with running(public, config(more=more), tries=TRIES) as site:
        (worker,) = site.pids("trivet: worker")
        said = told(site, "identity")
        assert said == {
            "pid": worker,
            "uids": [NOBODY] * 3,
            "gids": [NOBODY] * 3,
            "groups": [NOBODY],
            "refused": [True] * 3,
        }
        rights = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{worker}/status").read_text().splitlines()
        )
        assert {int(rights[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}
    assert "warning" not in site.said()
    assert not (public / "loaded.txt").exists()


@needs_root
@pytest.mark.parametrize("right", [CAP_SETGID, CAP_SETUID])
def test_l2_a_drop_that_fails_is_the_end_of_the_start(public: Path, right: int) -> None:
    text = config(more=f", user: {NOBODY}, group: {NOBODY}")
    site = Site(public, text, wrapped_in=prctl(PR_CAPBSET_DROP, right))
    (public / "tries.py").write_text(TRIES)
    with pytest.raises(AssertionError, match="it ended with 1"), started(site):
        pass
    assert "cannot become user nobody" in site.said()
    assert not (public / "loaded.txt").exists()  # not a line of the application as root


@needs_root
def test_l2_a_user_that_is_not_there_is_refused_and_root_is_warned_of_once(tmp_path: Path) -> None:
    (tmp_path / "tries.py").write_text(TRIES)
    site = Site(tmp_path, config(more=", user: nobody-of-that-name"))
    with pytest.raises(AssertionError, match="it ended with 1"), started(site):
        pass
    site.configure(config())
    site.out.unlink()
    with started(site):
        told(site)
    assert site.said().count("as root") == 1


# ------------------------------------------------------------ L3, L4, L5 files, locks, sockets


@needs_root
def test_l3_no_name_that_root_uses_is_the_workers_to_change(public: Path) -> None:
    with running(public, config(more=f", user: {NOBODY}, group: {NOBODY}"), tries=TRIES) as site:
        told(site)
        for folder in [site.run_dir, *(path for path in site.run_dir.rglob("*") if path.is_dir())]:
            for act in (
                lambda folder=folder: str(os.symlink("/etc/passwd", folder / "x")),
                lambda folder=folder: str(os.rename(next(folder.iterdir()), folder / "x")),
                lambda folder=folder: str([path.unlink() for path in folder.iterdir()]),
            ):
                assert as_nobody(act, NOBODY) == "PermissionError", folder
        assert is_well(site)


@pytest.mark.parametrize("name", ["access.log", "run/pool-web.lock", "run/proxy.lock"])
def test_l3_a_link_is_not_written_through(tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine\n")
    link = tmp_path / "all" / name if name == "access.log" else tmp_path / name
    link.parent.mkdir(parents=True, mode=0o700)
    link.symlink_to(precious)
    (tmp_path / "run").mkdir(exist_ok=True)
    for folder in (tmp_path / "run", tmp_path / "run/web"):
        folder.chmod(0o700) if folder.exists() else None
    text = config()
    if name == "access.log":
        link.parent.chmod(0o1777)
        text = text.replace("access.log", str(link))
    (tmp_path / "tries.py").write_text(TRIES)
    site = Site(tmp_path, text)
    with pytest.raises(AssertionError, match="it ended with 1"), started(site):
        pass
    assert re.search(r"(link|symbolic|in use|lock|incarnation)", site.said()), site.said()
    assert "Traceback" not in site.said()
    assert precious.read_text() == "mine\n"


def test_l4_a_number_in_a_file_is_nobody_to_signal(tmp_path: Path) -> None:
    """A killed run left its files, and its pids are a stranger's by now."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with running(tmp_path, config(), tries=TRIES) as site:
            names = [path.name for path in site.run_dir.glob("*lock")]
            assert names
        site.run_dir.mkdir(mode=0o700)
        for name in names:
            (site.run_dir / name).write_text(f"{stranger.pid}\n")
        done = site.command("stop")
        assert done.returncode == 3, done
        site.out.unlink()
        with started(site):
            told(site)
            second = site.command("serve", "trivet.yaml")
            assert second.returncode == 1
            assert f"by process {site.pid}" in second.stderr
        assert not site.run_dir.exists()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(5)


# ------------------------------------------------------------ L6 what leaks into an application


@pytest.mark.parametrize("preload", ["", ", preload: true"])
def test_l6_an_application_holds_nothing_of_the_masters(tmp_path: Path, preload: str) -> None:
    text = config(more=preload) + "  other: {app: tries, workers: 1, env: {SECRET_OF_OTHER: x}}\n"
    text = text.replace("\npools:", "\nroutes: [{path: /, pool: web}]\npools:")
    with running(tmp_path, text, tries=TRIES) as site:
        said = told(site, "holds")
        inodes = {
            fields[9]
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if (fields := line.split())[3] == "0A" and fields[1].endswith(f":{site.port:04X}")
        }
        assert inodes
    links, child, environ = said["links"], said["child"], said["environ"]
    assert isinstance(links, list)
    assert isinstance(environ, dict)
    assert not {f"socket:[{inode}]" for inode in inodes} & set(links)
    files = {link for link in links if link.startswith("/") and not link.startswith(("/dev/", "/proc/"))}
    # Its output, until logs are written elsewhere; and the FIFO of idle slots.
    assert files <= {str(site.out), str(site.run_dir / "web" / "idle.fifo")}, files
    assert child == ["0", "1", "2", "3"]  # 3: the folder that ls reads
    assert "SECRET_OF_OTHER" not in environ


# ------------------------------------------------------------ L7 the control sockets

RUBBISH = [
    b"\n",
    b"\x00\xff\n",
    b"{\n",
    b"[" * 4000 + b"\n",
    b'{"do": ' * 500 + b"\n",
    b'{"do": null}\n',
    b'{"do": ["status"]}\n',
    b'{"do": {"do": "stop"}}\n',
    b'{"do": 1e999}\n',
    b'{"do": "\\ud800"}\n',
    b'{"do": "dump", "worker": {}}\n',
    b'{"do": "dump", "worker": -1}\n',
    b'{"do": "Stop"}\n',
    b'"stop"\n',
    b"stop\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b'{"do": "status"}' * 1000 + b"\n",
    b"x" * 100_000,
    b'{"do": "status"',
]


def test_l7_rubbish_on_the_control_sockets_stops_nobody(site_of_two: Site) -> None:
    site = site_of_two
    before = masters(site)
    silent = []
    for path in [
        site.run_dir / "control.sock",
        site.run_dir / "proxy.sock",
        site.run_dir / "web/control.sock",
    ]:
        assert path.lstat().st_mode & 0o177 == 0
        for rubbish in RUBBISH:
            sock = socket.socket(socket.AF_UNIX)
            silent.append(sock)
            sock.settimeout(5)
            sock.connect(os.fspath(path))
            try:
                sock.sendall(rubbish)
                heard = sock.recv(65536) if rubbish.endswith(b"\n") else b""
            except ConnectionError:
                heard = b""
            assert not heard or json.loads(heard).get("ok") in (False, None), (rubbish, heard)
    # All of them are still connected, and some have not finished their line.
    assert is_well(site, 2)
    assert len(ready_workers(site)) == 2
    for sock in silent:
        sock.close()
    assert masters(site) == before
    assert "Traceback" not in site.said()


# ------------------------------------------------------------ L8 a file that somebody else could write


def test_l8_an_include_that_anyone_could_have_written_is_refused(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("elsewhere") / "routes.yaml"
    outside.write_text("routes: [{path: /x, respond: x}]\n")
    sites = tmp_path / "sites"
    sites.mkdir()
    with running(tmp_path, config(), tries=TRIES) as site:
        good = site.file.read_text()
        (sites / "link.yaml").symlink_to(outside)
        (sites / "open.yaml").write_text(outside.read_text())
        (sites / "open.yaml").chmod(0o666)
        patterns = f"{outside}, ../{outside.parent.name}/*.yaml, sites/link.yaml, sites/open.yaml"
        site.file.write_text(f"include: [{patterns}]\n{good}")
        done = site.command("reload")
        assert done.returncode == 1
        assert done.stderr.count("leads out") == 2, done.stderr
        assert "is a link out" in done.stderr, done.stderr
        assert "can be written by everyone" in done.stderr, done.stderr
        assert ask(site.address, "/x").json()["pid"]  # the application's, as before
        site.file.write_text(good)


# ------------------------------------------------------------ L9 process 1 of a container


def test_l9_strangers_are_reaped_in_silence(tmp_path: Path) -> None:
    """Grandchildren of the application come to the topmost process, as to process 1 of a container."""
    (tmp_path / "tries.py").write_text(TRIES)
    site = Site(tmp_path, config(), wrapped_in=prctl(PR_SET_CHILD_SUBREAPER, 1))
    with started(site):
        before, said = site.processes(), site.said()
        told(site, "orphans")
        wait_until(lambda: not zombies(site) and site.processes() == before, 5, "the strangers' end")
        assert is_well(site)
        assert site.processes() == before
        assert site.said() == said


def zombies(site: Site) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            fields = stat.rsplit(")", 1)[1].split()
            if fields[3] == str(site.pid) and fields[0] == "Z":
                found.append(stat)
    return found


@pytest.fixture
def public() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder
