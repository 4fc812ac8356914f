"""The answer to `status`."""

import os
import time
from pathlib import Path
from typing import Any

from tests.backend.crews import release, worker
from trivet_backend.crew import Crew
from trivet_backend.report import crew_status, queue_status, worker_status
from trivet_common.logs import ErrorLog
from trivet_common.pool.board import DEADLINE, TIMEOUTS, Board
from trivet_common.pool.claims import SlotClaims
from trivet_common.pool.places import PoolPlaces
from trivet_common.pool.queue_board import QueueCounts, QueueView


def test_a_worker_and_what_its_slots_do(tmp_path: Path) -> None:
    places = PoolPlaces(tmp_path)
    board = Board.create(places.board(7), 7, 2, 0)
    row, claims = board.slot(1), SlotClaims(board.words(1))
    claims.become_idle(1)
    claims.commit(5)
    row.show(b"GET", b"/x", b"id-1", time.monotonic_ns() - 3_000_000_000)
    row.words[DEADLINE] = time.monotonic_ns() - 1_000_000_000
    row.words[TIMEOUTS] = 4
    claims.enter()
    found = worker(7, release(3, threads=2), tired="memory")
    found.child.pid = os.getpid()
    told = worker_status(found, places)
    assert told["memory"] > 1 << 20
    assert (told["state"], told["tired"], told["release"], told["template"]) == ("ready", "memory", 3, False)
    idle, busy = told["slots"]
    assert (idle["state"], idle["deadline_in"], idle["overdue"], idle["path"]) == (
        "starting",
        None,
        False,
        "",
    )
    assert (busy["state"], busy["method"], busy["path"], busy["request_id"]) == (
        "running",
        "GET",
        "/x",
        "id-1",
    )
    assert (busy["overdue"], busy["timeouts"]) == (True, 4)
    assert -2 < busy["deadline_in"] <= -1
    assert 3 <= busy["seconds"] < 4


def test_a_crew_in_figures(tmp_path: Path) -> None:
    births: Any = None
    crew = Crew(
        release(size=2, most=5),
        births,
        PoolPlaces(tmp_path),
        ErrorLog(None, "test"),
        lambda seconds, callback: None,
        is_leaving=lambda: False,
        began=lambda: None,
        hopeless=lambda problem: None,
    )
    one = crew.roster.seats[0].worker = worker(1)
    crew.roster.workers[1] = one
    crew.crashes = 3
    told = crew_status(crew, PoolPlaces(tmp_path))
    assert (told["ready"], told["wanted"], told["size"]) == (1, 2, {"min": 2, "max": 5, "now": 2})
    assert (told["crashes"], told["timeouts"]) == (3, 0)
    assert told["recycled"] == {"requests": 0, "memory": 0, "timeout": 0}
    assert [each["incarnation"] for each in told["workers"]] == [1]


def test_all_queues_as_one() -> None:
    now = time.monotonic_ns()
    told = queue_status(
        [
            QueueView(0, 1, 2, now - 2_000_000_000, QueueCounts(claims=5, late=1)),
            QueueView(1, 2, 0, 0, QueueCounts(claims=7, full=2)),
        ]
    )
    assert (told["waiting"], told["claims"], told["late"], told["full"]) == (2, 12, 1, 2)
    assert 2 <= told["oldest_wait"] < 3
    assert queue_status([])["oldest_wait"] == 0.0
