"""The Nth system call of a running process fails: strace, attached for the time of one request.

Knows no HTTP. The call is not made at all and reports the error; close(2) is the one call for which that is
not what a kernel does (it releases the descriptor whatever it reports).
"""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

_CALL = re.compile(r"^\d+ +(\w+)\(", re.MULTILINE)
# Not to be failed: what holds the interpreter itself together, and signals.
_NEVER = {"futex", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "restart_syscall", "exit", "exit_group"}
_ATTACHED = 5.0


class NobodyThere(AssertionError):
    """The process has ended, or ended while strace took hold of it."""


class Fault(NamedTuple):
    call: str
    error: str
    nth: int

    def __str__(self) -> str:
        return f"{self.call}#{self.nth}={self.error}"


class Trace:
    """What strace wrote down. Read it after the `with`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def text(self) -> str:
        return self._path.read_text(errors="replace")

    @property
    def has_struck(self) -> bool:
        """Whether the call was made so often that it failed."""
        return self.strikes > 0

    @property
    def strikes(self) -> int:
        """How often: strace counts the calls of each thread for itself."""
        return self.text.count("(INJECTED)")

    def calls(self) -> Counter[str]:
        return Counter(name for name in _CALL.findall(self.text) if name not in _NEVER)


@cache
def why_no_faults() -> str:
    """Why strace cannot be used here; "" where it can."""
    child = subprocess.Popen(["sleep", "30"])
    try:
        with traced(child.pid, Path(os.devnull)):
            return ""
    except FileNotFoundError:
        return "strace is not installed"
    except AssertionError as error:
        return str(error)
    finally:
        child.kill()
        child.wait(5)


@contextmanager
def failing(pid: int, fault: Fault, notes: Path) -> Iterator[Trace]:
    """Meanwhile the process's `nth` call of that name, counted from now, fails with `error`."""
    inject = f"inject={fault.call}:error={fault.error}:when={fault.nth}"
    with traced(pid, notes, "-e", f"trace={fault.call}", "-e", inject) as trace:
        yield trace


@contextmanager
def traced(pid: int, notes: Path, *options: str) -> Iterator[Trace]:
    command = ["strace", "-f", "-qq", "-s", "0", "-o", os.fspath(notes), *options, "-p", str(pid)]
    tracer = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _wait_until_attached(tracer, pid)
        yield Trace(notes)
    finally:
        tracer.send_signal(signal.SIGINT)  # detach; the process goes on
        try:
            tracer.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.communicate(timeout=10)


def _wait_until_attached(tracer: subprocess.Popen[bytes], pid: int) -> None:
    until = time.monotonic() + _ATTACHED
    threads = Path(f"/proc/{pid}/task")
    while True:
        if tracer.poll() is not None:
            assert tracer.stderr is not None
            raise NobodyThere(f"strace cannot attach: {tracer.stderr.read().decode().strip()}")
        try:
            if all(_tracer_of(thread) == tracer.pid for thread in threads.iterdir()):
                return
        except FileNotFoundError as error:  # it, or a thread of it: the tracer knows
            if not threads.exists():
                raise NobodyThere(str(error)) from None
        assert time.monotonic() < until, f"strace did not attach to {pid} within {_ATTACHED:g} s"
        time.sleep(0.001)


def _tracer_of(thread: Path) -> int:
    found = re.search(r"TracerPid:\t(\d+)", (thread / "status").read_text())
    return int(found[1]) if found else 0
