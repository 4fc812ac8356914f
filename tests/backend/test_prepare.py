"""The commands of `prepare:`, as the master's child runs them."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from trivet_backend import prepare
from trivet_common.channel import Channel
from trivet_common.config import from_mapping
from trivet_common.logs import ErrorLog


def run(folder: Path, *commands: str, **keys: Any) -> tuple[int, str]:
    """Status and message of a child that runs these commands."""
    site = {"pools": {"web": {"app": "shop", "directory": str(folder), "prepare": list(commands), **keys}}}
    pool = from_mapping(site).pools["web"]
    ours, theirs = Channel.pair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        status = 70
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            status = prepare.run_prepare(pool, theirs, ErrorLog(folder / "log", "pool web"))
        finally:
            os._exit(status)
    theirs.close()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        message = (ours.receive() or b"").decode() if status else ""
    finally:
        ours.close()
    return status, message


def test_commands_run_in_order_in_the_pools_place(tmp_path: Path) -> None:
    status, _ = run(tmp_path, "echo $COLOUR > one", "cat one one > two", env={"COLOUR": "red"})
    assert status == 0
    assert (tmp_path / "two").read_text() == "red\nred\n"


def test_python_is_the_one_that_runs_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service manager's PATH knows of no virtual environment."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "python").write_text("#!/bin/sh\necho ours > $1\n")
    (tmp_path / "here" / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/here/python3")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert run(tmp_path, "python one; echo $PATH > path")[0] == 0
    assert (tmp_path / "one").read_text() == "ours\n"
    assert (tmp_path / "path").read_text() == f"{tmp_path}/here:/usr/bin:/bin\n"
    assert run(tmp_path, "echo $PATH > path", env={"PATH": "/bin"})[0] == 0
    assert (tmp_path / "path").read_text() == "/bin\n"


def test_the_first_that_fails_ends_it_and_its_last_lines_are_told(tmp_path: Path) -> None:
    status, message = run(tmp_path, "seq 100; exit 4", "touch never")
    assert status == 1
    first, *lines = message.splitlines()
    assert first == "prepare: 'seq 100; exit 4' exited with status 4"
    assert lines == [str(number) for number in range(61, 101)]
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("command", ["no-such-command-here", "kill -9 $$"])
def test_a_command_that_cannot_end_well(tmp_path: Path, command: str) -> None:
    status, message = run(tmp_path, command)
    assert status == 1
    assert "exited with status" in message


class Timers:
    """`call_later` of a loop whose time the test makes pass."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Any]] = []

    def later(self, seconds: float, callback: Any) -> None:
        self.waiting.append((seconds, callback))

    def pass_by(self) -> float:
        seconds, callback = self.waiting.pop(0)
        callback()
        return seconds


def test_what_takes_too_long_is_ended_and_told(tmp_path: Path) -> None:
    timers, told, sent = Timers(), [], []

    class Stuck:
        def kill(self, signum: int = signal.SIGKILL) -> None:
            sent.append(signum)

    pool = from_mapping(
        {"pools": {"web": {"app": "x", "prepare": "sleep 9"}}}, base=tmp_path, environ={}
    ).pools["web"]
    log = ErrorLog(tmp_path / "log", "pool web")
    preparation = prepare.Preparation(lambda *_: Stuck(), log, timers.later)  # type: ignore[arg-type,return-value]
    preparation.begin(pool, told.append)
    assert timers.pass_by() == prepare.PREPARE_DEADLINE
    assert (sent, told) == ([signal.SIGTERM], [])
    timers.pass_by()
    assert sent == [signal.SIGTERM, signal.SIGKILL]
    preparation.exited(1)
    assert told == ["prepare took longer than 3600 s"]


def is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_does_not_outlive_the_child_that_runs_it(tmp_path: Path, signum: int) -> None:
    """Told to leave, it ends the whole group, deaf or not; killed, the kernel ends the command."""
    (tmp_path / "deaf.py").write_text(
        "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nopen('up', 'w')\ntime.sleep(60)\n"
    )
    deaf = "python3 deaf.py"
    command = f"echo $$ > pid; {'exec ' if signum == signal.SIGKILL else ''}{deaf}"
    site = {"pools": {"web": {"app": "shop", "directory": str(tmp_path), "prepare": command}}}
    pool = from_mapping(site).pools["web"]
    ours, theirs = Channel.pair()
    child = os.fork()
    if child == 0:
        try:
            prepare._GRACE = 0.2
            prepare.run_prepare(pool, theirs, ErrorLog(tmp_path / "log", "pool web"))
        finally:
            os._exit(0)
    until = time.monotonic() + 20
    while not (tmp_path / "up").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    group = int((tmp_path / "pid").read_text())
    os.kill(child, signum)
    os.waitpid(child, 0)
    while is_there(group):
        assert time.monotonic() < until
        time.sleep(0.02)
    ours.close()
    theirs.close()
