"""wrk as the load generator: what it is asked, and what it saw, as numbers that it prints itself.

Its own report has no 99.9th percentile and hides errors in prose: a script of ours prints a line of JSON.
"""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MARK = "MEASURED "
DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\nMEASURED {"requests": %d, "micros": %d, "bytes": %d, "connect": %d, "read": %d, "write": %d,'
      .. ' "status": %d, "timeout": %d, "p50": %d, "p99": %d, "p999": %d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect, e.read, e.write,
    e.status, e.timeout, latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""
TIMEOUT = 20  # seconds for one answer


@dataclass(frozen=True)
class Asked:
    """One request, as often as it can be had."""

    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: int = 0  # bytes
    connections: int = 64


@dataclass(frozen=True)
class Seen:
    requests: int
    seconds: float
    p50: float  # milliseconds, this and the next
    p99: float
    p999: float
    errors: str  # empty: none

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class Load:
    """One wrk that runs. Two at a time make a mixed load."""

    __slots__ = ("_process", "_seconds")

    def __init__(self, port: int, asked: Asked, seconds: float, folder: Path) -> None:
        script = folder / f"wrk-{asked.connections}-{asked.path.strip('/').replace('/', '-')}.lua"
        script.write_text(script_of(asked))
        self._seconds = max(round(seconds), 1)  # wrk knows whole seconds only
        command = ["wrk", "-t1", f"-c{asked.connections}", f"-d{self._seconds}", f"--timeout={TIMEOUT}s"]
        command += ["-s", str(script), f"http://127.0.0.1:{port}{asked.path}"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL
        )

    def wait(self) -> Seen:
        try:
            said, _ = self._process.communicate(timeout=self._seconds + TIMEOUT + 10)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
        return parse(said)


def load(port: int, asked: Asked, seconds: float, folder: Path) -> Seen:
    return Load(port, asked, seconds, folder).wait()


def script_of(asked: Asked) -> str:
    lines = [f"wrk.method = {_quoted(asked.method)}"]
    lines += [f"wrk.headers[{_quoted(name)}] = {_quoted(value)}" for name, value in asked.headers]
    if asked.body:
        lines.append(f'wrk.body = string.rep("x", {asked.body})')
    return "\n".join(lines) + DONE


def parse(said: str) -> Seen:
    """What it saw. Anything but answers below 400 is an error, and so is no answer at all."""
    line = next((line for line in said.splitlines() if line.startswith(MARK)), None)
    if line is None:
        last = (said.strip().splitlines() or ["wrk said nothing"])[-1]
        return Seen(0, 1.0, 0.0, 0.0, 0.0, last)
    found = json.loads(line.removeprefix(MARK))
    errors = list(_errors(found))
    if not found["requests"]:
        errors.append("no request was answered")
    return Seen(
        found["requests"],
        max(found["micros"] / 1e6, 1e-6),
        found["p50"] / 1000,
        found["p99"] / 1000,
        found["p999"] / 1000,
        ", ".join(errors),
    )


def _errors(found: dict[str, int]) -> Iterable[str]:
    for kind in ("connect", "read", "write", "status", "timeout"):
        if found[kind]:
            yield f"{found[kind]} x {kind}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
