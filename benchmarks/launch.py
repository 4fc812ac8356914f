"""Server processes of one stack: started on loopback, waited for until they listen, stopped by pid."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from benchmarks.cgroup import Cgroup
from benchmarks.processes import title, tree

STARTED_WITHIN, STOPPED_WITHIN = 20.0, 10.0
# Of one tree that has both parts (`trivet serve`): what a process with this title belongs to.
FRONT_TITLE = "trivet: proxy"


class StartFailed(Exception):
    """A server that did not come up, with the last line it said."""


class Launch:
    """One stack while it runs. `front` and `pool` are the roots of process trees; `began` is monotonic."""

    __slots__ = ("_cgroup", "_exits", "_front", "_pool", "_venv", "began", "folder")

    def __init__(self, folder: Path, venv: Path) -> None:
        self.folder = folder
        self._venv = venv
        self._exits = ExitStack()
        self._cgroup = self._exits.enter_context(Cgroup())
        self._front: list[int] = []
        self._pool: list[int] = []
        self.began = time.monotonic()

    def __repr__(self) -> str:
        return f"<Launch front {self._front}, pool {self._pool}, {self._cgroup!r}>"

    def __enter__(self) -> "Launch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def front(self, command: list[str], answers_at: int | Path) -> None:
        """What the clients talk to, or all of it."""
        self._front.append(self._start(command, answers_at))

    def pool(self, command: list[str], answers_at: int | Path) -> None:
        """What runs the application behind a front."""
        self._pool.append(self._start(command, answers_at))

    def pids(self) -> dict[int, str]:
        """All processes now: each one's part, "front" or "pool"."""
        parts = dict.fromkeys([*self._cgroup.pids(), *tree(self._pool)], "pool")
        for root in self._front:
            own = tree([root])
            titles = {pid: title(pid) for pid in own}
            both = any(said.startswith(FRONT_TITLE) for said in titles.values())
            for pid in own:
                is_front = titles[pid].startswith(FRONT_TITLE) if both else True
                parts[pid] = "front" if is_front else "pool"
        return parts

    def group_seconds(self) -> float | None:
        """CPU of everything that ever ran in this stack, or None where the machine cannot tell."""
        return self._cgroup.cpu_seconds()

    def _start(self, command: list[str], answers_at: int | Path) -> int:
        started = running(self._cgroup.entering(command), self.folder, answers_at, self._venv)
        return self._exits.enter_context(started)


@contextmanager
def running(
    command: list[str], folder: Path, answers_at: int | Path, venv: Path = Path(sys.prefix)
) -> Iterator[int]:
    """The pid of a process that listens. No session of its own: the scheduler would give each one a share."""
    with (folder / "out.txt").open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=_environment(folder, venv),
        )
    try:
        if not _listens(process, answers_at):
            raise StartFailed(last_words(folder))
        yield process.pid
    finally:
        _stop(process)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def last_words(folder: Path) -> str:
    """What the servers of this folder said last, before somebody sets out to find why one is not there."""
    for name in ("error.log", "out.txt", "nginx-error.log"):
        try:
            lines = (folder / name).read_text(errors="replace").strip().splitlines()
        except OSError:
            continue
        if lines:
            return lines[-1][:200]
    return "it said nothing"


def _environment(folder: Path, venv: Path) -> dict[str, str]:
    """The peers' environment, active, and nothing of the caller's that a server might listen to."""
    return {
        "PATH": f"{venv}/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin",
        "VIRTUAL_ENV": str(venv),
        "HOME": str(folder),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
    }


def _listens(process: "subprocess.Popen[bytes]", answers_at: int | Path) -> bool:
    until = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < until and process.poll() is None:
        family = socket.AF_INET if isinstance(answers_at, int) else socket.AF_UNIX
        with socket.socket(family) as sock:
            try:
                sock.connect(("127.0.0.1", answers_at) if isinstance(answers_at, int) else str(answers_at))
                return True
            except OSError:
                time.sleep(0.005)
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    family = tree([process.pid])
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
