"""Requests that wait for a slot: in order, bounded in number and time, and gone with their client."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk, logged
from trivet_common.pool.queue_board import QueueCounts, read_queue_board

pytestmark = pytest.mark.slow

# /hold keeps its slot until the file `go` is there; everything is written down as it begins.
HELD = """
import os, time
folder = os.path.dirname(__file__)
record = os.open(os.path.join(folder, "record.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def application(environ, start_response):
    os.write(record, (environ["PATH_INFO"] + "\\n").encode())
    if environ["PATH_INFO"] == "/hold":
        while not os.path.exists(os.path.join(folder, "go")):
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Queued", str(environ["trivet.queued"]))])
    return [b"done"]
"""
LOG = "log: {access: access.log}\n"


def counts(site: Site) -> QueueCounts:
    rows = read_queue_board(site.run_dir / "web" / "queue.board")
    return QueueCounts(*(sum(of_all) for of_all in zip(*(row.counts for row in rows), strict=True)))


def waiting(site: Site) -> int:
    return sum(row.waiting for row in read_queue_board(site.run_dir / "web" / "queue.board"))


def begun(site: Site) -> list[str]:
    file = site.folder / "record.txt"
    return file.read_text().split() if file.exists() else []


@contextmanager
def all_slots_held(site: Site, slots: int) -> Iterator[list[Talk]]:
    """Ends when the body says `go`, which it must."""
    holders = [Talk(site.address, 60) for _ in range(slots)]
    try:
        for holder in holders:
            holder.say("GET /hold HTTP/1.1\nHost: a.example\n\n")
        wait_until(lambda: begun(site).count("/hold") == slots, 10, "every slot's being busy")
        yield holders
        for holder in holders:
            assert holder.answer().body == b"done"
    finally:
        for holder in holders:
            holder.close()


def go(site: Site) -> None:
    (site.folder / "go").touch()


@pytest.mark.parametrize(
    ("clients", "leave", "seconds"),
    [(120, 96, 1.0), pytest.param(500, 400, 5.0, marks=pytest.mark.drill)],
)
def test_who_left_never_reaches_the_application(
    tmp_path: Path, clients: int, leave: int, seconds: float
) -> None:
    slots = 4
    config = "proxy: {processes: 2}\npools: {web: {app: held, workers: 2, threads: 2}}\n" + LOG
    with running(tmp_path, config, held=HELD) as site, all_slots_held(site, slots):
        until = time.monotonic() + seconds
        talks = [Talk(site.address, 30) for _ in range(clients)]
        for number, talk in enumerate(talks):
            talk.say(f"GET /{number} HTTP/1.1\nHost: a.example\n\n")
        wait_until(lambda: waiting(site) == clients, 10, "everybody's waiting")
        for talk in talks[:leave]:
            talk.close()
        wait_until(lambda: waiting(site) == clients - leave, 5, "the end of those who left")
        time.sleep(max(0.0, until - time.monotonic()))
        go(site)
        for talk in talks[leave:]:
            assert talk.answer().body == b"done"
            talk.close()
    ran = {int(path[1:]) for path in begun(site) if path != "/hold"}
    print(f"\n{clients} waiting, {leave} left: the application saw {len(ran)}")
    assert ran >= set(range(leave, clients))
    assert len(ran) <= clients - leave + slots
    lines = [logged(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    left = [line for line in lines if line.get("why") == "client_left"]
    assert len(left) >= leave - slots
    assert {line["status"] for line in left} == {"499"}
    assert max(float(line["queued"]) for line in lines) > 0.1


def test_first_come_first_served_and_how_long_it_was(tmp_path: Path) -> None:
    config = (
        """
proxy: {processes: 1}
pools: {web: {app: held, workers: 1, server_timing: true}}
"""
        + LOG
    )
    with running(tmp_path, config, held=HELD) as site, all_slots_held(site, 1):
        talks = []
        for number in range(5):
            talks.append(Talk(site.address).say(f"GET /{number} HTTP/1.1\nHost: a.example\n\n"))
            wait_until(lambda: waiting(site) == len(talks), 5)
        go(site)
        answers = [talk.answer() for talk in talks]
        for talk in talks:
            talk.close()
        assert begun(site)[1:] == [f"/{number}" for number in range(5)]
        waits = [float(answer.headers["server-timing"].split(";dur=")[1].split(",")[0]) for answer in answers]
        assert waits == sorted(waits, reverse=True)
        assert min(waits) > 100  # the board that told of the last is written four times a second
        told = [float(answer.headers["x-queued"]) * 1000 for answer in answers]
        assert told == pytest.approx(waits, abs=1.0)
        wait_until(lambda: counts(site).claims == 6, 5)
        assert counts(site).late == 5


def test_a_full_queue_and_a_long_wait(tmp_path: Path) -> None:
    config = (
        """
proxy: {processes: 1}
pools: {web: {app: held, workers: 1, queue: {limit: 3, timeout: 600ms}}}
"""
        + LOG
    )
    with running(tmp_path, config, held=HELD) as site, all_slots_held(site, 1):
        began = time.monotonic()
        talks = [Talk(site.address).say(f"GET /{n} HTTP/1.1\nHost: a.example\n\n") for n in range(3)]
        wait_until(lambda: waiting(site) == 3, 0.55)
        with Talk(site.address) as one_too_many:
            asked = time.monotonic()
            answer = one_too_many.get("/more")
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert b"queue_full" in answer.body
            assert time.monotonic() - asked < 0.1
        for talk in talks:
            answer = talk.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert b"queue_timeout" in answer.body
            assert 0.55 < time.monotonic() - began < 0.9
            talk.close()
        go(site)
        wait_until(lambda: counts(site).expired == 3, 5)
        assert counts(site)[-2:] == (1, 3)
    assert begun(site) == ["/hold"]


def test_a_reload_changes_what_may_wait(tmp_path: Path) -> None:
    config = "proxy: {processes: 1}\npools: {web: {app: held, workers: 1, queue: {limit: LIMIT}}}\n" + LOG
    with running(tmp_path, config.replace("LIMIT", "0"), held=HELD) as site:
        with all_slots_held(site, 1):
            with Talk(site.address) as talk:
                assert talk.get("/none").status == 503
            go(site)
        (tmp_path / "go").unlink()
        (tmp_path / "record.txt").write_text("")
        site.configure(config.replace("LIMIT", "1"))
        done = site.command("reload")
        assert done.returncode == 0, done.stdout + done.stderr
        with all_slots_held(site, 1), Talk(site.address) as first, Talk(site.address) as second:
            first.say("GET /first HTTP/1.1\nHost: a.example\n\n")
            wait_until(lambda: waiting(site) == 1, 5)
            assert second.get("/second").status == 503
            go(site)
            assert first.answer().status == 200


def test_a_proxy_that_is_killed_leaves_its_row_to_its_successor(tmp_path: Path) -> None:
    config = "proxy: {processes: 1}\npools: {web: {app: held, workers: 1}}\n"
    with running(tmp_path, config, held=HELD) as site:
        holder = Talk(site.address).say("GET /hold HTTP/1.1\nHost: a.example\n\n")
        wait_until(lambda: "/hold" in begun(site), 5)
        talk = Talk(site.address).say("GET /1 HTTP/1.1\nHost: a.example\n\n")
        wait_until(lambda: waiting(site) == 1, 5)
        (proxy,) = site.pids(" process ")
        old = read_queue_board(site.run_dir / "web" / "queue.board")[0].pid
        assert old == proxy
        os.kill(proxy, signal.SIGKILL)
        wait_until(lambda: site.pids(" process ") not in ([], [proxy]), 5)
        wait_until(lambda: waiting(site) == 0 and counts(site) == QueueCounts(), 5)
        for gone in (holder, talk):
            with pytest.raises((AssertionError, ConnectionResetError)):
                gone.answer()
            gone.close()
        go(site)
