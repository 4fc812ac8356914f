"""A whole site in real processes: started by the command a user types, stopped by it, nothing left behind."""

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.whole.over import LISTEN, Choice, SecureAddress, listen_over

Found = TypeVar("Found")
_LIBC = ctypes.CDLL(None)
TRIVET = [sys.executable, "-c", "import sys; from trivet_deploy.cli import main; sys.exit(main())"]
_URL = re.compile(r"https?://127\.0\.0\.1:(\d+)/")


def _die_with_us() -> None:
    """A site must not outlive tests that are killed. prctl(PR_SET_PDEATHSIG), of its topmost process."""
    _LIBC.prctl(1, signal.SIGKILL)


def wait_until(look: Callable[[], Found | None], seconds: float = 10.0, what: str = "") -> Found:
    """Look until there is something true to see. Raises AssertionError after so many seconds."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"not within {seconds:g} s: {what or look}"
        time.sleep(0.01)


class Site:
    """One `trivet serve` (or `proxy`, `backend`) on a file in a folder of its own.

    `wrapped_in` is a command that starts the one behind it by exec, such as nice(1).
    """

    def __init__(
        self, folder: Path, config: str, verb: str = "serve", wrapped_in: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.file = folder / "trivet.yaml"
        self.run_dir = folder / "run"
        self.out = folder / "out.txt"
        self.verb = verb
        self._wrapped_in = wrapped_in
        self.configure(config)

    def configure(self, config: str) -> None:
        """Write the file. `listen` and `run_dir` are put in front where the text has none."""
        if Choice.is_secure:
            config = config.replace(LISTEN, listen_over(self.folder))
        head = "" if "listen:" in config.split("\npools:")[0] else listen_over(self.folder)
        head += "" if "run_dir:" in config else "run_dir: run\n"
        self.file.write_text(head + config)

    def start(self, seconds: float = 20.0) -> "Site":
        with self.out.open("ab") as out:
            self.process = subprocess.Popen(
                [*self._wrapped_in, *TRIVET, self.verb, "trivet.yaml"],
                cwd=self.folder,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_die_with_us,
            )
        wait_until(self._is_up, seconds, f"the start; it said:\n{self.said()}")
        return self

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        found = _URL.findall(self.said())
        assert found, self.said()
        return int(found[-1])

    @property
    def address(self) -> tuple[str, int]:
        address = ("127.0.0.1", self.port)
        return SecureAddress(address) if Choice.is_secure else address

    @property
    def url(self) -> str:
        return f"http{'s' * Choice.is_secure}://127.0.0.1:{self.port}"

    def said(self) -> str:
        """All it printed: the screen, the logs, the application's own lines."""
        return self.out.read_text(errors="replace")

    def command(self, *words: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Another `trivet` command on the same file, as an operator types it."""
        return subprocess.run(
            [*TRIVET, *words], cwd=self.folder, capture_output=True, text=True, timeout=seconds, check=False
        )

    def status(self) -> dict[str, Any]:
        done = self.command("status", "--json")
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def pool_status(self, name: str = "web") -> dict[str, Any]:
        """What the pool's master tells `trivet status`, at once: without the half second of a command."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(os.fspath(self.run_dir / name / "control.sock"))
            sock.sendall(b'{"do": "status"}\n')
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
        status: dict[str, Any] = json.loads(answer)
        return status

    def processes(self) -> dict[int, str]:
        """pid and title of every process of ours that lives, found by the session we started it in."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue
            if fields[3] == str(self.pid) and fields[0] not in "ZX":
                found[int(entry.name)] = title
        return found

    def pids(self, title: str) -> list[int]:
        """The pids whose title holds these words ("worker", "trivet: proxy", ...), oldest first."""
        return sorted(pid for pid, found in self.processes().items() if title in found)

    def stop(self, seconds: float = 30.0) -> int:
        """TERM, as systemd does it. Returns the exit status; fails if anything is left behind."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(seconds)
        assert self.processes() == {}, f"left behind: {self.processes()}"
        return status

    def abandon(self) -> None:
        """End whatever a failed test left, by the pids of our own session."""
        for pid in [self.pid, *self.processes()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10)

    def _is_up(self) -> bool:
        assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.said()}"
        return re.search(r"^.*\bready in ", self.said(), re.MULTILINE) is not None


@contextmanager
def running(folder: Path, config: str, verb: str = "serve", **files: str) -> Iterator[Site]:
    """A started site; `files` are modules written beside the configuration (name without .py = text)."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    with started(Site(folder, config, verb)) as site:
        yield site


@contextmanager
def started(site: Site) -> Iterator[Site]:
    """Started and stopped, and nothing left behind."""
    try:
        site.start()
        yield site
        assert site.stop() == 0, site.said()
        assert not site.run_dir.exists(), f"left in the run directory: {list(site.run_dir.iterdir())}"
    finally:
        if site.process.poll() is None or site.processes():
            site.abandon()
