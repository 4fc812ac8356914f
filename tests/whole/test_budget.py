"""The budget of one warm request (budget.py): task switches and Python calls, in proxy and worker."""

import re
import secrets
import select
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trio
import trio.testing

from tests.whole.budget import APPLICATION, BEHIND, BUDGETS, CONFIG, FILE, REQUEST, Budget
from tests.whole.running import Site, running, wait_until
from trivet_common.channel import Channel
from trivet_common.config import load
from trivet_common.listeners import bind
from trivet_common.logs import ErrorLog
from trivet_common.pool.idle import IdleFifo
from trivet_proxy import folder, forwarded, shelf
from trivet_proxy.front import Front

ROOT = Path(__file__).parent.parent.parent
OURS = tuple(str(ROOT / folder) for folder in ("proxy", "common"))
WARM, COUNTED = 20, 50
# What the process does by the clock is counted too, the more of it the slower the machine is just then.
TRIES = 3


class Tally(trio.abc.Instrument):
    """Counts while it is installed as trio's instrument and the thread's profile function."""

    def __init__(self, mine: trio.lowlevel.Task) -> None:
        self.switches = 0
        self.calls: Counter[str] = Counter()
        self._mine = mine

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is not self._mine and "trio" not in (task.coro.cr_code.co_filename if task.coro else ""):
            self.switches += 1

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            self.calls[f"{Path(frame.f_code.co_filename).name} {frame.f_code.co_qualname}"] += 1

    def __enter__(self) -> "Tally":
        trio.lowlevel.add_instrument(self)
        sys.setprofile(self.profile)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        trio.lowlevel.remove_instrument(self)


class Behind:
    """The server behind the upstream route. It answers when the proxy is at rest: no race to count."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._sock: socket.socket | None = None

    async def answer(self) -> None:
        if self._sock is None:
            await trio.lowlevel.wait_readable(self._listener)
            self._sock = self._listener.accept()[0]
            self._sock.setblocking(False)
        await trio.lowlevel.wait_readable(self._sock)
        assert self._sock.recv(65536).endswith(b"\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        self._sock.send(BEHIND)

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()


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


async def ask(client: socket.socket, idle: int, budget: Budget, behind: Behind, times: int) -> None:
    """Each request when the proxy waits for it and the slot is idle again: no race to count."""
    request = REQUEST % budget.path.encode()
    for _ in range(times):
        if budget.is_new:
            cookie = secrets.token_hex(8).encode()
            request = REQUEST.replace(b"0123456789abcdef", cookie) % budget.path.encode()
        while not select.select([idle], [], [], 0)[0]:  # no method of the FIFO's: it would be counted
            await trio.sleep(0.001)
        await trio.testing.wait_all_tasks_blocked()
        client.send(request)
        if budget is BUDGETS["upstream"]:
            await behind.answer()
        answer = b""
        while not answer.endswith(budget.body):
            await trio.lowlevel.wait_readable(client)
            answer += client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200"), answer


def site_files(folder: Path, port: int) -> str:
    """What the site is made of; its configuration is returned."""
    (folder / "hello.py").write_text(APPLICATION)
    (folder / "static").mkdir()
    (folder / "static" / "one.txt").write_bytes(FILE)
    return CONFIG.format(port=port)


@pytest.mark.parametrize("name", list(BUDGETS))
async def test_the_proxys_switches_and_calls(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "_SETTLED", 0)  # the file is as if it had been there for a while
    monkeypatch.setattr(folder, "LOOK_AGAIN", 60)  # and no request is the one of its second
    forwarded._FROM_CLIENTS.clear()  # other tests of this process may have filled what it remembers of names
    budget = BUDGETS[name]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        behind = Behind(listener)
        pool = Site(tmp_path, site_files(tmp_path, listener.getsockname()[1]), "backend")
        await trio.to_thread.run_sync(pool.start)
        try:
            tally = await tallied(tmp_path, budget, behind)
        finally:
            behind.close()
            await trio.to_thread.run_sync(pool.stop)
            wait_until(lambda: not pool.processes(), 10, "the pool's end")
    switches, calls = round(tally.switches / COUNTED), round(tally.calls.total() / COUNTED)
    most = "\n".join(f"{n / COUNTED:5.1f} {function}" for function, n in tally.calls.most_common(60))
    print(f"{name}: {switches} switches, {calls} calls\n{most}")
    assert switches <= budget.switches
    assert calls <= budget.calls, most


async def tallied(folder: Path, budget: Budget, behind: Behind) -> Tally:
    fifo = IdleFifo(folder / "run" / "web" / "idle.fifo")
    try:
        async with front_in_this_process(folder) as address:
            with socket.create_connection(address, timeout=10) as client, trio.fail_after(60):
                client.setblocking(False)
                idle = fifo.fileno()
                await ask(client, idle, budget, behind, WARM)
                tallies = []
                for _ in range(TRIES):
                    with Tally(trio.lowlevel.current_task()) as tally:
                        await ask(client, idle, budget, behind, COUNTED)
                    tallies.append(tally)
        return min(tallies, key=lambda tally: tally.calls.total())
    finally:
        fifo.close()


def test_the_workers_calls(tmp_path: Path) -> None:
    """The application counts for itself what its thread calls between two of its requests.

    Timers only add to it: where a machine crawls, it is counted again.
    """
    budget = BUDGETS["pool"]
    with (
        running(tmp_path, site_files(tmp_path, 9)) as site,
        socket.create_connection(site.address, timeout=10) as client,
    ):
        ask_for = asker(client)
        for _ in range(WARM):
            ask_for(b"/hello")
        calls = min(calls_of_the_worker(ask_for) for _ in range(3))
    assert calls <= budget.worker_calls


def calls_of_the_worker(ask_for: Callable[[bytes], bytes]) -> int:
    ask_for(b"/hello?begin")
    for _ in range(COUNTED - 1):
        ask_for(b"/hello")
    found = re.search(rb"(\d+) calls\n$", ask_for(b"/hello?end"))
    assert found is not None
    return round(int(found[1]) / COUNTED)


def asker(client: socket.socket) -> Callable[[bytes], bytes]:
    def ask_for(path: bytes) -> bytes:
        client.send(REQUEST % path)
        answer = b""
        while not answer.endswith(b"\n") or answer.endswith(b"\r\n"):
            answer += client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        return answer

    return ask_for
