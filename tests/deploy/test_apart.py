"""Work in a process of its own: results, exceptions, and ends without a word."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trivet_common.config import ConfigError, Problem
from trivet_common.loop import Loop
from trivet_deploy import apart
from trivet_deploy.apart import begin_apart, run_apart
from trivet_deploy.refusal import Refusal


class Odd(Exception):
    """Cannot be made again from its arguments."""

    def __init__(self, one: str, *, two: str) -> None:
        super().__init__(one)
        self.two = two


def fail(error: Exception) -> None:
    raise error


def test_the_result_comes_back_and_nothing_else_changes() -> None:
    seen: list[int] = []
    assert run_apart(lambda: (seen.append(1), os.getpid())[1]) != os.getpid()
    assert seen == []


def test_a_large_result() -> None:
    assert len(run_apart(lambda: "x" * 3_000_000)) == 3_000_000


def test_mistakes_come_back_whole() -> None:
    problem = Problem("trivet.yaml:3", "what", "hint")
    with pytest.raises(ConfigError) as caught:
        run_apart(lambda: fail(ConfigError([problem])))
    assert caught.value.problems == [problem]


def test_an_exception_that_cannot_travel_keeps_its_words() -> None:
    with pytest.raises(RuntimeError, match="Odd: first"):
        run_apart(lambda: fail(Odd("first", two="second")))


def test_a_process_that_dies() -> None:
    with pytest.raises(Refusal, match="without a word"):
        run_apart(lambda: os._exit(3))


def test_a_process_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_LONGEST", 0.1)
    with pytest.raises(Refusal, match=r"took longer than 0\.1 s"):
        run_apart(signal.pause)


def in_a_loop(work: Callable[[], Any]) -> tuple[Any, int]:
    """The outcome, or what was raised, and how often the loop did something else meanwhile."""
    loop = Loop()
    found: list[Any] = []
    turns: list[int] = []

    def note(outcome: Callable[[], Any]) -> None:
        try:
            found.append(outcome())
        except Exception as error:
            found.append(error)

    def count() -> None:
        turns.append(1)
        loop.call_later(0.01, count)

    begin_apart(work, loop, note)
    count()
    until = time.monotonic() + 10
    while not found:
        assert time.monotonic() < until
        loop.turn()
    loop.close()
    return found[0], len(turns)


def test_a_loop_turns_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(os.listdir("/proc/self/fd"))
    assert in_a_loop(lambda: "x" * 3_000_000)[0] == "x" * 3_000_000
    problem = Problem("trivet.yaml:3", "what", "hint")
    assert in_a_loop(lambda: fail(ConfigError([problem])))[0].problems == [problem]
    assert "without a word" in str(in_a_loop(lambda: os._exit(3))[0])
    monkeypatch.setattr(apart, "_LONGEST", 0.3)
    error, turns = in_a_loop(signal.pause)  # as a file on a dead network mount
    assert "took longer than 0.3 s" in str(error)
    assert turns >= 10
    assert set(os.listdir("/proc/self/fd")) == before


def test_who_reads_keeps_nothing_open_and_ends_with_us(tmp_path: Path) -> None:
    """It may hang where nothing ends it, and must not keep a port, nor a master's children from its end."""
    code = (
        "import os, signal, socket, sys, time\n"
        "from trivet_common.loop import Loop\n"
        "from trivet_deploy.apart import begin_apart\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "def work():\n"
        "    print(os.getpid(), len(os.listdir('/proc/self/fd')), flush=True)\n"
        "    while True: time.sleep(1)\n"
        "loop = Loop()\n"
        "begin_apart(work, loop, print)\n"
        "loop.turn()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as master:
        assert master.stdout is not None
        pid, descriptors = map(int, master.stdout.readline().split())
        assert "trivet: reading the configuration" in Path(f"/proc/{pid}/cmdline").read_text()
        assert descriptors == 5  # three streams, the listing itself, its line to us
        master.kill()
        until = time.monotonic() + 5
        while os.path.exists(f"/proc/{pid}") and not is_zombie(pid):
            assert time.monotonic() < until
            time.sleep(0.01)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_process_that_serves_holds_neither_pydantic_nor_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("pools: {web: {app: shop.wsgi}}\n")
    code = (
        "import sys; from trivet_common.loop import Loop\n"
        "from trivet_deploy.site import load_site; import trivet_deploy.serve\n"
        "found, loop = [], Loop()\n"
        "load_site('a.yaml').read(loop, found.append)\n"
        "while not found: loop.turn()\n"
        "assert found[0]().pools\n"
        "print({'pydantic', 'yaml', 'rich', 'trio', 'trivet_proxy', 'trivet_backend'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr) == ("set()\n", "")
