"""The proxy's master with real processes, in which something simpler than a proxy runs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.proxy.test_door import write
from trivet_common.asking import ControlError, ask
from trivet_common.children import Child
from trivet_common.config import Listen, from_mapping
from trivet_common.config.tls import Tls
from trivet_common.listeners import Listeners
from trivet_common.logs import ErrorLog
from trivet_common.pool.places import RunDir
from trivet_proxy.doors import Doors
from trivet_proxy.master import ProxyMaster, needs_restart

# A process that answers with its number, pid and the name of its configuration, and obeys its channel.
# What it is asked, and the names of configurations, say how it misbehaves.
SCRIPT = r"""
import os, pickle, select, signal, sys, time
from pathlib import Path
from trivet_common.channel import Channel, ChannelClosed
from trivet_common.config import from_mapping
from trivet_common.listeners import bind
from trivet_common.logs import ErrorLog
from trivet_common.pool.places import RunDir
from trivet_proxy.master import ProxyMaster

place, mode = Path(sys.argv[1]), sys.argv[2]

def read():
    name, listen, processes = (place / "source").read_text().split()
    return from_mapping(
        {"listen": listen, "proxy": {"processes": int(processes)}, "stop_timeout": "500ms",
         "routes": [{"path": "/", "respond": "x"}]}, name=name)

def front(index, count, settings, listeners, channel, log):
    assert settings.run_dir == place / "run"
    if mode == "failing":
        channel.send(b"failed there is no such folder")
        return 1
    if mode == "breaking":
        return 7
    if (place / f"dies{index}").exists():
        return 3
    channel.send(b"ready")
    def sockets_of(index):
        return {one.socket.fileno(): one.socket for one in listeners.for_process(index)}

    sockets = sockets_of(index)
    candidate = None
    while True:
        readable, _, _ = select.select([channel, *sockets], [], [])
        for one in readable:
            if one is not channel:
                answer(index, settings, sockets[one])
                continue
            try:
                message = channel.receive()
            except ChannelClosed:
                return 0
            verb, _, rest = message.partition(b" ")
            if verb == b"reload":
                candidate = pickle.loads(rest)
                if candidate.name == "dies" and index == 1:
                    os.abort()
                if candidate.name == "stuck" and index == 1:
                    continue
                channel.send(b"no not this one" if candidate.name == "bad" and index == 1 else b"ok")
            elif verb == b"switch":
                settings = candidate
            elif verb == b"adopt":
                sockets |= sockets_of(int(rest))
            elif verb == b"return":
                sockets = {fd: sock for fd, sock in sockets.items() if fd not in sockets_of(int(rest))}
            elif verb == b"drain" and mode == "lingering":
                sockets = {}
                channel.send(b"closed")
            elif verb == b"reopen":
                (place / f"reopened{index}").touch()
            elif verb == b"quit" or (verb == b"drain" and mode != "stubborn"):
                return 0

def answer(index, settings, sock):
    try:
        client, _ = sock.accept()
    except BlockingIOError:
        return
    client.setblocking(True)
    if client.recv(100) == b"die":
        os._exit(3)
    client.sendall(f"{index} {os.getpid()} {settings.name}".encode())
    client.close()

def run(parent):
    settings = read()
    listeners = bind(settings.listen, settings.proxy.processes)
    (place / "address").write_text(next(iter(listeners)).text)
    log = ErrorLog(place / "log", "proxy")
    run_dir = RunDir(place / "run")
    master = ProxyMaster(
        settings, listeners, run_dir, log, parent=parent, reload_source=lambda loop, then: then(read),
        front=front,
    )  # fmt: skip
    return master.run()

if mode not in ("below", "failing"):
    sys.exit(run(None))
ours, theirs = Channel.pair()
pid = os.fork()
if pid == 0:
    ours.close()
    os._exit(run(theirs))
theirs.close()
heard = []
try:
    while True:
        select.select([ours], [], [])
        heard.append(ours.receive().decode())
        (place / "heard").write_text("\n".join(heard))
except ChannelClosed:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


class Running:
    """A master in a directory of its own."""

    def __init__(self, place: Path, mode: str, processes: int) -> None:
        self.place = place
        RunDir(place / "run").create()
        self.control = RunDir(place / "run").proxy_control
        self.write("first", processes=processes)
        script = place / "script.py"
        script.write_text(SCRIPT)
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(place), mode], stdin=subprocess.DEVNULL
        )

    def write(self, name: str, listen: str = "127.0.0.1:0", processes: int = 2) -> None:
        (self.place / "source").write_text(f"{name} {listen} {processes}")

    def status(self) -> dict:
        return ask(self.control, {"do": "status"}, 2.0)

    def processes(self) -> dict[int, dict]:
        return {one["index"]: one for one in self.status()["processes"]}

    def wait_until_ready(self, count: int = 2) -> dict[int, dict]:
        return wait_for(
            lambda: (
                [self.processes()] if sum(p["ready"] for p in self.processes().values()) == count else None
            )
        )[0]

    def say(self, text: bytes) -> list[str]:
        host, port = (self.place / "address").read_text().split(":")
        with socket.create_connection((host, int(port)), timeout=5) as client:
            client.sendall(text)
            return client.recv(100).decode().split()

    def everyone(self) -> dict[int, list[str]]:
        """What each process answers; the kernel chooses who is asked, so ask often."""
        found = {}
        for _ in range(60):
            index, *rest = self.say(b"who")
            found[int(index)] = rest
        return found

    def log(self) -> str:
        return (self.place / "log").read_text()


