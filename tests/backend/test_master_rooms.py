"""What the rooms of a pool's master do together, seen from outside: kills, dumps, sizes, reloads."""

import os
import signal
import threading
import time
from typing import Any

import pytest

from tests.backend.pools import APP, PATIENCE, PoolProcess, is_alive, until
from trivet_common.asking import ask
from trivet_common.pool.queue_board import QueueCounts, QueueRow

pytestmark = pytest.mark.slow

HELD = """
import re
def app(environ, start_response):
    if environ["PATH_INFO"] == "/held":
        print("held begins", flush=True)
        re.match("(a+)+b", "a" * 60)  # in C, for ever, and nobody else may run meanwhile
    start_response("200 OK", [])
    return [b"fine"]
"""


def begin(pool: PoolProcess, path: str) -> threading.Thread:
    """A request that is not waited for."""
    asking = threading.Thread(target=pool.get, args=(path,))
    asking.start()
    until(lambda: f"{path.strip('/').partition('?')[0]} begins" in pool.log())
    return asking


def dump(pool: PoolProcess, worker: int | None = None) -> dict[str, Any]:
    request = {"do": "dump"} if worker is None else {"do": "dump", "worker": worker}
    return ask(pool.places.control, request, PATIENCE)


def test_a_worker_that_holds_the_interpreter_is_told_by_its_board_and_killed(pool: PoolProcess) -> None:
    pool.write(app=HELD, workers=1, timeout="1s", kill_grace="1500ms")
    pool.start()
    (worker,) = pool.pids()
    asking = begin(pool, "/held")
    text = dump(pool)["dumps"]["w1"]
    assert "its interpreter is held" in text
    assert "it runs GET /held (request" in text
    until(lambda: worker not in pool.pids() and pool.ready() == 1)
    asking.join(PATIENCE)
    assert f"worker 1 (pid {worker}) is killed: GET /held (request " in pool.log()
    status = pool.status()
    assert (status["timeouts"], status["crashes"], status["recycled"]["timeout"]) == (1, 0, 1)
    assert pool.get() == b"fine"


def test_a_worker_that_was_stopped_in_a_request_is_killed(pool: PoolProcess) -> None:
    pool.write(workers=1, timeout="500ms", kill_grace="300ms")
    pool.start()
    (worker,) = pool.pids()
    asking = begin(pool, "/slow?8")
    os.kill(worker, signal.SIGSTOP)
    until(lambda: not is_alive(worker))
    until(lambda: pool.ready() == 1)
    asking.join(PATIENCE)
    assert "is killed: GET /slow?8 (request " in pool.log()


def test_a_worker_that_was_stopped_leaves_when_its_master_is_killed(pool: PoolProcess) -> None:
    """It was stopped while it was idle; by us, when the master died before it had looked again."""
    pool.write(workers=1)
    pool.start()
    (worker,) = pool.pids()
    os.kill(worker, signal.SIGSTOP)
    pool.stop(signal.SIGKILL)
    until(lambda: not is_alive(worker), 2)


def test_a_worker_whose_request_ends_in_time_is_not_touched(pool: PoolProcess) -> None:
    pool.write(workers=1, timeout="1s", kill_grace="200ms", after_timeout="keep")
    pool.start()
    pids = pool.pids()
    assert pool.get("/slow?0.5").startswith(b"one ")
    assert pool.pids() == pids
    assert pool.status()["timeouts"] == 0


def test_dump_names_what_each_worker_does(pool: PoolProcess) -> None:
    pool.write(workers=2)
    pool.start()
    asking = begin(pool, "/slow?1.5")
    dumps = dump(pool)["dumps"]
    assert set(dumps) == {"w1", "w2"}
    assert sum("time.sleep(float(" in text for text in dumps.values()) == 1
    busy = next(int(name[1:]) for name, text in dumps.items() if "time.sleep" in text)
    assert set(dump(pool, busy)["dumps"]) == {f"w{busy}"}
    assert dump(pool, 99) == {"ok": False, "problem": "there is no worker 99"}
    asking.join(PATIENCE)


def test_ttin_and_ttou_are_one_worker_more_and_one_fewer(pool: PoolProcess) -> None:
    pool.write(workers=1)
    pool.start()
    assert pool.process is not None
    pool.process.send_signal(signal.SIGTTIN)
    until(lambda: pool.ready() == 2)
    assert pool.status()["size"] == {"min": 1, "max": 1, "now": 2}
    pool.process.send_signal(signal.SIGTTOU)
    until(lambda: len(pool.status()["workers"]) == 1)
    pool.process.send_signal(signal.SIGTTOU)
    until(lambda: "there can be no fewer" in pool.log())
    assert pool.ready() == 1
    assert pool.get().startswith(b"one ")


