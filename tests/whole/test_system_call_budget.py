"""The budget of one warm request (budget.py): the system calls of the proxy and of the worker, by name.

strace counts while one request after the other is asked, each when both processes are at rest. What is not
done for each of them (the log's writing, a look at a folder once a second, attaching) is less than one each.
"""

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.whole.budget import BEHIND, BUDGETS
from tests.whole.faults import traced, why_no_faults
from tests.whole.running import Site, running, wait_until
from tests.whole.test_budget import asker, site_files
from trivet_proxy.shelf import _SETTLED

WARM, COUNTED, AGAIN = 20, 20, 2
_CALL = re.compile(r"^\d+ +(\w+)\(", re.MULTILINE)
# What a machine or a library has another name for.
_SAME = {"epoll_pwait": "epoll_wait", "epoll_pwait2": "epoll_wait"}


class Resting:
    """Whether processes sleep, all their threads."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids

    def wait(self) -> None:
        """For three looks in a row: a process that is between two calls may seem to sleep once."""
        looks = 0
        until = time.monotonic() + 10
        while looks < 3:
            looks = looks + 1 if self._is_now() else 0
            assert time.monotonic() < until, f"{self._pids} do not come to rest"
            time.sleep(0.0005)

    def _is_now(self) -> bool:
        threads = (thread for pid in self._pids for thread in Path(f"/proc/{pid}/task").iterdir())
        return all((thread / "stat").read_text().rsplit(")", 1)[1].split()[0] == "S" for thread in threads)


@contextmanager
def behind(resting: Callable[[], None]) -> Iterator[int]:
    """The port of a server that answers one connection's requests, each when the proxy has come to rest."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                while sock.recv(65536):
                    resting()
                    sock.send(BEHIND)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)
    assert not thread.is_alive()


def grown(site: Site, pid: int, path: str, most: Counter[str], resting: Callable[[], None]) -> Counter[str]:
    """What is above `most`, a request. Timers only add to it: where a machine crawls, it is counted again."""
    seen = calls_of(site, pid, path, resting)
    for _ in range(AGAIN):
        if seen - most:
            seen &= calls_of(site, pid, path, resting)
    return seen - most


def calls_of(site: Site, pid: int, path: str, resting: Callable[[], None]) -> Counter[str]:
    """A request, by the name of the call."""
    notes = site.folder / "strace.txt"
    with socket.create_connection(site.address, timeout=10) as client:
        ask_for = asker(client)

        def ask(times: int) -> None:
            for _ in range(times):
                resting()
                ask_for(path.encode())
            resting()

        ask(WARM)
        with traced(pid, notes):
            ask(COUNTED)
    seen = Counter(_SAME.get(name, name) for name in _CALL.findall(notes.read_text(errors="replace")))
    print(f"{path}: {dict(seen)} in {COUNTED} requests")
    return Counter({name: times // COUNTED for name, times in seen.items() if times >= COUNTED})


@pytest.fixture(autouse=True)
def _strace() -> None:
    if why := why_no_faults():
        pytest.skip(why)


def test_the_system_calls_of_proxy_and_worker(tmp_path: Path) -> None:
    processes: list[Resting] = []

    def resting() -> None:
        processes[0].wait()

    with behind(resting) as port, running(tmp_path, site_files(tmp_path, port)) as site:
        (proxy,), (worker,) = site.pids(" process "), site.pids("worker web")
        processes.append(Resting(proxy, worker))
        written = (tmp_path / "static" / "one.txt").stat().st_mtime
        wait_until(lambda: time.time() > written + _SETTLED + 0.1, what="a file that is not new any more")
        above = {}
        for name, budget in BUDGETS.items():
            above[name, "proxy"] = grown(site, proxy, budget.path, Counter(budget.system_calls), resting)
            if budget.worker_system_calls is not None:
                most = Counter(budget.worker_system_calls)
                above[name, "worker"] = grown(site, worker, budget.path, most, resting)
    assert not any(above.values()), f"more than budgeted: {above}"
