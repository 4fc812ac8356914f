"""Who runs in a run directory, whether it is alive and ready, and what runs elsewhere."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet_common.asking import ControlError
from trivet_common.pool.board import STATE, Board, SlotState
from trivet_common.pool.places import PoolPlaces
from trivet_deploy import running
from trivet_deploy.refusal import NOTHING_RUNS

Answering = Callable[[str, dict[str, Any]], None]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    short = tmp_path / "r"
    short.mkdir()
    return short


@pytest.fixture
def answering(run_dir: Path) -> Iterator[Answering]:
    """Start masters that answer every question with the same words."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(name: str, answer: dict[str, Any]) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        (run_dir / name).parent.mkdir(exist_ok=True)
        listener.bind(str(run_dir / name))
        listener.listen(8)
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    asker, _ = listener.accept()
                except OSError:
                    return
                with asker:
                    asker.recv(4096)
                    asker.sendall(json.dumps(answer).encode() + b"\n")

        threads.append(threading.Thread(target=serve))
        threads[-1].start()

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(5)


def make_pool(run_dir: Path, name: str, state: SlotState | None) -> PoolPlaces:
    pool = PoolPlaces(run_dir / name)
    pool.create()
    if state is not None:
        board = Board.create(pool.board(1), 1, 2, time.monotonic_ns())
        board.words(1)[STATE] = state
    return pool


def test_serve_is_topmost_and_halves_are_named(run_dir: Path, answering: Answering) -> None:
    assert running.topmost(run_dir) == []
    make_pool(run_dir, "web", None)
    answering("web/control.sock", {"ok": True})
    answering("proxy.sock", {"ok": True})
    assert [master.what for master in running.topmost(run_dir)] == ["pool web", "proxy"]
    answering("control.sock", {"ok": True})
    assert [master.what for master in running.topmost(run_dir)] == ["serve"]
    assert [master.what for master in running.halves(run_dir)] == ["pool web", "proxy"]


@pytest.mark.parametrize(
    ("state", "live"),
    [
        (None, False),
        (SlotState.STARTING, False),
        (SlotState.IDLE, True),
        (SlotState.READING, True),
        (SlotState.RUNNING, True),
        (SlotState.RETIRING, False),
    ],
)
def test_a_pool_is_ready_while_one_slot_lives(run_dir: Path, state: SlotState | None, live: bool) -> None:
    assert running.has_live_slot(make_pool(run_dir, "web", state)) is live


def test_ready_needs_masters_that_stay_and_a_live_slot_in_every_pool(
    run_dir: Path, answering: Answering
) -> None:
    assert not running.is_alive(run_dir, 1)
    assert not running.is_ready(run_dir, 1)
    answering("control.sock", {"ok": True, "phase": "running", "ready": True})
    assert running.is_alive(run_dir, 1)
    assert running.is_ready(run_dir, 1)
    make_pool(run_dir, "web", SlotState.RUNNING)
    assert running.is_ready(run_dir, 1)
    make_pool(run_dir, "shop", SlotState.STARTING)
    assert not running.is_ready(run_dir, 1)
    assert running.is_alive(run_dir, 1)


def test_a_master_that_drains_is_alive_and_not_ready(run_dir: Path, answering: Answering) -> None:
    answering("control.sock", {"ok": True, "phase": "draining"})
    assert running.is_alive(run_dir, 1)
    assert not running.is_ready(run_dir, 1)


def test_a_master_that_does_not_answer_is_not_alive(run_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stopped:
        stopped.bind(str(run_dir / "control.sock"))
        stopped.listen(1)
        assert not running.is_alive(run_dir, 0.05)
        assert not running.is_ready(run_dir, 0.05)


def process(proc: Path, pid: int, title: bytes) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cmdline").write_bytes(title)


def test_what_runs_is_told_by_titles(tmp_path: Path) -> None:
    process(tmp_path, 7, b"trivet: serve shop (/srv/my shop/trivet.yaml)\0\0\0\0")
    process(tmp_path, 12, b"trivet: serve site\0")
    process(tmp_path, 13, b"trivet: proxy shop\0")
    process(tmp_path, 14, b"vim\0trivet: serve x\0")
    (tmp_path / "99").mkdir()
    user = running.user_name(os.geteuid())
    assert list(running.what_runs(tmp_path)) == [
        f"shop (/srv/my shop/trivet.yaml) by {user}, process 7",
        f"site by {user}, process 12",
    ]
    assert list(running.what_runs(tmp_path / "nowhere")) == []


def test_nothing_runs_says_what_does(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "what_runs", lambda: iter(["shop (x.yaml) by www, process 7"]))
    refusal = running.nothing_runs("trivet.yaml", run_dir)
    assert refusal.status == NOTHING_RUNS
    assert str(refusal).endswith("; running:\n  shop (x.yaml) by www, process 7")


def test_a_socket_without_a_master_is_a_killed_runs(run_dir: Path) -> None:
    stale = ControlError("refused")
    stale.__cause__ = ConnectionRefusedError()
    assert running.unanswered(stale, "a.yaml", run_dir).status == NOTHING_RUNS
    killed = ControlError("reset")
    killed.__cause__ = ConnectionResetError()
    assert running.unanswered(killed, "a.yaml", run_dir).status == NOTHING_RUNS
    foreign = ControlError("denied")
    foreign.__cause__ = PermissionError()
    assert "run by another user" in str(running.unanswered(foreign, "a.yaml", run_dir))
    assert running.unanswered(ControlError("no answer"), "a.yaml", run_dir).status == 1


def test_users_without_a_name() -> None:
    assert running.user_name(4_000_000_000) == "uid 4000000000"