def test_a_reload_says_how_far_it_is_and_is_remembered(pool: PoolProcess) -> None:
    pool.write("one", workers=3)
    pool.start()
    pool.write("two", workers=3, reload="{surge: 2}")
    heard: list[str] = []
    answer = ask(pool.places.control, {"do": "reload"}, PATIENCE, heard.append)
    assert answer == {"ok": True, "problem": ""}
    assert heard == [f"{number} of 3 workers" for number in (1, 2, 3)]
    status = pool.status()
    assert status["last_reload"]["ok"] is True
    assert status["last_reload"]["seconds"] > 0
    assert {worker["release"] for worker in status["workers"] if worker["state"] == "ready"} == {2}


def test_a_pool_grows_while_requests_wait_and_shrinks_when_they_do_not(pool: PoolProcess) -> None:
    pool.write(workers="{min: 1, max: 3, wait: 50ms, idle: 1s}")
    pool.start()
    queue = QueueRow(pool.places.queue_board, 0, 1)

    def grown() -> bool:
        queue.show(3, time.monotonic_ns() - 2_000_000_000, QueueCounts())
        return pool.ready() == 3

    until(grown)
    queue.clear()
    until(lambda: len(pool.status()["workers"]) == 1)
    assert pool.status()["size"] == {"min": 1, "max": 3, "now": 1}
    assert pool.status()["crashes"] == pool.status()["restarts"] == 0


NOT_READY = """
VERSION = 2
def app(environ, start_response):
    if environ["PATH_INFO"] == "/healthz":
        raise LookupError("no database")
    start_response("200 OK", [])
    return [b"two"]
"""


def test_a_newcomer_that_fails_the_ready_check_ends_the_reload(pool: PoolProcess) -> None:
    pool.write("one")
    pool.start()
    before = pool.pids()
    pool.write(app=NOT_READY, reload="{ready: /healthz}")
    answer = pool.reload()
    assert answer["ok"] is False
    assert "LookupError: no database" in answer["problem"]
    assert pool.pids() == before
    status = pool.status()
    assert status["last_reload"]["ok"] is False
    assert "no database" in status["last_reload"]["problem"]
    assert pool.get().startswith(b"one ")


def test_a_first_release_that_never_comes_up_may_be_replaced(pool: PoolProcess) -> None:
    pool.write(app="import os\nos._exit(7)\n", workers=1)
    pool.start(is_waited_for=False)
    until(lambda: pool.is_up() and pool.status()["restarts"] >= 1)
    pool.write("two", workers=1)
    assert pool.reload()["ok"] is True
    assert pool.get().startswith(b"two ")


def test_an_application_that_hangs_at_the_first_start_ends_it(pool: PoolProcess) -> None:
    pool.write(app="import time\ntime.sleep(60)\n", reload="{timeout: 500ms}")
    pool.start(is_waited_for=False)
    assert pool.process is not None
    assert pool.process.wait(PATIENCE) == 1
    assert "cannot start: a new worker was not ready within 0.5 s" in pool.log()


def test_a_pool_that_cannot_replace_its_dead_is_degraded(pool: PoolProcess) -> None:
    pool.write("one", workers=2)
    pool.start()
    assert pool.status()["degraded"] is False
    (pool.folder / "shop.py").write_text("1 / 0\n")
    os.kill(pool.pids()[0], signal.SIGKILL)
    until(lambda: pool.status()["degraded"])
    assert pool.get().startswith(b"one ")
    pool.write("two", workers=2)
    until(lambda: pool.ready() == 2 and not pool.status()["degraded"])


def test_a_reload_ends_no_request_that_is_within_its_timeout(pool: PoolProcess) -> None:
    """`stop_timeout` is for stops: what is replaced has the time that its request has."""
    pool.write(workers=1, timeout="20s")
    pool.file.write_text(pool.file.read_text().replace("stop_timeout: 5s", "stop_timeout: 300ms"))
    pool.start()
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(pool.get("/slow?1.5")))
    asking.start()
    until(lambda: "slow begins" in pool.log())
    pool.write("two", workers=1, timeout="20s")
    pool.file.write_text(pool.file.read_text().replace("stop_timeout: 5s", "stop_timeout: 300ms"))
    assert pool.reload()["ok"]
    asking.join(PATIENCE)
    assert answers[0].startswith(b"one ")
    assert "killed" not in pool.log()


def test_a_worker_that_serves_no_more_and_never_leaves_is_replaced(pool: PoolProcess) -> None:
    """It was told to leave, by nobody's master, and hangs in its own hook; it has said nothing about it."""
    app = APP.format(version="one") + "def hang():\n    time.sleep(60)\n"
    pool.write(app=app, workers=1, worker_exit="shop:hang")
    pool.start()
    (worker,) = pool.pids()
    os.kill(worker, signal.SIGTERM)
    until(lambda: pool.pids() not in ([], [worker]) and pool.ready() == 1)
    assert pool.get().startswith(b"one ")
    os.kill(worker, signal.SIGKILL)


def test_a_board_that_could_not_be_removed_is_removed_later(pool: PoolProcess) -> None:
    pool.write(workers=1)
    pool.start()
    for name in ("w77.board", "w77.0.sock"):
        (pool.places.directory / name).touch()
    until(lambda: pool.places.incarnations() == [1])
    assert not (pool.places.directory / "w77.0.sock").exists()
    assert pool.get().startswith(b"one ")
