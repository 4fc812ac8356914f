"""The commands of `prepare:`, as the master's child runs them."""

import os
import signal
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