def wait_for(condition, seconds: float = 20.0):
    """The first true value of `condition`, which may fail while things are on their way."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(ControlError, OSError, KeyError):
            value = condition()
            if value:
                return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.fixture
def start(tmp_path):
    running = []

    def begin(mode="plain", processes=2):
        running.append(Running(tmp_path, mode, processes))
        return running[-1]

    yield begin
    for one in running:
        pids = []
        with contextlib.suppress(ControlError):
            pids = [process["pid"] for process in one.status()["processes"]]
        one.process.kill()
        one.process.wait(5)
        wait_for(lambda pids=pids: not any(map(is_alive, pids)))


def test_each_process_answers_on_its_own_socket(start):
    running = start()
    processes = running.wait_until_ready()
    assert running.everyone() == {index: [str(processes[index]["pid"]), "first"] for index in (0, 1)}
    status = running.status()
    assert (status["what"], status["name"], status["phase"], status["reloading"]) == (
        "proxy",
        "first",
        "running",
        False,
    )
    assert status["listen"] == [(running.place / "address").read_text()]


def test_a_killed_process_is_started_again_on_the_same_socket(start):
    running = start()
    before = running.wait_until_ready()
    os.kill(before[0]["pid"], signal.SIGKILL)
    # Nobody is refused meanwhile: the socket's backlog waits for the successor.
    for _ in range(30):
        assert running.say(b"who")
    after = wait_for(
        lambda: running.processes() if running.processes()[0]["pid"] != before[0]["pid"] else None
    )
    assert after[0]["starts"] == 2
    assert after[1]["pid"] == before[1]["pid"]
    assert set(running.everyone()) == {0, 1}
    assert "proxy process 0 ended (signal 9); starting it again" in running.log()


def test_one_that_dies_at_once_is_started_ever_more_seldom(start):
    running = start()
    before = running.wait_until_ready()
    (running.place / "dies1").touch()
    began = time.monotonic()
    os.kill(before[1]["pid"], signal.SIGKILL)
    wait_for(lambda: running.log().count("exit status 3") >= 4)
    assert time.monotonic() - began > 0.1 + 0.2 + 0.4 - 0.05
    assert running.processes()[0]["pid"] == before[0]["pid"]
    (running.place / "dies1").unlink()
    running.wait_until_ready()


def test_a_reload_switches_all(start):
    running = start()
    running.wait_until_ready()
    running.write("second")
    assert ask(running.control, {"do": "reload"}, 5.0) == {"ok": True, "problem": ""}
    assert {name for _, name in running.everyone().values()} == {"second"}
    assert running.status()["name"] == "second"
    # A successor has the new configuration too.
    os.kill(running.processes()[0]["pid"], signal.SIGKILL)
    wait_for(lambda: running.processes()[0]["starts"] == 2)
    assert {name for _, name in running.everyone().values()} == {"second"}
    running.write("third")
    running.process.send_signal(signal.SIGHUP)
    wait_for(lambda: running.status()["name"] == "third")


REFUSED = [
    (("bad",), "not this one"),
    (("dies",), "proxy process 1 ended (signal 6) during the reload"),
    (("second", "127.0.0.1:1"), "needs a restart: listen changed"),
    (("second", "127.0.0.1:1", 3), "needs a restart: listen, proxy.processes changed"),
    (("second", "nonsense"), "has no port"),
]


def test_a_reload_that_fails_changes_nothing(start):
    running = start()
    for written, problem in REFUSED:
        running.wait_until_ready()
        running.write(*written)
        answer = ask(running.control, {"do": "reload"}, 5.0)
        assert answer["ok"] is False
        assert problem in answer["problem"]
        running.wait_until_ready()
        assert {name for _, name in running.everyone().values()} == {"first"}
    running.write("second")
    assert ask(running.control, {"do": "reload"}, 5.0)["ok"]
    assert {name for _, name in running.everyone().values()} == {"second"}


def test_reopen_reaches_all(start):
    running = start()
    running.wait_until_ready()
    (running.place / "log").rename(running.place / "log.1")
    running.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: (running.place / "reopened0").exists() and (running.place / "reopened1").exists())
    assert (running.place / "log").exists()


def test_a_sibling_serves_the_sockets_of_one_that_dies_at_once(start):
    running = start()
    before = running.wait_until_ready()
    (running.place / "dies1").touch()
    os.kill(before[1]["pid"], signal.SIGKILL)
    wait_for(lambda: running.log().count("exit status 3") >= 3)
    # Long before the next try, everybody who comes is answered by the other one.
    assert set(running.everyone()) == {0}
    (running.place / "dies1").unlink()
    running.wait_until_ready()
    wait_for(lambda: set(running.everyone()) == {0, 1})


def test_new_clients_are_refused_while_the_old_ones_are_finished(start):
    running = start("lingering")
    running.wait_until_ready()
    running.process.send_signal(signal.SIGTERM)

    def is_refused():
        try:
            running.say(b"who")
        except ConnectionRefusedError:
            return running.process.poll() is None

    wait_for(is_refused, 0.45)  # the stop timeout is 500 ms
    assert running.process.wait(5) == 0


@pytest.mark.parametrize(
    "signum",
    [signal.SIGTERM, *(pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGINT, signal.SIGQUIT))],
)
def test_leaving(start, signum):
    running = start()
    pids = [process["pid"] for process in running.wait_until_ready().values()]
    running.process.send_signal(signum)
    assert running.process.wait(5) == 0
    assert not any(map(is_alive, pids))
    assert not running.control.exists()


def test_one_that_does_not_drain_is_ended_after_the_stop_timeout(start):
    running = start("stubborn")
    running.wait_until_ready()
    began = time.monotonic()
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(5) == 0
    assert 0.45 < time.monotonic() - began < 3


def test_a_first_start_that_fails(start):
    running = start("failing")
    assert running.process.wait(20) == 1
    assert (running.place / "heard").read_text().splitlines()[0] == "failed there is no such folder"
    running = start("breaking")
    assert running.process.wait(20) == 1
    assert "ended (exit status 7) while it started" in running.log()


def test_below_another_master(start):
    running = start("below")
    processes = running.wait_until_ready()
    wait_for(lambda: (running.place / "heard").read_text() == "ready")
    running.process.kill()
    running.process.wait(5)
    began = time.monotonic()
    wait_for(lambda: not any(is_alive(one["pid"]) for one in processes.values()))
    wait_for(lambda: not running.control.exists())
    assert time.monotonic() - began < 2.0


def test_what_needs_a_restart():
    def settings(**changes):
        return from_mapping({"routes": [{"path": "/", "respond": "x"}], "listen": 8000, **changes})

    assert needs_restart(settings(), settings(stop_timeout="3s", log={"access": "off"})) is None
    assert needs_restart(settings(), settings(run_dir="/x")) == "needs a restart: run_dir changed"
    assert needs_restart(settings(), settings(listen=8001)) == "needs a restart: listen changed"


def test_certificates_on_a_disk_that_hangs_hold_up_no_master(tmp_path, monkeypatch):
    pair = write(tmp_path, "a", "a.example")
    listen = Listen("127.0.0.1:0", "tcp", host="127.0.0.1", port=0, scheme="https", tls=Tls((pair,)))
    settings = dataclasses.replace(
        from_mapping({"routes": [{"path": "/", "respond": "x"}]}), listen=(listen,)
    )
    log, doors = ErrorLog(tmp_path / "log", "proxy"), Doors(settings.listen)
    master = ProxyMaster(settings, Listeners([]), RunDir(tmp_path / "run"), log, doors=doors)
    is_well, outcomes = threading.Event(), []
    monkeypatch.setattr("trivet_proxy.lookout.PATIENCE", 0.1)
    monkeypatch.setattr("trivet_common.config.sighting._stamp", lambda path: is_well.wait(20))
    master.reload(settings, outcomes.append)
    while not outcomes:
        master._loop.turn()
    assert "have not come" in outcomes[0]
    assert not is_well.is_set()
    is_well.set()


def test_what_is_wrong_in_one_process_is_told(tmp_path):
    """Only that one may be without descriptors: the master has taken up what it could not."""
    pair = write(tmp_path, "a", "a.example")
    listen = Listen("127.0.0.1:0", "tcp", host="127.0.0.1", port=0, scheme="https", tls=Tls((pair,)))
    settings = dataclasses.replace(
        from_mapping({"routes": [{"path": "/", "respond": "x"}]}), listen=(listen,)
    )
    log = ErrorLog(tmp_path / "log", "proxy")
    doors = Doors(settings.listen)
    master = ProxyMaster(settings, Listeners([]), RunDir(tmp_path / "run"), log, doors=doors)
    child = Child("proxy", 1, 77, None)
    master.children._by_pid[77] = child
    assert master.status()["certificates"][0]["processes"] == {}
    told = [(listen.address, str(pair.certificate), "Too many open files")]
    master.child_said(child, b"doors " + json.dumps(told).encode())
    assert master.status()["certificates"][0]["processes"] == {1: "Too many open files"}
    master.child_said(child, b"doors []")
    assert master.status()["certificates"][0]["processes"] == {}
