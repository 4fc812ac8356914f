"""A full disk, or a quota that is used up, costs the requests that need it: 507, and all else goes on."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.leaks import Quiet
from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk

SLOTS = 2 * 4  # connections to slots, as many as the proxy may keep
APP = """
def application(environ, start_response):
    if environ["PATH_INFO"] == "/large":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(1 << 23))])
        return [b"x" * 65536] * 128
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(size).encode()]
"""
CONFIG = """
proxy: {processes: 1}
spool: {dir: spool, memory: 64KiB, limit: %s}
limits: {body: 4MiB}
pools: {web: {app: app, workers: 1, threads: 4}}
"""


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "trivet-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def upload(talk: Talk, size: int) -> int:
    with contextlib.suppress(OSError):  # refused before all of it is sent
        talk.say(f"POST /up HTTP/1.1\nHost: a.example\nContent-Length: {size}\n\n", b"x" * size)
    return talk.answer().status


def upload_anew(site: Site, size: int) -> int:
    with Talk(site.address) as talk:
        return upload(talk, size)


def _logged(site: Site) -> str:
    return "".join(line for line in site.said().splitlines(True) if "POST /up" in line)


def test_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    with small_disk(tmp_path / "spool"), running(tmp_path, CONFIG % "1GiB", app=APP) as site:
        (front,) = site.pids(" process ")
        with Talk(site.address) as kept, Talk(site.address) as holder:
            assert kept.get("/").body == b"0"
            quiet = Quiet([front], kept=SLOTS)
            with Talk(site.address) as talk:
                assert upload(talk, 3_000_000) == 507
                assert talk.is_at_end()
            assert "why=spool_full" in wait_until(lambda: _logged(site), 5, "a line in the log")
            # Some room is held by one that has not sent everything yet. (The worker holds a copy in the end.)
            holder.say("POST /up HTTP/1.1\nHost: a.example\nContent-Length: 450000\n\n", b"x" * 400_000)
            wait_until(lambda: quiet.extra(0).get(str(front), {}).get("deleted"), 5, "its file")
            with Talk(site.address) as talk:
                assert upload(talk, 700_000) == 507
            assert kept.get("/").body == b"0"  # what needs no disk goes on
            assert upload(kept, 60_000) == 200
            assert len(kept.get("/large").body) == 1 << 23  # and an answer waits for its reader instead
            assert holder.say(b"x" * 50_000).answer().body == b"450000"
            # Its copy in the worker goes a moment after its answer.
            wait_until(lambda: upload_anew(site, 400_000) == 200, 5, "room again")
            holder.close()
            assert quiet.extra(5) == {}


def test_a_quota_that_is_used_up(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    config = CONFIG.replace("body: 4MiB", "body: 1MiB") % "1MiB"
    with running(tmp_path, config, app=APP) as site, Talk(site.address) as first, Talk(site.address) as kept:
        (front,) = site.pids(" process ")
        assert kept.get("/").body == b"0"
        quiet = Quiet([front], kept=SLOTS)
        first.say("POST /up HTTP/1.1\nHost: a.example\nContent-Length: 800000\n\n", b"x" * 700_000)
        wait_until(lambda: quiet.extra(0).get(str(front), {}).get("deleted"), 5, "the first file")
        with Talk(site.address) as second:
            assert upload(second, 600_000) == 507
        assert upload(kept, 60_000) == 200
        assert first.say(b"x" * 100_000).answer().body == b"800000"
        assert upload(kept, 600_000) == 200
        assert quiet.extra(5) == {}
