"""Reloads: new code without a failed request; a broken file or release changes nothing and says why."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.crowd import Crowd
from tests.whole.running import Site, running, wait_until

RELOADS, WORKERS, SLOTS = 3, 2, 4
RELOADED = re.compile(r"\[serve \d+\] reloaded")
REFUSED = re.compile(r"\[serve \d+\] .*reload failed")
RELEASE = """
import time

def application(environ, start_response):
    mark = environ["QUERY_STRING"].removeprefix("mark=")
    environ["wsgi.input"].read()
    time.sleep(0.002)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Release", "NAME")])
    return [f"{mark} NAME".encode()]
"""
# The listening address stays: the one who reloads has connections open on it.
CONFIG = """
listen: 127.0.0.1:0
proxy: {processes: 2}
log: {access: off}
pools: {web: {app: release, workers: 2, threads: 2}}
"""
BROKEN = {
    "a syntax error": ("def application(:\n", "SyntaxError"),
    "an exit": ("import os\nos._exit(3)\n", "exited with status 3"),
}


def _release(name: str) -> str:
    return RELEASE.replace("NAME", name)


def _descriptors(site: Site) -> dict[int, tuple[int, int]]:
    """Of each process that lives on over a reload: how many Unix streams it has open, and how much else.

    A proxy process in use has each worker's board open and keeps up to two connections to each slot.
    """
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    streams = {f"socket:[{line.split()[6]}]" for line in lines if line.split()[4] == "0001"}
    found = {}
    for pid, title in site.processes().items():
        if "worker" not in title:
            targets = list(_targets(pid))
            to_slots = sum(target in streams for target in targets)
            found[pid] = to_slots, len(targets) - to_slots
    return found


def _targets(pid: int) -> Iterator[str]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield os.readlink(entry)
        except FileNotFoundError:
            pass  # closed since the folder was read


def _has_grown(site: Site, unused: dict[int, tuple[int, int]]) -> str:
    """What has more open than a site in use needs, in words; "" if nothing."""
    now = _descriptors(site)
    assert set(now) == set(unused)
    most = {pid: (streams + 2 * SLOTS, others + WORKERS) for pid, (streams, others) in unused.items()}
    return "; ".join(
        f"{site.processes()[pid]}: {now[pid]} for {most[pid]}"
        for pid in now
        if now[pid][0] > most[pid][0] or now[pid][1] > most[pid][1]
    )


def _files(site: Site) -> list[str]:
    """What lies in the run directory; incarnations are numbered on."""
    found = (path.relative_to(site.run_dir) for path in site.run_dir.rglob("*"))
    return sorted(re.sub(r"w\d+\.", "wN.", str(path)) for path in found)


def _served(crowd: Crowd) -> list[str]:
    """The releases that answered, in the order in which their answers came."""
    return [visit.said.split(b" ")[1].decode() for visit in crowd.visits if visit.outcome == "200"]


@pytest.mark.drill
def test_under_load(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, release=_release("r0")) as site:
        unused = _descriptors(site)
        files, count = _files(site), len(site.processes())
        with Crowd(site.address, 8) as crowd:
            for number in range(1, RELOADS + 1):
                (tmp_path / "release.py").write_text(_release(f"r{number}"))
                if number in (1, RELOADS):
                    done = site.command("reload")
                    assert (done.returncode, done.stdout) == (0, "trivet.yaml: reloaded\n"), done.stderr
                else:
                    said = len(RELOADED.findall(site.said()))
                    site.process.send_signal(signal.SIGHUP)
                    wait_until(lambda said=said: len(RELOADED.findall(site.said())) > said, 20, "HUP")
                asked = time.monotonic()
                wait_until(lambda asked=asked: sum(visit.sent > asked for visit in crowd.visits) > 8)
                after = {visit.said.split(b" ")[1] for visit in crowd.visits if visit.sent > asked}
                assert after == {f"r{number}".encode()}
        print(f"\n{len(crowd.visits)} requests over {RELOADS} reloads: {dict(crowd.outcomes())}")
        assert crowd.failures() == []
        wait_until(lambda: _files(site) == files, 5, f"{_files(site)}, before {files}")
        until = time.monotonic() + 5  # a proxy process looks once a second whether a worker is gone
        while (grown := _has_grown(site, unused)) and time.monotonic() < until:
            time.sleep(0.1)
        assert grown == ""
        assert len(site.processes()) == count


def test_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    with (
        running(tmp_path, CONFIG, release=_release("r0")) as site,
        Crowd(site.address, 4, pause=0.02) as crowd,
    ):
        workers = site.pids("worker")
        (tmp_path / "release.py").write_text(_release("r1"))
        site.file.write_text(site.file.read_text() + "worker: 4\n")
        done = site.command("reload")
        assert (done.returncode, done.stdout) == (1, "")
        assert re.search(r"trivet\.yaml:\d+: .*worker", done.stderr), done.stderr
        site.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(REFUSED.findall(site.said())) == 2, 10)
        assert site.pids("worker") == workers
    assert crowd.failures() == []
    assert set(_served(crowd)) == {"r0"}


def test_a_broken_release_leaves_the_old_one(tmp_path: Path) -> None:
    with (
        running(tmp_path, CONFIG, release=_release("r0")) as site,
        Crowd(site.address, 4, pause=0.02) as crowd,
    ):
        workers, files = site.pids("worker"), _files(site)
        for case, (text, words) in BROKEN.items():
            (tmp_path / "release.py").write_text(text)
            done = site.command("reload")
            assert (done.returncode, done.stdout) == (1, ""), case
            assert words in done.stderr, (case, done.stderr)
            assert words in site.said(), case
            assert site.pids("worker") == workers, case
            assert _files(site) == files, case
        (tmp_path / "release.py").write_text(_release("r1"))
        assert site.command("reload").returncode == 0
        asked = time.monotonic()
        wait_until(lambda: any(visit.sent > asked for visit in crowd.visits))
    assert crowd.failures() == []
    assert sorted(set(_served(crowd))) == ["r0", "r1"]
