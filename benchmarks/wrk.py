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
# As many different heads, made before the clock runs and sent in turn: the last number of the path, and those
# behind the browser and the cookies. wrk has one thread, so one after the other.
VARIOUS = """
local requests, at = {{}}, 0
init = function(args)
  for number = 1, {heads} do
    local headers = {{}}
    for name, value in pairs(wrk.headers) do headers[name] = value end
    headers["User-Agent"] = (headers["User-Agent"] or "wrk") .. string.format(".0.%d.%d", number / 100, number % 100)
    headers["Cookie"] = (headers["Cookie"] or "a=1") .. string.format("; visitor=%08x", number * 2654435761 % 4294967296)
    requests[number] = wrk.format(nil, string.gsub(wrk.path, "%d+$", tostring(number)), headers)
  end
end
request = function() at = at % {heads} + 1; return requests[at] end
"""  # noqa: E501
TIMEOUT = 20  # seconds for one answer


@dataclass(frozen=True)
class Asked:
    """One request, as often as it can be had."""

    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: int = 0  # bytes
    connections: int = 64
    heads: int = 1  # that differ from each other, in turn


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
        script = (
            folder
            / f"wrk-{asked.connections}-{asked.path.strip('/').replace('/', '-').replace('?', '-')}.lua"
        )
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
    various = VARIOUS.format(heads=asked.heads) if asked.heads > 1 else ""
    return "\n".join(lines) + various + DONE


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
