"""Who may speak on the sockets of a run directory: our own user, and the workers' group if it differs.

The rights of every file are looked at, and as root another user tries each of them: by the rights it cannot
connect, and where an operator has opened everything it is not believed.
"""

import grp
import json
import os
import socket
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.whole.others import NOBODY, as_nobody, needs_root, public_folder
from tests.whole.running import Site, running

pytestmark = pytest.mark.slow

TELLING = """
import json

def application(environ, start_response):
    names = ("REMOTE_ADDR", "HTTP_X_REAL_IP", "HTTP_X_FORWARDED_FOR", "HTTP_TRIVET_CLAIM")
    names += ("wsgi.url_scheme", "SCRIPT_NAME")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({name: environ.get(name) for name in names}).encode()]
"""
CONFIG = """
proxy: {processes: 1}
pools: {web: {app: telling, workers: 1%s}}
"""
FORGED = (
    "GET / HTTP/1.1\r\nHost: a\r\nX-Real-IP: 203.0.113.9\r\nX-Forwarded-For: 203.0.113.9\r\n"
    "X-Forwarded-Proto: https\r\nTrivet-Claim: %d 7\r\nTrivet-Mount: /admin\r\n"
    "Connection: close\r\n\r\n"
)


@pytest.fixture
def public() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


def rights(path: Path) -> str:
    """Such as `0600 root`."""
    info = path.lstat()
    return f"{stat.S_IMODE(info.st_mode):04o} {grp.getgrgid(info.st_gid).gr_name}"


def sockets(site: Site) -> dict[str, Path]:
    """All of the run directory, by name below it; "slot" is the only one of that kind."""
    paths = [path for path in site.run_dir.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]
    found = {str(path.relative_to(site.run_dir)): path for path in paths}
    (slot,) = (name for name in found if name.startswith("web/w"))
    found["slot"] = found.pop(slot)
    assert set(found) == {"control.sock", "proxy.sock", "web/control.sock", "web/pool.sock", "slot"}
    return found


def converse(path: Path, request: str) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(os.fspath(path))
        sock.sendall(request.encode())
        pieces = []
        while piece := sock.recv(65536):
            pieces.append(piece)
        return b"".join(pieces).decode()


def begin(path: Path, request: str) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(os.fspath(path))
        sock.sendall(request.encode())
        return sock.recv(65536).decode()


def test_for_one_user(tmp_path: Path) -> None:
    ours = grp.getgrgid(os.getegid()).gr_name
    with running(tmp_path, CONFIG % "", telling=TELLING) as site:
        assert {name: rights(path) for name, path in sockets(site).items()} == dict.fromkeys(
            sockets(site), f"0600 {ours}"
        )
        folders = [site.run_dir, *(path for path in site.run_dir.rglob("*") if path.is_dir())]
        assert [rights(folder) for folder in folders] == [f"0700 {ours}"] * 2
        files = [path for path in site.run_dir.rglob("*") if not path.is_dir()]
        assert [path for path in files if path.lstat().st_mode & 0o077] == []


@needs_root
def test_another_user_cannot_connect(public: Path) -> None:
    with running(public, CONFIG % "", telling=TELLING) as site:
        for path in sockets(site).values():
            assert as_nobody(partial(converse, path, "")) == "PermissionError", path


@needs_root
def test_where_everything_was_opened_another_user_is_not_believed(public: Path) -> None:
    with running(public, CONFIG % "", telling=TELLING) as site:
        found = sockets(site)
        for path in [site.run_dir, *site.run_dir.rglob("*")]:
            path.chmod(0o777)
        slot, pool = found.pop("slot"), found.pop("web/pool.sock")
        for number in (1, 2):  # one of them is the slot's current claim
            for path in (slot, pool):
                told = as_nobody(partial(converse, path, FORGED % number))
                head, _, body = told.partition("\r\n\r\n")
                assert head.startswith("HTTP/1.1 200 "), told
                assert json.loads(body) == {
                    "REMOTE_ADDR": "",
                    "HTTP_X_REAL_IP": None,
                    "HTTP_X_FORWARDED_FOR": None,
                    "HTTP_TRIVET_CLAIM": None,
                    "wsgi.url_scheme": "http",
                    "SCRIPT_NAME": "",
                }, path
        for path in found.values():
            said = as_nobody(partial(converse, path, '{"verb": "status"}\n'))
            assert said in ("", "ConnectionResetError", "BrokenPipeError"), (path, said)
        # Our own user is believed, on the same socket: a claim that is none of the slot's is refused.
        assert begin(slot, FORGED % 0).startswith("HTTP/1.1 409 ")


@needs_root
def test_for_two_users(public: Path) -> None:
    config = CONFIG % f", user: {NOBODY}, group: {NOBODY}"
    group = grp.getgrgid(NOBODY).gr_name
    with running(public, config, telling=TELLING) as site:
        for name, path in sockets(site).items():
            if name in ("slot", "web/pool.sock"):
                assert rights(path) == f"0660 {group}", name
            else:
                assert rights(path).startswith("0600 "), name
                assert path.lstat().st_uid == 0, name
        assert rights(site.run_dir)[:4] == "0710"
        assert rights(site.run_dir / "web") == f"2750 {group}"
        assert as_nobody(lambda: converse(site.run_dir / "control.sock", "")) == "PermissionError"
        assert as_nobody(lambda: converse(site.run_dir / "proxy.sock", "")) == "PermissionError"
        assert as_nobody(lambda: str(os.open(site.run_dir / "x", os.O_CREAT))) == "PermissionError"
