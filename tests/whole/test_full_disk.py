"""Logs that take nothing: a full disk, a pipe nobody reads.

Requests go on at their speed, what is lost is counted and said, and once there is room again everything goes
on by itself; no line is torn.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.leaks import Quiet
from tests.whole.running import TRIVET, Site, running, wait_until
from tests.whole.talking import Talk, logged

ECHO = """
def application(environ, start_response):
    print("asked for", environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here"]
"""
CONFIG = """
proxy: {processes: 2}
log: {access: %s, error: %s}
pools: {web: {app: echo, workers: 1}}
"""
# No request may take this long (s) because of a log; a stalled one would take for ever.
STALLED = 1.0
# What waits for a log is 1 MiB a process: so many lines of this length are more than two processes keep.
LONG, MANY = 12_000, 400


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """4 MiB of a file system of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0755", "tmpfs", os.fspath(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, timeout=10, check=False)
    except OSError as error:
        pytest.skip(f"nothing can be mounted: {error}")
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", os.fspath(folder)], timeout=10, check=True)


def ask_often(site: Site, first: int, count: int, length: int) -> float:
    """Ask for /0, /1 and so on, each with a field that makes its line so long; the longest time of one."""
    longest = 0.0
    for start in range(first, first + count, 20):  # a few connections, for both processes
        with Talk(site.address) as talk:
            for number in range(start, min(start + 20, first + count)):
                began = time.monotonic()
                assert talk.get(f"/{number}", f"User-Agent: {'u' * length}").status == 200
                longest = max(longest, time.monotonic() - began)
    return longest


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                pass
    return filler


def numbers(text: str) -> list[int]:
    """Of the whole lines, all of which must be lines of the log."""
    assert text == "" or text.endswith("\n"), text[-200:]
    return [int(logged(line)["target"][1:]) for line in text.splitlines()]


@pytest.mark.drill
def test_logs_on_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    access, error = small_disk / "access.log", small_disk / "error.log"
    with running(tmp_path, CONFIG % (access, error), echo=ECHO) as site:
        assert ask_often(site, 0, 20, 100) < STALLED
        wait_until(lambda: access.exists() and len(numbers(access.read_text())) == 20, 5, "the log")
        filler = fill(small_disk)
        longest = ask_often(site, 20, MANY, LONG)
        assert longest < STALLED
        time.sleep(1.2)  # a flush that fails
        ask_often(site, 20 + MANY, 20, 100)
        filler.unlink()
        wait_until(lambda: "lines of the access log" in error.read_text(), 5, "the loss in the error log")
        after = 40 + MANY
        ask_often(site, after, 20, 100)
        wait_until(lambda: after + 19 in numbers(access.read_text()), 5, "new lines in the log")
    found = numbers(access.read_text())
    lost = sum(_last_counts(error.read_text()))
    assert lost > 0
    assert len(found) + lost == 60 + MANY
    assert len(set(found)) == len(found)
    assert set(range(20)) | set(range(after, after + 20)) <= set(found)
    for line in error.read_text().splitlines():
        assert re.match(r"[-\d]+ [:.\d]+ (debug|info|warning|error) \[[^]]+\] ", line), line
    print(f"\nfull disk: {60 + MANY} requests, slowest {longest * 1000:.1f} ms; {lost} lines lost, 0 torn")


def test_a_full_spool_costs_those_who_need_it(tmp_path: Path, small_disk: Path) -> None:
    config = f"spool: {{dir: {small_disk}}}\n" + CONFIG.replace("2", "1") % ("off", "error.log")
    upload = (f"POST / HTTP/1.1\nHost: a\nContent-Length: {1 << 20}\n\n", bytes(1 << 20))
    with running(tmp_path, config, echo=ECHO) as site:
        ask_often(site, 0, 1, 100)
        quiet = Quiet(site.processes(), [small_disk])
        filler = fill(small_disk)
        for _ in range(3):
            with Talk(site.address) as talk:
                answer = talk.say(*upload).answer()
                assert answer.status == 507
                assert b"reason: spool_full" in answer.body
                assert os.fsencode(small_disk) not in answer.body
            assert ask_often(site, 0, 20, 100) < STALLED
        filler.unlink()
        with Talk(site.address) as talk:
            assert talk.say(*upload).answer().status == 200
        assert quiet.extra(3.0) == {}
    assert "No space left on device" in (tmp_path / "error.log").read_text()


def _last_counts(text: str) -> list[int]:
    """What each process said last of the access lines it had lost so far."""
    told = re.findall(r"\[(proxy \d+ \d+)\] (\d+) lines of the access log", text)
    return [int(count) for count in dict(told).values()]


@pytest.mark.drill
def test_a_pipe_nobody_reads(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with running(tmp_path, CONFIG % (pipe, "error.log"), echo=ECHO) as site:
        longest = ask_often(site, 0, 60, 2000)  # more than the 64 KiB that a pipe takes
        time.sleep(1.2)
        text = read_until(reader, 59)
        assert sorted(numbers(text)) == list(range(60))
        os.close(reader)
        longest = max(longest, ask_often(site, 60, 20, 2000))
        time.sleep(1.2)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        ask_often(site, 80, 20, 100)
        found = numbers(read_until(reader, 99))
        assert sorted(found) == list(range(60, 100))
        assert longest < STALLED
    os.close(reader)
    print(f"\npipe: slowest of 100 requests {longest * 1000:.1f} ms")


def read_until(reader: int, number: int) -> str:
    """All that comes, up to the line of this request and what comes with it."""
    text = b""
    until = time.monotonic() + 10
    quiet = 0.0
    while quiet == 0.0 or time.monotonic() < quiet:
        assert time.monotonic() < until, f"no line of request {number}: {len(text)} bytes"
        try:
            text += os.read(reader, 65536)
        except BlockingIOError:
            time.sleep(0.01)
        if quiet == 0.0 and f" /{number} ".encode() in text:
            quiet = time.monotonic() + 1.5  # the other process's lines
    return text.decode()


def test_a_pipe_without_a_reader_is_explained(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "echo.py").write_text(ECHO)
    site = Site(tmp_path, CONFIG % ("pipe", "error.log"))
    done = subprocess.run(
        [*TRIVET, "serve", "trivet.yaml"],
        cwd=site.folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "pipe: cannot be opened for the log" in said
    assert "Traceback" not in said
