"""Templates with real processes: whose children workers are, what they share, and what is refused."""

import os
import signal
from pathlib import Path

import pytest

from tests.backend.pools import PATIENCE, PoolProcess, is_alive, until

pytestmark = pytest.mark.slow

LOADED = """
import os
print("loaded", flush=True)
LOADER = os.getpid()
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{version} {{LOADER}} {{os.getpid()}} {{os.getppid()}}".encode()]
"""


def loaded(version: str = "one") -> str:
    return LOADED.format(version=version)


def files_of(pid: int) -> set[str]:
    """What a process has open, named as the kernel does."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(os.readlink(fd))
        except OSError:
            pass
    return found


def template_of(pool: PoolProcess) -> int:
    """The pid of the template of the release that serves, once it is ready."""

    def ready() -> int:
        template = pool.status()["template"]
        return int(template["pid"]) if template["state"] == "ready" else 0

    return int(until(ready))


def test_workers_of_a_template_are_the_masters_own_children(pool: PoolProcess) -> None:
    pool.write(app=loaded(), preload="true", workers=3)
    pool.start()
    template = template_of(pool)
    assert pool.process is not None
    for worker in pool.status()["workers"]:
        answer = pool.get(to=pool.places.slot_socket(worker["incarnation"], 0))
        assert [int(word) for word in answer.split()[1:]] == [template, worker["pid"], pool.process.pid]
        assert worker["template"] is True
    os.kill(pool.pids()[0], signal.SIGKILL)
    until(lambda: pool.ready() == 3 and pool.status()["restarts"] == 1)
    assert pool.log().count("] loaded") == 1
    os.kill(template, signal.SIGTERM)  # as when the whole group is told to leave
    assert pool.stop() == 0
    assert not is_alive(template)
    assert "SIGTERM" not in pool.log()


def test_what_is_open_in_one_worker_is_open_in_no_other(pool: PoolProcess) -> None:
    pool.write(app=loaded(), preload="true", workers=3, threads=2)
    pool.start()
    os.kill(pool.pids()[0], signal.SIGKILL)
    until(lambda: pool.ready() == 3 and pool.status()["restarts"] == 1)
    assert pool.process is not None
    owned = {pid: files_of(pid) for pid in [*pool.pids(), template_of(pool)]}
    # What the pool has once is open in all of them: its log, pool.sock, the FIFO.
    shared = set.intersection(*(owned[pid] for pid in pool.pids()))
    for pid, files in owned.items():
        others = set.union(*(found for other, found in owned.items() if other != pid))
        private = {name for name in files - shared if name.startswith(("socket:", "pipe:"))}
        assert not private & others
        assert not private & files_of(pool.process.pid)
    sockets = {name for name in shared if name.startswith("socket:")}
    assert len(sockets) == 1, shared  # pool.sock


def test_a_template_that_is_killed_takes_no_worker_along(pool: PoolProcess) -> None:
    pool.write(app=loaded(), preload="true")
    pool.start()
    first, pids = template_of(pool), pool.pids()
    os.kill(first, signal.SIGKILL)
    second = until(lambda: template_of(pool) if pool.status()["template"]["pid"] != first else 0)
    assert pool.pids() == pids
    assert pool.get().startswith(b"one ")
    os.kill(pids[0], signal.SIGKILL)
    until(lambda: pool.status()["restarts"] == 1 and pool.ready() == 2)
    (newest,) = (worker for worker in pool.status()["workers"] if worker["pid"] != pids[1])
    assert int(pool.get(to=pool.places.slot_socket(newest["incarnation"], 0)).split()[1]) == second


def test_births_wait_for_a_template_that_is_not_there(pool: PoolProcess) -> None:
    pool.write(app="import time\ntime.sleep(0.5)\n" + loaded(), preload="true", workers=1)
    pool.start()
    template, (worker,) = template_of(pool), pool.pids()
    os.kill(template, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    until(lambda: pool.status()["restarts"] == 1 and pool.ready() == 1)
    assert pool.log().count("] loaded") == 2
    assert "could not be forked" not in pool.log()


def test_a_reload_has_a_template_of_its_own_and_the_old_one_leaves(pool: PoolProcess) -> None:
    pool.write(app=loaded("one"), preload="true")
    pool.start()
    old = template_of(pool)
    pool.write(app=loaded("two"), preload="true")
    assert pool.reload() == {"ok": True, "problem": ""}
    new = template_of(pool)
    assert new != old
    assert pool.get().split()[:2] == [b"two", str(new).encode()]
    until(lambda: not is_alive(old))
    assert pool.log().count("] loaded") == 2


def test_a_broken_release_leaves_the_old_template_and_its_code(pool: PoolProcess) -> None:
    """What a pool without a template cannot: a worker that dies now is replaced by one of the old code."""
    pool.write(app=loaded("one"), preload="true")
    pool.start()
    template, pids = template_of(pool), pool.pids()
    pool.write(app="1 / 0\n", preload="true")
    answer = pool.reload()
    assert answer["ok"] is False
    assert "ZeroDivisionError" in answer["problem"]
    assert template_of(pool) == template
    os.kill(pids[0], signal.SIGKILL)
    until(lambda: pool.status()["restarts"] == 1 and pool.ready() == 2)
    for worker in pool.status()["workers"]:
        assert pool.get(to=pool.places.slot_socket(worker["incarnation"], 0)).startswith(b"one ")
    pool.write(app=loaded("three"), preload="true")
    assert pool.reload()["ok"] is True
    assert pool.get().startswith(b"three ")


def test_a_release_may_begin_or_cease_to_preload(pool: PoolProcess) -> None:
    pool.write(app=loaded("one"))
    pool.start()
    assert pool.status()["template"] is None
    pool.write(app=loaded("two"), preload="true")
    assert pool.reload()["ok"] is True
    template = template_of(pool)
    pool.write(app=loaded("three"))
    assert pool.reload()["ok"] is True
    until(lambda: not is_alive(template))
    assert pool.get().startswith(b"three ")
    assert pool.status()["template"] is None


def test_a_template_that_hangs_ends_the_reload(pool: PoolProcess) -> None:
    pool.write(app=loaded("one"), preload="true")
    pool.start()
    pool.write(app="import time\ntime.sleep(60)\n", preload="true", reload="{timeout: 1s}")
    assert "the template was not ready within 1 s" in pool.reload()["problem"]
    assert pool.get().startswith(b"one ")


THREAD = """
import threading
def watch_prices():
    threading.Event().wait()
