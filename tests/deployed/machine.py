"""A booted machine of the tests' own: systemd-nspawn, a private network, commands run in it by nsenter."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.deployed.tools import run

LOAD = Path(__file__).with_name("load.py")


class Machine:
    """Boots on `start`. Loopback is up and nothing else: what is listened on is reached in its network."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.pid = 0
        self._nspawn: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with open(self.tree.with_suffix(".console"), "wb") as console:
            self._nspawn = subprocess.Popen(
                [
                    *("systemd-nspawn", "-q", "-D", str(self.tree), "--boot", "--register=no", "--keep-unit"),
                    *("--private-network", "--kill-signal=SIGRTMIN+3", "--console=pipe"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        until = time.monotonic() + 30
        while not self.pid or self.run("systemctl", "is-system-running", check=False).strip() not in (
            "running",
            "degraded",
        ):
            assert time.monotonic() < until, self.tree.with_suffix(".console").read_text()
            assert self._nspawn.poll() is None, self.tree.with_suffix(".console").read_text()
            self.pid = self._init()
            time.sleep(0.1)
        self.run("ip", "link", "set", "lo", "up")

    def stop(self) -> None:
        if self._nspawn is None:
            return
        self._nspawn.send_signal(signal.SIGTERM)  # its init is told to power off
        try:
            self._nspawn.wait(20)
        except subprocess.TimeoutExpired:
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
            self._nspawn.wait(20)

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> str:
        if not self.pid:
            return ""
        return run(
            "nsenter",
            *self._enter("-m", "-u", "-i", "-p", "-r", "-w"),
            *command,
            check=check,
            timeout=timeout,
        )

    def write(self, path: str, text: str) -> None:
        file = self.tree / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def python(self, program: str) -> Any:
        """What a program printed as JSON, run in the machine."""
        return json.loads(self.run("/usr/bin/python3", "-c", program))

    def show(self, unit: str, what: str) -> str:
        return self.run("systemctl", "show", "--value", "-p", what, unit).strip()

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, check=False)

    def main_pid(self, unit: str) -> int:
        return int(self.show(unit, "MainPID"))

    def load(self, url: str) -> "Load":
        """Clients of our own, in the machine's network only."""
        return Load(["nsenter", *self._enter(), sys.executable, str(LOAD), url, "120"])

    def _enter(self, *spaces: str) -> list[str]:
        return ["-t", str(self.pid), "-n", *spaces]

    def _init(self) -> int:
        """The container's init: nspawn's child once it is systemd (before, it is nspawn itself)."""
        assert self._nspawn is not None
        task = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        for child in task.read_text().split():
            try:
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
            except OSError:
                continue
        return 0


class Load:
    """Clients at work; `result` waits for them."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "first answer\n"

    def result(self) -> dict[str, Any]:
        """What they met with, from the first request to a second after this."""
        time.sleep(1)
        told, _ = self._process.communicate(timeout=120)
        answer: dict[str, Any] = json.loads(told)
        return answer
