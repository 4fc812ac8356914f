"""What a master reads from the boards of its workers."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trivet_backend.roster import PoolWorker, Seat, WorkerState, claim_rows, last_words, manner, worker_status
from trivet_common.pool.board import HEADER_WORDS, NUMBER, ROW_WORDS, Board
from trivet_common.pool.claims import SlotClaims
from trivet_common.pool.places import PoolPlaces


@pytest.fixture
def places(tmp_path: Path) -> PoolPlaces:
    return PoolPlaces(tmp_path)


def worker(places: PoolPlaces, slots: int = 2) -> PoolWorker:
    child: Any = SimpleNamespace(pid=4711)
    found = PoolWorker(child, 7, Seat(0), slots)
    found.state = WorkerState.READY
    found.board = os.open(places.board(7), os.O_RDONLY)
    return found


def test_claim_rows_are_copies_of_the_words(places: PoolPlaces) -> None:
    board = Board.create(places.board(7), 7, 2, 0)
    SlotClaims(board.words(1)).become_idle(5)
    SlotClaims(board.words(1)).commit(99)
    rows = claim_rows(worker(places))
    assert [(incarnation, slot, words[NUMBER]) for incarnation, slot, words in rows] == [(7, 0, 1), (7, 1, 2)]


def test_a_worker_that_is_not_ready_has_no_rows(places: PoolPlaces) -> None:
    Board.create(places.board(7), 7, 2, 0)
    found = worker(places)
    found.state = WorkerState.RETIRING
    assert claim_rows(found) == []


@pytest.mark.parametrize("size", [0, 8, HEADER_WORDS * 8, (HEADER_WORDS + ROW_WORDS) * 8])
def test_a_board_that_was_cut_has_none(places: PoolPlaces, size: int) -> None:
    Board.create(places.board(7), 7, 2, 0)
    found = worker(places)
    os.truncate(places.board(7), size)
    assert claim_rows(found) == []
    assert last_words(found, places) == ""
    assert worker_status(found, places)["slots"] == []


def test_last_words_are_of_what_ran(places: PoolPlaces) -> None:
    board = Board.create(places.board(7), 7, 2, 0)
    row, claims = board.slot(1), SlotClaims(board.words(1))
    found = worker(places)
    assert last_words(found, places) == ""
    claims.become_idle(1)
    claims.commit(5)
    row.show(b"GET", b"/x", b"id-1", 1)
    claims.enter()
    assert last_words(found, places) == " while it ran GET /x (request id-1)"
    assert worker_status(found, places)["slots"][1]["state"] == "running"


def test_a_board_that_says_it_has_more_slots_is_not_believed(places: PoolPlaces) -> None:
    Board.create(places.board(7), 7, 5, 0)
    found = worker(places, slots=2)
    assert len(worker_status(found, places)["slots"]) == 2
    assert len(claim_rows(found)) == 2


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (3, "exited with status 3"),
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (-40, "was killed by signal 40"),
    ],
)
def test_how_a_child_ended(status: int, text: str) -> None:
    assert manner(status) == text