threading.Thread(target=watch_prices, name="prices", daemon=True).start()
"""


def test_a_template_with_a_second_thread_is_refused_by_its_name(pool: PoolProcess) -> None:
    pool.write(app=THREAD + loaded(), preload="true")
    pool.start(is_waited_for=False)
    assert pool.process is not None
    assert pool.process.wait(PATIENCE) == 1
    assert "the application has started the thread 'prices' (shop.watch_prices)" in pool.log()
    assert "threads: allow" in pool.log()


def test_who_insists_is_obeyed(pool: PoolProcess) -> None:
    pool.write(app=THREAD + loaded(), preload="{threads: allow}")
    pool.start()
    assert pool.get().startswith(b"one ")


def test_an_open_connection_is_named(pool: PoolProcess) -> None:
    app = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
"""
    pool.write(app=app + loaded(), preload="true")
    pool.start()
    warnings = [line for line in pool.log().splitlines() if "warning" in line]
    assert any("the application has opened a connection to 127.0.0.1:" in line for line in warnings)
    assert any("the application has opened a socket at 127.0.0.1:" in line for line in warnings)


@pytest.mark.parametrize("preload", ["true", "false"])
def test_all_leave_when_the_master_is_killed(pool: PoolProcess, preload: str) -> None:
    pool.write(app=loaded(), preload=preload)
    pool.start()
    pids = pool.pids()
    if preload == "true":
        pids.append(template_of(pool))
    pool.stop(signal.SIGKILL)
    for pid in pids:
        until(lambda pid=pid: not is_alive(pid), 2)


def test_a_template_that_imports_leaves_with_its_master_too(pool: PoolProcess) -> None:
    pool.write(
        app="import os, time\nprint('I am', os.getpid(), '.', flush=True)\ntime.sleep(60)\n", preload="true"
    )
    pool.start(is_waited_for=False)
    until(lambda: "I am" in pool.log())
    pid = int(pool.log().partition("I am ")[2].split()[0])
    pool.stop(signal.SIGKILL)
    until(lambda: not is_alive(pid), 2)


def test_one_that_stands_still_is_replaced_when_it_forks_nobody(pool: PoolProcess) -> None:
    """Somebody stopped it, after it was ready; then a worker dies."""
    pool.write(app=loaded(), preload="true", reload="{timeout: 1s}")
    pool.start()
    template = pool.status()["template"]["pid"]
    os.kill(template, signal.SIGSTOP)
    worker = pool.pids()[0]
    os.kill(worker, signal.SIGKILL)
    until(lambda: pool.ready() == 1)
    until(lambda: pool.ready() == 2)
    assert not is_alive(template)
    assert "the template forked no worker within 1 s" in pool.log()
