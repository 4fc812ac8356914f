"""A pool with real processes: workers that die, reload, drain, and a master that dies itself."""

import os
import signal
import socket
import stat
import threading
from time import monotonic

import pytest

from tests.backend.pools import PATIENCE, PoolProcess, is_alive, until
from trivet_common.pool.idle import IdleFifo


def test_it_answers_on_pool_sock_and_on_each_slot_and_leaves_nothing(pool: PoolProcess) -> None:
    pool.write()
    pool.start()
    assert pool.get().startswith(b"one ")
    status = pool.status()
    answers = {pool.get(to=pool.places.slot_socket(worker["incarnation"], 0)) for worker in status["workers"]}
    assert len(answers) == 2
    assert sum(slot["done"] for worker in pool.status()["workers"] for slot in worker["slots"]) == 3
    assert pool.stop() == 0
    left = sorted(path.name for path in pool.places.directory.iterdir())
    assert left == ["idle.fifo", "incarnation", "queue.board"]


def test_a_pool_listens_on_tcp_too(pool: PoolProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pool.write(listen=f'"127.0.0.1:{port}"', workers=1)
    pool.start()
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_threads_are_slots_of_one_process(pool: PoolProcess) -> None:
    pool.write(workers=1, threads=3)
    pool.start()
    (worker,) = pool.status()["workers"]
    assert len(worker["slots"]) == 3
    slow = threading.Thread(
        target=pool.get, args=("/slow?1", pool.places.slot_socket(worker["incarnation"], 0))
    )
    slow.start()
    until(lambda: "slow begins" in pool.log())
    for slot in (1, 2):
        answer = pool.get(to=pool.places.slot_socket(worker["incarnation"], slot))
        assert answer == f"one {worker['pid']} True".encode()
    slow.join(PATIENCE)
    assert pool.stop() == 0


def test_what_the_application_prints_is_logged_with_pool_worker_and_pid(pool: PoolProcess) -> None:
    pool.write(workers=1)
    pool.start()
    pool.get("/slow?0")
    assert f"[web w1 {pool.pids()[0]}] slow begins" in pool.log()


@pytest.mark.parametrize("signum", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_worker_that_is_gone_is_replaced(pool: PoolProcess, signum: int) -> None:
    pool.write()
    pool.start()
    victim = pool.status()["workers"][0]
    os.kill(victim["pid"], signum)
    until(lambda: victim["pid"] not in pool.pids() and pool.ready() == 2)
    status = pool.status()
    assert max(worker["incarnation"] for worker in status["workers"]) == 3
    assert status["restarts"] == 1
    assert not pool.places.board(victim["incarnation"]).exists()
    if signum == signal.SIGKILL:
        assert f"worker {victim['incarnation']} (pid {victim['pid']}) was killed by SIGKILL" in pool.log()


def test_the_last_words_of_a_worker_are_logged(pool: PoolProcess) -> None:
    pool.write(workers=1)
    pool.start()
    assert pool.get("/exit?now") == b""
    until(lambda: "while it ran" in pool.log())
    line = next(line for line in pool.log().splitlines() if "while it ran" in line)
    assert "exited with status 9 while it ran GET /exit?now (request " in line


def test_workers_that_die_at_once_are_started_ever_more_slowly(pool: PoolProcess) -> None:
    pool.write(workers=1, app="import os\nos._exit(7)\n")
    pool.start(is_waited_for=False)
    until(lambda: pool.is_up() and pool.status()["restarts"] >= 4)
    assert 0.7 < monotonic_between(pool.log(), "exited with status 7") < 5


def monotonic_between(log: str, text: str) -> float:
    """Seconds between the first and the fourth line that holds `text`, by their time stamps."""
    times = [line.split()[1] for line in log.splitlines() if text in line]
    first, fourth = (
        sum(float(x) * f for x, f in zip(t.split(":"), (3600, 60, 1), strict=True)) for t in times[:4:3]
    )
    return (fourth - first) % 86400


def test_lost_tokens_are_announced_again(pool: PoolProcess) -> None:
    pool.write()
    pool.start()
    fifo = IdleFifo(pool.places.idle_fifo)
    for _ in range(3):
        seen = set()
        until(lambda seen=seen: (token := fifo.try_read()) and (seen.add(token) or len(seen) == 2), 3)
        assert {token.number for token in seen} == {1}
    fifo.close()


# ------------------------------------------------------------ prepare and the start


def test_prepare_runs_once_before_the_first_worker(pool: PoolProcess) -> None:
    pool.write(
        prepare='["echo $WHERE >> prepared", "echo loud"]', env="{WHERE: here}", directory=str(pool.folder)
    )
    pool.start()
    assert (pool.folder / "prepared").read_text() == "here\n"
    assert "prepare: loud" in pool.log()


def test_prepare_that_fails_at_the_start_ends_it(pool: PoolProcess) -> None:
    pool.write(prepare='["echo no such table; exit 3"]')
    pool.start(is_waited_for=False)
    assert pool.process is not None
    assert pool.process.wait(PATIENCE) == 1
    assert "exited with status 3" in pool.log()
    assert "no such table" in pool.log()
    assert "worker" not in pool.log()


def test_an_application_that_cannot_be_loaded_at_the_start_ends_it(pool: PoolProcess) -> None:
    pool.write(app="x = 1\n")
    pool.start(is_waited_for=False)
    assert pool.process is not None
    assert pool.process.wait(PATIENCE) == 1
    assert "has neither `application` nor `app`" in pool.log()


# ------------------------------------------------------------ reload


def test_a_reload_brings_new_code_without_a_gap(pool: PoolProcess) -> None:
    pool.write("one")
    pool.start()
    answers, is_over = [], threading.Event()

    def keep_asking() -> None:
        while not is_over.is_set():
            answers.append(pool.get().split()[0])

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        pool.write("two", workers=3)
        assert pool.reload() == {"ok": True, "problem": ""}
        until(lambda: pool.ready() == 3)
    finally:
        is_over.set()
        asking.join(PATIENCE)
    assert set(answers) == {b"one", b"two"}
    assert pool.get().startswith(b"two ")
    until(lambda: len(pool.status()["workers"]) == 3)


BROKEN = {
    "raises": ("1 / 0\n", "ZeroDivisionError"),
    "exits": ("import os\nos._exit(5)\n", "exited with status 5 before it was ready"),
    "hangs": ("import time\ntime.sleep(60)\n", "was not ready within 1 s"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_release_leaves_the_old_one_serving(pool: PoolProcess, case: str) -> None:
    app, text = BROKEN[case]
    pool.write("one")
    pool.start()
    before = pool.pids()
    pool.write(app=app, reload="{timeout: 1s}")
    answer = pool.reload()
    assert answer["ok"] is False
    assert text in answer["problem"]
    assert pool.pids() == before
    assert pool.get().startswith(b"one ")
    assert text in pool.status()["last_reload"]["problem"]
    until(lambda: len(pool.status()["workers"]) == 2)
    os.kill(before[0], signal.SIGKILL)  # even a replacement is of the old settings
    until(lambda: before[0] not in pool.pids())


def test_prepare_that_fails_keeps_the_old_release(pool: PoolProcess) -> None:
    pool.write("one")
    pool.start()
    before = pool.pids()
    pool.write("two", prepare='["echo migration failed; false"]')
    answer = pool.reload()
    assert "migration failed" in answer["problem"]
    assert pool.pids() == before
    assert pool.get().startswith(b"one ")


def test_a_broken_file_changes_nothing_and_says_why(pool: PoolProcess) -> None:
    pool.write("one")
    pool.start()
    pool.file.write_text("pools: {web: {app: shop, wrokers: 3}}\n")
    answer = pool.reload()
    assert answer["ok"] is False
    assert "wrokers" in answer["problem"]
    assert pool.get().startswith(b"one ")


# ------------------------------------------------------------ stopping, and dying


def test_term_lets_a_request_finish(pool: PoolProcess) -> None:
    pool.write(workers=1)
    pool.start()
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(pool.get("/slow?1")))
    asking.start()
    until(lambda: "slow begins" in pool.log())
    assert pool.stop() == 0
    asking.join(PATIENCE)
    assert answers[0].startswith(b"one ")


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_int_leaves_at_once(pool: PoolProcess, threads: int) -> None:
    pool.write(workers=1, threads=threads)
    pool.start()
    asking = threading.Thread(target=pool.get, args=("/slow?8",))
    asking.start()
    until(lambda: "slow begins" in pool.log())
    begun = monotonic()
    assert pool.stop(signal.SIGINT) == 0
    assert monotonic() - begun < 3
    asking.join(PATIENCE)


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_workers_leave_when_their_master_is_killed(pool: PoolProcess, threads: int) -> None:
    pool.write(threads=threads)
    pool.start()
    pids = pool.pids()
    pool.stop(signal.SIGKILL)
    for pid in pids:
        until(lambda pid=pid: not is_alive(pid), 2)


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_request_outlives_its_master(pool: PoolProcess, threads: int) -> None:
    pool.write(workers=1, threads=threads)
    pool.start()
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(pool.get("/slow?1")))
    asking.start()
    until(lambda: "slow begins" in pool.log())
    pool.stop(signal.SIGKILL)
    asking.join(PATIENCE)
    assert answers[0].startswith(b"one ")


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_long_request_does_not_keep_its_worker_when_the_master_is_gone(
    pool: PoolProcess, threads: int
) -> None:
    pool.write(workers=1, threads=threads)
    pool.start()
    pids = pool.pids()
    asking = threading.Thread(target=pool.get, args=("/slow?8",))
    asking.start()
    until(lambda: "slow begins" in pool.log())
    pool.stop(signal.SIGKILL)
    for pid in pids:
        until(lambda pid=pid: not is_alive(pid), 2)
    asking.join(PATIENCE)


def test_a_killed_masters_directory_is_taken_over(pool: PoolProcess) -> None:
    pool.write()
    pool.start()
    last = pool.places.incarnations()[-1]
    pool.stop(signal.SIGKILL)
    pool.start()
    assert min(pool.places.incarnations()) > last
    assert pool.get().startswith(b"one ")
    assert pool.stop() == 0


def test_a_worker_that_scribbles_over_its_board_harms_nobody(pool: PoolProcess) -> None:
    pool.write()
    pool.start()
    victim = pool.status()["workers"][0]
    with open(pool.places.board(victim["incarnation"]), "r+b") as board:
        board.write(os.urandom(300))
        board.truncate(300)
    assert len(pool.status()["workers"]) == 2
    threading.Event().wait(0.5)  # two ticks of the repair
    assert pool.is_up()
    assert pool.get(to=pool.places.slot_socket(pool.status()["workers"][1]["incarnation"], 0)).startswith(
        b"one"
    )


def test_a_second_master_in_the_same_directory_refuses(pool: PoolProcess) -> None:
    pool.write()
    pool.start()
    second = PoolProcess(pool.folder)
    second.start(is_waited_for=False)
    assert second.process is not None
    assert second.process.wait(PATIENCE) == 1
    assert second.process.stderr is not None
    second.process.stderr.close()
    assert "another master runs this pool already" in pool.log()
    assert pool.get().startswith(b"one ")


def test_a_prepare_command_does_not_outlive_a_stop(pool: PoolProcess) -> None:
    pool.write(prepare='["echo $$ > pid; sleep 60"]', directory=str(pool.folder))
    pool.start(is_waited_for=False)
    until(lambda: (pool.folder / "pid").exists() and (pool.folder / "pid").read_text().strip())
    command = int((pool.folder / "pid").read_text())
    assert pool.stop() == 0
    until(lambda: not is_alive(command))


def test_nothing_of_ours_is_open_in_a_program_that_the_application_starts(pool: PoolProcess) -> None:
    app = """
import stat
import subprocess
def app(environ, start_response):
    start_response("200 OK", [])
    return [subprocess.run(["ls", "/proc/self/fd"], close_fds=False, capture_output=True).stdout]
"""
    pool.write(app=app, threads=2)
    pool.start()
    # 0, 1, 2, and the folder that ls reads.
    assert pool.get().split() == [b"0", b"1", b"2", b"3"]


def test_what_lies_in_the_run_directory_is_its_users_alone(pool: PoolProcess) -> None:
    pool.write()
    pool.start()
    assert stat.S_IMODE(pool.places.directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in pool.places.directory.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_a_pool_whose_files_were_removed_ends_so_that_it_is_started_anew(pool: PoolProcess) -> None:
    """By a cleaner of old files, or by hand: no proxy would find the pool any more."""
    pool.write()
    pool.start()
    for path in pool.places.directory.iterdir():
        path.unlink()
    assert pool.process is not None
    assert pool.process.wait(PATIENCE) == 1
    assert "somebody removed the pool's files" in pool.log()


def test_a_worker_without_a_number_is_one_that_died_at_once(pool: PoolProcess) -> None:
    pool.write(workers=1)
    pool.start()
    (worker,) = pool.pids()
    numbers = pool.places.directory / "incarnation"
    held = numbers.rename(numbers.with_name("held"))
    numbers.mkdir()  # what cannot be opened, as when no descriptor is left
    os.kill(worker, signal.SIGKILL)
    until(lambda: "could not be forked" in pool.log())
    numbers.rmdir()
    held.rename(numbers)
    until(lambda: pool.ready() == 1)
    assert pool.stop() == 0


def test_a_reload_during_the_start_is_refused(pool: PoolProcess) -> None:
    """It would begin beside the first prepare, and nobody would look for lost tokens afterwards."""
    pool.write(prepare=["sleep 2"])
    pool.start(is_waited_for=False)
    until(lambda: "prepare: sleep" in pool.log())
    assert pool.reload()["problem"] == "pool web is still starting"
    until(lambda: pool.ready() == 2)
    assert pool.log().count("prepare: sleep") == 1
    assert pool.stop() == 0
