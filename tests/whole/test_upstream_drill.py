"""Four servers behind one upstream, one at a time killed, stopped, gone, dripping, talking rubbish, cut.

Every client checks its answers by a mark. A safe request whose server failed before the first byte of an
answer is answered by another one; whatever else happens is in the table, asserted and printed.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.whole.crowd import Crowd
from tests.whole.drills import Inventory, print_report, seconds
from tests.whole.running import Site, running, wait_until
from tests.whole.strangers import free_port, is_listening
from tests.whole.talking import logged

CLIENTS, SERVERS, FULL = 32, 4, 30.0
LATE = 1.0
# Answers each request with its mark, in the way that the file beside it says.
SERVER = """
import asyncio, pathlib, sys
PORT, MODE = int(sys.argv[1]), pathlib.Path(sys.argv[2])

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            target = head.split(b" ")[1]
            size = [line for line in head.lower().split(b"\\r\\n") if line.startswith(b"content-length: ")]
            await reader.readexactly(int(size[0][16:]) if size else 0)
            body = target.partition(b"mark=")[2] + b" " + b"x" * 2000
            answer = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body
            mode = MODE.read_text()
            if mode == "garbage":
                answer = b"\\x00\\x01 what is this\\r\\n\\r\\n" + answer
            if mode == "cut":
                answer = answer[:1000]
            if mode == "drip":
                for byte in answer:
                    writer.write(bytes((byte,)))
                    await writer.drain()
                    await asyncio.sleep(1)
            writer.write(answer)
            await writer.drain()
            if mode == "cut":
                await asyncio.sleep(0.02)
                return
            await asyncio.sleep(0.002)
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", PORT, backlog=512)
    async with server:
        await server.serve_forever()

asyncio.run(main())
"""
CONFIG = """
proxy: {processes: 2}
log: {access: access.log}
upstreams:
  four:
    servers: [SERVERS]
    response_timeout: LATEs
    retry: {attempts: 2, on: [connect, 502, 504]}
routes: [{upstream: four}]
"""


class Server:
    """One of the four, in a process of its own."""

    def __init__(self, folder: Path, number: int) -> None:
        self.port = free_port()
        self._script = folder / "server.py"
        self._mode = folder / f"mode{number}"
        self.behave("good")
        self.start()

    def start(self) -> None:
        words = [sys.executable, str(self._script), str(self.port), str(self._mode)]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        wait_until(lambda: is_listening(("127.0.0.1", self.port)), 10, "a server")

    def behave(self, mode: str) -> None:
        fresh = self._mode.with_suffix(".new")
        fresh.write_text(mode)
        fresh.rename(self._mode)

    def signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)


def killed(server: Server) -> None:
    """And there again after a while, as under any supervisor."""
    server.end()
    time.sleep(0.5)
    server.start()


def stopped(server: Server) -> None:
    server.signal(signal.SIGSTOP)


def refusing(server: Server) -> None:
    server.end()


def behaving(mode: str) -> Callable[[Server], None]:
    return lambda server: server.behave(mode)


# What is done to one server, and how a GET and a POST may end beside a 200.
FAULTS: dict[str, tuple[Callable[[Server], None], set[str], set[str]]] = {
    "kill -9": (killed, set(), {"502 upstream_bad"}),
    "SIGSTOP": (stopped, set(), {"504 upstream_timeout"}),
    "refuse": (refusing, set(), {"502 upstream_bad"}),
    "1 byte/s": (behaving("drip"), set(), {"504 upstream_timeout"}),
    "garbage": (behaving("garbage"), set(), {"502 upstream_bad"}),
    "close in mid-body": (behaving("cut"), {"IncompleteRead"}, {"IncompleteRead"}),
}


@contextmanager
def four_servers(folder: Path) -> Iterator[list[Server]]:
    (folder / "server.py").write_text(SERVER)
    servers = [Server(folder, number) for number in range(SERVERS)]
    try:
        yield servers
    finally:
        for server in servers:
            server.end()


def mend(server: Server) -> None:
    server.behave("good")
    if server.process.poll() is None:
        server.signal(signal.SIGCONT)
    else:
        server.start()


def lines_after(site: Site, offset: int) -> list[dict[str, str]]:
    with (site.folder / "access.log").open("rb") as log:
        log.seek(offset)
        return [logged(line) for line in log.read().decode().splitlines()]


def shown(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in outcomes.most_common())


@pytest.mark.drill
def test_one_server_at_a_time(tmp_path: Path) -> None:
    each = max(3.0, seconds(FULL) / len(FAULTS))
    with four_servers(tmp_path) as servers:
        addresses = ", ".join(f'"http://127.0.0.1:{server.port}"' for server in servers)
        config = CONFIG.replace("SERVERS", addresses).replace("LATE", f"{LATE:g}")
        with running(tmp_path, config, verb="proxy") as site:
            inventory = Inventory(site, 0)
            for number, (fault, (strike, *expected)) in enumerate(FAULTS.items()):
                before = os.path.getsize(tmp_path / "access.log") if number else 0
                victim = servers[number % SERVERS]
                with Crowd(site.address, CLIENTS) as crowd:
                    wait_until(lambda crowd=crowd: len(crowd.visits) > 100, 10)
                    strike(victim)
                    time.sleep(each)
                    mend(victim)
                    time.sleep(0.5)
                time.sleep(1.2)  # the log is flushed once a second
                lines = lines_after(site, before)
                report(fault, crowd, lines)
                for method, allowed in zip(("GET", "POST"), expected, strict=True):
                    found = Counter(one.outcome for one in crowd.visits if one.method == method)
                    assert set(found) <= {"200"} | allowed, (fault, method, found)
                assert len(crowd.visits) > 50 * each, "three of four servers go on as if nothing had happened"
                assert max(one.ended - one.sent for one in crowd.visits) < 3 * LATE + 2, fault
                # What was cut was cut for the server's fault, and the log says so.
                whys = {line.get("why") for line in lines if line["status"] != "200" or "why" in line}
                assert whys <= {"upstream_bad", "upstream_timeout", "client_left"}, whys
            assert "Traceback" not in site.said()
            assert "is left out for a moment" in site.said()
            wait_until(lambda: site.said().count("is back") >= 1, 10)
            print_report("at the end", inventory.check())


def report(fault: str, crowd: Crowd, lines: list[dict[str, str]]) -> None:
    outcomes = {
        method: Counter(one.outcome for one in crowd.visits if one.method == method)
        for method in ("GET", "POST")
    }
    logged_whys = Counter(
        f"{line['method']} {line['status']} why={line['why']}" for line in lines if "why" in line
    )
    print_report(
        fault,
        f"GET   {shown(outcomes['GET'])}",
        f"POST  {shown(outcomes['POST'])}",
        f"log   {shown(logged_whys) or 'nothing'}",
    )
