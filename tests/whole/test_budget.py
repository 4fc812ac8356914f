"""What one warm keep-alive request may cost the proxy, in things that can be counted without noise.

Task switches, calls into our packages, and sends; a change that makes a number grow must say why it is worth
it and raise it here. (Times are for benchmarks/.)
"""

import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trio
import trio.testing

from tests.whole.running import Site, wait_until
from trivet_common.channel import Channel
from trivet_common.config import load
from trivet_common.listeners import bind
from trivet_common.logs import ErrorLog
from trivet_common.pool.idle import IdleFifo
from trivet_proxy import folder, forwarded, shelf
from trivet_proxy.front import Front

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "14")])
    return [b"Hello, world!\\n"]
"""
CONFIG = """
listen: 127.0.0.1:0
run_dir: run
proxy: {processes: 1}
log: {access: access.log}
routes:
  - {path: /static/, files: static}
  - {path: /, pool: web}
pools: {web: {app: hello, workers: 1}}
"""
REQUEST = (
    b"GET %s HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n"
    b"Accept-Language: en\r\nCookie: sessionid=0123456789abcdef\r\n\r\n"
)
ROOT = Path(__file__).parent.parent.parent
OURS = tuple(str(ROOT / folder) for folder in ("proxy", "common"))
WARM, COUNTED = 20, 50
BODIES = {"/static/one.txt": b"x" * 1024, "/hello": b"Hello, world!\n"}

# Measured on Python 3.11 and trio 0.35. Calls count a coroutine's resumption too.
BUDGETS = {
    "/static/one.txt": {"switches": 1, "calls": 87, "sends": 1},
    "/hello": {"switches": 2, "calls": 151, "sends": 2},
}


class Tally(trio.abc.Instrument):
    """Counts while it is installed as trio's instrument and the thread's profile function."""

    def __init__(self, mine: trio.lowlevel.Task) -> None:
        self.counts: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._mine = mine

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is not self._mine and "trio" not in (task.coro.cr_code.co_filename if task.coro else ""):
            self.counts["switches"] += 1

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if not frame.f_code.co_filename.startswith(OURS):
            return
        if event == "call":
            self.counts["calls"] += 1
            self.calls[f"{Path(frame.f_code.co_filename).name} {frame.f_code.co_qualname}"] += 1
        elif event == "c_call" and argument.__name__ in ("send", "sendmsg", "sendfile"):
            self.counts["sends"] += 1


@asynccontextmanager
async def front_in_this_process(folder: Path) -> AsyncIterator[tuple[str, int]]:
    settings = load(folder / "trivet.yaml", environ={})
    listeners = bind(settings.listen, 1)
    ours, theirs = Channel.pair()
    async with trio.open_nursery() as nursery:
        front = Front(0, 1, settings, listeners, theirs, ErrorLog("stderr", "budget"))
        nursery.start_soon(front.run)
        with trio.fail_after(10):
            while ours.receive() is None:
                await trio.sleep(0.01)
        yield next(iter(listeners)).socket.getsockname()
        ours.send(b"drain")
    ours.close()
    theirs.close()
    listeners.close()


async def ask(client: socket.socket, fifo: IdleFifo, path: str, times: int) -> None:
    """Each request when the proxy waits for it and the slot is idle again: no race to count."""
    request = REQUEST % path.encode()
    for _ in range(times):
        while fifo.is_empty():
            await trio.sleep(0.001)
        await trio.testing.wait_all_tasks_blocked()
        client.send(request)
        answer = b""
        while not answer.endswith(BODIES[path]):
            await trio.lowlevel.wait_readable(client)
            answer += client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200"), answer


@pytest.mark.parametrize("path", list(BUDGETS))
async def test_budget(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "_SETTLED", 0)  # the file is as if it had been there for a while
    monkeypatch.setattr(folder, "LOOK_AGAIN", 60)  # and no request is the one of its second
    forwarded._FROM_CLIENTS.clear()  # other tests of this process may have filled what it remembers of names
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "one.txt").write_bytes(b"x" * 1024)
    pool = Site(tmp_path, CONFIG, "backend")
    await trio.to_thread.run_sync(pool.start)
    try:
        async with front_in_this_process(tmp_path) as address:
            with socket.create_connection(address, timeout=10) as client, trio.fail_after(20):
                client.setblocking(False)
                fifo = IdleFifo(tmp_path / "run" / "web" / "idle.fifo")
                await ask(client, fifo, path, WARM)
                tally = Tally(trio.lowlevel.current_task())
                trio.lowlevel.add_instrument(tally)
                sys.setprofile(tally.profile)
                try:
                    await ask(client, fifo, path, COUNTED)
                finally:
                    sys.setprofile(None)
                    trio.lowlevel.remove_instrument(tally)
                    fifo.close()
    finally:
        await trio.to_thread.run_sync(pool.stop)
        wait_until(lambda: not pool.processes(), 10, "the pool's end")
    measured = {name: round(tally.counts[name] / COUNTED) for name in BUDGETS[path]}
    most = "\n".join(f"{n / COUNTED:5.1f} {name}" for name, n in tally.calls.most_common(60))
    print(f"{path}: {dict(tally.counts)}\n{most}")
    assert all(measured[name] <= BUDGETS[path][name] for name in measured), f"{measured}\n{most}"
    # A figure that fell is a budget to lower: what was gained must not creep back.
    assert measured["sends"] == BUDGETS[path]["sends"]
