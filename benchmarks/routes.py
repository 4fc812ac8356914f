"""`python -m benchmarks.routes [SECONDS]`: what a request costs on a site of 2 routes, and on one of 1 000.

The same requests, to 500 hosts in turn, and answers that cost nothing else; short loads take turns, and the
least is shown: whatever else runs on the machine only adds. The goal (issue 9): 1 000 routes of 500 hosts
within 1.1 of two. Routes that ask for methods and headers, and expressions, are shown beside them.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.launch import free_port, running
from benchmarks.processes import cpu_seconds, spent_between, tree
from benchmarks.wrk import DONE, parse

HOSTS = 500
ROUNDS, CONNECTIONS = 25, 32
GOAL = 1.1
TRIVET = """
listen: 127.0.0.1:{port}
run_dir: {folder}/run
proxy: {{processes: 1}}
log: {{access: {folder}/access.log, error: {folder}/error.log}}
routes:
{routes}
"""
# A host is chosen anew for each request; wrk has one thread here.
SCRIPT = """
local requests, at = {{}}, 0
init = function()
  for host = 1, {hosts} do
    requests[host] = wrk.format("GET", "/shop/one", {{Host = "h" .. host .. ".example.com"}})
  end
end
request = function() at = at % {hosts} + 1; return requests[at] end
"""


def routes_of(kind: str) -> list[str]:
    """The `routes` of a site, a line each."""
    last = ["{path: /static/, respond: a}", "{path: /, respond: b}"]
    if kind == "2 routes":
        return last
    if kind == "2 routes and 100 expressions":
        return [f"{{path_regex: '^/old/{number}/(.*)$', redirect: '/{{1}}'}}" for number in range(100)] + last
    asks = "methods: [GET, POST], headers: {X-A: false}, " if "ask" in kind else ""
    return [
        line
        for number in range(1, HOSTS + 1)
        for line in (
            f"{{host: h{number}.example.com, path: /static/, {asks}respond: a}}",
            f"{{host: h{number}.example.com, path: /, {asks}respond: b}}",
        )
    ]


KINDS = ("2 routes", "1000 routes", "1000 routes that ask", "2 routes and 100 expressions")


def main(seconds: int) -> int:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed; on Debian: apt install wrk")
    costs: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        sites = {kind: stack.enter_context(serving(kind)) for kind in KINDS}
        for site in sites.values():
            site.load(1)  # warm
        for _ in range(ROUNDS):
            for kind, site in sites.items():
                costs[kind].append(site.cost(seconds))
    return report(costs)


def report(costs: dict[str, list[float]]) -> int:
    print(f"{HOSTS} hosts, {CONNECTIONS} connections, 1 process, access log on, {ROUNDS} rounds")
    least = {kind: min(costs[kind]) for kind in KINDS}
    for kind in KINDS:
        ratio = least[kind] / least[KINDS[0]]
        print(f"  {kind:28s} {least[kind]:6.1f} us CPU each ({max(costs[kind]):.0f} at most)   {ratio:.2f} x")
    is_reached = least["1000 routes"] <= GOAL * least["2 routes"]
    print(f"  goal: 1000 routes within {GOAL} x of two: {'reached' if is_reached else 'MISSED'}")
    return 0 if is_reached else 1


@dataclass(frozen=True)
class Site:
    """One that runs, and waits while the others are measured."""

    folder: Path
    port: int
    pid: int

    def cost(self, seconds: int) -> float:
        """Microseconds of CPU a request, of all its processes."""
        before = cpu_seconds(tree([self.pid]))
        count = self.load(seconds)
        spent = spent_between(before, cpu_seconds(tree([self.pid])))
        return sum(spent.values()) / count * 1e6

    def load(self, seconds: int) -> int:
        """How many were answered; any error ends it."""
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "-s", str(self.folder / "hosts.lua")]
        command.append(f"http://127.0.0.1:{self.port}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
        seen = parse(done.stdout)
        if seen.errors:
            raise SystemExit(f"errors void the figure: {seen.errors}")
        return seen.requests


@contextmanager
def serving(kind: str) -> Iterator[Site]:
    folder, port = Path(tempfile.mkdtemp(prefix="trivet-routes-")), free_port()
    try:
        (folder / "hosts.lua").write_text(SCRIPT.format(hosts=HOSTS) + DONE)
        routes = "\n".join(f"  - {line}" for line in routes_of(kind))
        (folder / "trivet.yaml").write_text(TRIVET.format(port=port, folder=folder, routes=routes))
        command = [str(Path(sys.executable).parent / "trivet"), "serve", str(folder / "trivet.yaml")]
        with running(command, folder, port) as pid:
            wait_until_it_answers(port)
            yield Site(folder, port, pid)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_it_answers(port: int) -> None:
    """A listening socket says nothing yet of who will accept from it."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        sock.recv(1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
