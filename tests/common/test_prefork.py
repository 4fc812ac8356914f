"""A master as a real process with real children: signals, its parent's death, reloads, the last second."""

import json
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet_common.asking import ask
from trivet_common.channel import Channel, ChannelClosed, wait_readable
from trivet_common.children import Child
from trivet_common.control import ControlServer
from trivet_common.forking import fork
from trivet_common.logs import ErrorLog
from trivet_common.prefork import Master


def child_body(stubborn: bool) -> Callable[[Channel], int]:
    """Leaves when told; a stubborn one only when killed."""

    def body(channel: Channel) -> int:
        channel.send(b"ready")
        while True:
            wait_readable(channel, 20)
            try:
                message = channel.receive()
            except ChannelClosed:
                message = b"quit"
            if message in (b"drain", b"quit") and not stubborn:
                return 0
            if message is not None and message.startswith(b"echo"):
                channel.send(message)
            if stubborn:
                time.sleep(0.05)

    return body


class Small(Master):
    """Two children; every event is a line in a file, which the test waits for."""

    quit_grace = 0.3

    def __init__(self, place: Path, *, stubborn: bool = False, **options: Any) -> None:
        super().__init__("test", ErrorLog(place / "error.log", "test"), **options)
        self.place = place
        self.stubborn = stubborn
        self.done: list[Callable[[str | None], None]] = []

    def note(self, text: str) -> None:
        with open(self.place / "events", "a") as file:
            file.write(text + "\n")

    def start(self) -> None:
        self.open_control(ControlServer(self.place / "control.sock"))
        for index in range(2):
            self.spawn("child", index, child_body(self.stubborn))
        self.note(f"pids {' '.join(str(child.pid) for child in self.children)}")

    def child_said(self, child: Child, message: bytes) -> None:
        self.note(f"said {child.index} {message.decode()}")

    def child_exited(self, child: Child, status: int) -> None:
        self.note(f"exited {child.index} {status}")

    def reload(self, settings: Any, done: Callable[[str | None], None]) -> None:
        self.note(f"reload {settings}")
        self.report_progress(f"taking {settings}")
        if settings == "slow":
            self.call_later(0.3, lambda: done(None))
        else:
            done("no such thing" if settings == "bad" else None)

    def more(self) -> None:
        self.note("more")

    def less(self) -> None:
        self.note("less")

    def status(self) -> dict[str, Any]:
        return {"children": len(self.children), "big": "x" * 3_000_000}

    def cleanup(self) -> None:
        self.note("cleanup")


class Running:
    def __init__(self, place: Path, **options: Any) -> None:
        self.place = place
        self.pid = fork(lambda: Small(place, **options).run(), print)
        self.status: int | None = None
        self.wait_for("said 0 ready", "said 1 ready")

    def events(self) -> list[str]:
        try:
            return (self.place / "events").read_text().splitlines()
        except FileNotFoundError:
            return []

    def log(self) -> str:
        return (self.place / "error.log").read_text()

    def wait_for(self, *wanted: str) -> None:
        until = time.monotonic() + 10
        while not set(wanted) <= set(self.events()):
            assert time.monotonic() < until, self.events()
            time.sleep(0.01)

    def kill(self, signum: int) -> None:
        os.kill(self.pid, signum)

    def wait(self) -> int:
        until = time.monotonic() + 10
        while self.status is None:
            assert time.monotonic() < until, self.events()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        return self.status

    def pids(self) -> list[int]:
        return [int(pid) for pid in self.events()[0].split()[1:]]

    def ask(self, what: str) -> dict[str, Any]:
        return ask(self.place / "control.sock", {"do": what}, 5)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(**options: Any) -> Running:
        started.append(Running(tmp_path, **options))
        return started[-1]

    yield start
    for running in started:
        if running.status is None:
            for pid in running.pids():
                if Path(f"/proc/{pid}/stat").exists():
                    os.kill(pid, signal.SIGKILL)
            running.kill(signal.SIGKILL)
            running.wait()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_leaves_when_its_children_have(run: Callable[..., Running], signum: int) -> None:
    master = run()
    master.kill(signum)
    assert master.wait() == 0
    assert {"exited 0 0", "exited 1 0"} <= set(master.events())
    assert master.events()[-1] == "cleanup"
    assert sorted(os.listdir(master.place)) == ["error.log", "events"]


def test_a_second_term_ends_what_does_not_leave(run: Callable[..., Running]) -> None:
    master = run(stubborn=True)
    master.kill(signal.SIGTERM)
    time.sleep(0.1)
    assert os.waitpid(master.pid, os.WNOHANG)[0] == 0
    began = time.monotonic()
    master.kill(signal.SIGTERM)
    master.wait()
    assert time.monotonic() - began < 1.5
    assert "exited 0 -9" in master.events()


def test_a_drain_has_an_end(run: Callable[..., Running]) -> None:
    master = run(stubborn=True, stop_timeout=0.1)
    assert master.ask("stop")["ok"]
    master.wait()
    assert "exited 1 -9" in master.events()


