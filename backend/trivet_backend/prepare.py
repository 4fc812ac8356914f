"""The commands of `prepare:`, run once a release in a child of the pool's master, as the pool's user.

Owns their environment, their output and the sentence about the one that failed. Knows nothing of workers.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from trivet_backend.ending import manner
from trivet_backend.prctl import die_with
from trivet_backend.privileges import DropError, become, find_identity
from trivet_common.channel import Channel, ChannelClosed, wait_readable
from trivet_common.children import Child
from trivet_common.config import Pool
from trivet_common.logs import ErrorLog
from trivet_common.reloads import PREPARE_DEADLINE

if TYPE_CHECKING:
    import subprocess

# Of a failing command, the last lines: enough for a traceback, and bounded.
_LAST_LINES = 40
PREPARE = "prepare"
# How long (s) a command that is ended may take to put things in order.
_GRACE = 5.0


class Preparation:
    """The master's side: at most one child that prepares. `then` hears None, or the problem."""

    def __init__(
        self,
        spawn: Callable[[str, int, Callable[[Channel], int]], Child],
        log: ErrorLog,
        call_later: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._spawn = spawn
        self._log = log
        self._call_later = call_later
        self._child: Child | None = None
        self._then: Callable[[str | None], None] = lambda problem: None
        self._problem = ""

    def __repr__(self) -> str:
        return f"<Preparation {self._child!r}>"

    def begin(self, pool: Pool, then: Callable[[str | None], None]) -> None:
        if not pool.prepare:
            then(None)
            return
        self._then, self._problem = then, ""
        child = self._child = self._spawn(PREPARE, 0, lambda channel: run_prepare(pool, channel, self._log))
        self._call_later(PREPARE_DEADLINE, lambda: self._expire(child))

    def heard(self, message: bytes) -> None:
        self._problem = message.decode("utf-8", "replace")

    def exited(self, status: int) -> None:
        self._child = None
        self._then(None if status == 0 else self._problem or f"prepare {manner(status)}")

    def stop(self) -> None:
        if self._child is not None:
            self._child.kill(signal.SIGTERM)

    def _expire(self, child: Child) -> None:
        if self._child is child:
            self._problem = f"prepare took longer than {PREPARE_DEADLINE:g} s"
            child.kill(signal.SIGTERM)
            self._call_later(2 * _GRACE, lambda: child.kill() if self._child is child else None)


def run_prepare(pool: Pool, channel: Channel, log: ErrorLog) -> int:
    """Run the commands in order; the first that fails ends it. The exit status of the child."""
    signal.signal(signal.SIGTERM, lambda *_: _leave())
    threading.Thread(target=_leave_with_master, args=(channel,), daemon=True).start()
    problem = _run_all(pool, log)
    if problem is None:
        return 0
    try:
        channel.send(problem.encode("utf-8", "replace"))
    except ChannelClosed:
        pass  # the master is gone and nobody wants to know
    return 1


def _run_all(pool: Pool, log: ErrorLog) -> str | None:
    try:
        identity = find_identity(pool.user, pool.group)
        if identity is not None:
            become(identity)
        # `python` is the one that runs the workers, also where nobody has activated its environment.
        path = os.environ.get("PATH", os.defpath)
        os.environ["PATH"] = f"{os.path.dirname(sys.executable)}{os.pathsep}{path}"
        os.environ.update(pool.env)
        os.chdir(pool.directory)
    except (DropError, OSError) as error:
        return f"prepare: {error}"
    for command in pool.prepare:
        problem = _run(command, log)
        if problem is not None:
            return problem
    return None


def _run(command: str, log: ErrorLog) -> str | None:
    import subprocess  # in the child that prepares; the master and its workers do without

    log.info(f"prepare: {command}")
    leave = signal.getsignal(signal.SIGTERM)
    # Noted, and acted on once there is a process to end: in between it would be nobody's.
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, _: told.append(signum))
    ourselves = os.getpid()
    # A shell, as in every other deployment file: commands come from the operator's own configuration.
    process = subprocess.Popen(
        command,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=lambda: die_with(ourselves),
    )
    assert process.stdout is not None
    last: list[str] = []
    try:
        signal.signal(signal.SIGTERM, leave)
        if told:
            _leave()
        with process.stdout:
            for line in process.stdout:
                line = line.rstrip("\n")[:2000]
                log.info(f"prepare: {line}")
                last = [*last[1 - _LAST_LINES :], line]
        status = process.wait()
    finally:
        if process.poll() is None:
            _end(process)
    if status == 0:
        return None
    return "\n".join([f"prepare: {command!r} exited with status {status}", *last])


def _end(process: "subprocess.Popen[str]") -> None:
    """With all it has started: the group that start_new_session made for it alone."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(_GRACE)
    finally:  # also when we are told again, or it does not end
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _leave_with_master(channel: Channel) -> None:
    """Any message means leave, and so does the end of the channel: the master is gone."""
    wait_readable(channel, None)
    os.kill(os.getpid(), signal.SIGTERM)


def _leave() -> None:
    raise SystemExit(1)