def test_children_that_die_in_one_burst_are_all_missed(run: Callable[..., Running]) -> None:
    master = run(stubborn=True)
    master.kill(signal.SIGSTOP)
    for pid in master.pids():
        os.kill(pid, signal.SIGKILL)  # two SIGCHLD become one
    master.kill(signal.SIGCONT)
    master.wait_for("exited 0 -9", "exited 1 -9")
    master.kill(signal.SIGINT)
    master.wait()


def test_signals_to_the_whole_group_are_the_masters_alone(run: Callable[..., Running]) -> None:
    master = run()
    for pid in master.pids():
        for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGQUIT):
            os.kill(pid, signum)
    master.kill(signal.SIGUSR1)
    assert master.ask("status")["children"] == 2


def test_when_the_one_above_is_killed_all_leave_in_time(run: Callable[..., Running], tmp_path: Path) -> None:
    ours, theirs = Channel.pair()

    def be_master() -> int:
        ours.close()
        return Small(tmp_path, stubborn=True, parent=theirs).run()

    pid = fork(be_master, print)
    theirs.close()
    until = time.monotonic() + 5
    while not (tmp_path / "events").exists() or "said 1 ready" not in (tmp_path / "events").read_text():
        assert time.monotonic() < until
        time.sleep(0.01)
    pids = [int(word) for word in (tmp_path / "events").read_text().split("\n")[0].split()[1:]]
    began = time.monotonic()
    ours.close()  # as the kernel does for one that is killed
    os.waitpid(pid, 0)
    assert time.monotonic() - began < 2.0
    assert all(map(is_gone, pids))


def test_children_of_a_killed_master_see_its_end(run: Callable[..., Running]) -> None:
    master = run()
    pids = master.pids()
    master.kill(signal.SIGKILL)
    master.wait()
    until = time.monotonic() + 2
    while not all(map(is_gone, pids)):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_reloads(run: Callable[..., Running], tmp_path: Path) -> None:
    def outcome() -> Any:
        text = (tmp_path / "site.yaml").read_text()
        if text == "broken":
            raise ValueError("site.yaml:3: unknown key")
        return text

    def read(_loop: object, then: Callable[[Callable[[], Any]], None]) -> None:
        then(outcome)

    master = run(reload_source=read)
    answers = []
    steps: list[str] = []
    for text in ("good", "bad", "broken"):
        (tmp_path / "site.yaml").write_text(text)
        answers.append(ask(tmp_path / "control.sock", {"do": "reload"}, 5, steps.append))
    assert steps == ["taking good", "taking bad"]
    assert [answer["problem"] for answer in answers] == ["", "no such thing", "site.yaml:3: unknown key"]
    assert "reload broken" not in master.events()
    (tmp_path / "site.yaml").unlink()
    master.kill(signal.SIGHUP)  # nobody waits for an answer: the log says it
    until = time.monotonic() + 5
    while "No such file" not in master.log():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert "unknown key" in master.log()
    assert master.ask("status")["children"] == 2
    (tmp_path / "site.yaml").write_text("slow")
    master.kill(signal.SIGHUP)
    master.wait_for("reload slow")
    assert master.ask("reload")["problem"] == "a reload is already running"
    master.kill(signal.SIGTERM)
    assert master.wait() == 0


def test_what_a_lower_master_is_told(tmp_path: Path) -> None:
    ours, theirs = Channel.pair()

    def be_master() -> int:
        ours.close()
        return Small(tmp_path, parent=theirs).run()

    pid = fork(be_master, print)
    theirs.close()

    def hear() -> bytes | None:
        assert wait_readable(ours, 5)
        return ours.receive()

    ours.send(b"")
    ours.send(b"what is this")
    ours.send(b"reload 1 " + pickle.dumps("slow"))
    ours.send(b"reload 2 " + pickle.dumps("good"))
    assert hear() == b"progress taking slow"
    assert hear() == b"reloaded 2 a reload is already running"
    assert hear() == b"reloaded 1"
    ours.send(b"more")
    ours.send(b"less")
    ours.send(b"reload 3 " + pickle.dumps("bad"))
    assert hear() == b"progress taking bad"
    assert hear() == b"reloaded 3 no such thing"
    ours.send(b"drain")
    assert os.waitpid(pid, 0)[1] == 0
    ours.close()
    events = (tmp_path / "events").read_text().splitlines()
    assert events.index("more") < events.index("less") < events.index("reload bad")


def test_terminal_signals_mean_more_and_fewer_and_no_child_stops(run: Callable[..., Running]) -> None:
    master = run()
    for signum, event in ((signal.SIGTTIN, "more"), (signal.SIGTTOU, "less")):
        for pid in master.pids():
            os.kill(pid, signum)
        master.kill(signum)
        master.wait_for(event)
    assert not any(
        Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T" for pid in master.pids()
    )


def test_a_long_status_is_answered_and_an_unknown_request_named(run: Callable[..., Running]) -> None:
    master = run()
    assert len(json.dumps(master.ask("status"))) > 3_000_000
    assert master.ask("dance") == {"ok": False, "problem": "unknown request 'dance'"}
    assert master.ask("reopen")["ok"]
    assert "its master" in master.ask("reload")["problem"]
