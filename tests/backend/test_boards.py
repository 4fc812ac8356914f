"""What a master reads from the boards of its workers."""

import os
from pathlib import Path

import pytest

from tests.backend.crews import release, worker
from trivet_backend.boards import busy, claim_rows, has_answered, is_removed, last_words, rows, views
from trivet_backend.roster import PoolWorker, WorkerState
from trivet_common.pool.board import DEADLINE, HEADER_WORDS, NUMBER, ROW_WORDS, Board
from trivet_common.pool.claims import SlotClaims
from trivet_common.pool.places import PoolPlaces


@pytest.fixture
def places(tmp_path: Path) -> PoolPlaces:
    return PoolPlaces(tmp_path)


def on_board(places: PoolPlaces, slots: int = 2) -> PoolWorker:
    found = worker(7, release(threads=slots))
    found.board = os.open(places.board(7), os.O_RDONLY)
    return found


def test_claim_rows_are_copies_of_the_words(places: PoolPlaces) -> None:
    board = Board.create(places.board(7), 7, 2, 0)
    SlotClaims(board.words(1)).become_idle(5)
    SlotClaims(board.words(1)).commit(99)
    found = claim_rows(on_board(places))
    assert [(incarnation, slot, words[NUMBER]) for incarnation, slot, words in found] == [
        (7, 0, 1),
        (7, 1, 2),
    ]


def test_a_worker_that_is_not_ready_has_no_tokens_and_still_its_rows(places: PoolPlaces) -> None:
    board = Board.create(places.board(7), 7, 2, 0)
    board.slot(1).words[DEADLINE] = 5
    found = on_board(places)
    found.state = WorkerState.RETIRING
    assert claim_rows(found) == []
    assert [row[DEADLINE] for row in rows(found)] == [0, 5]


@pytest.mark.parametrize("size", [0, 8, HEADER_WORDS * 8, (HEADER_WORDS + ROW_WORDS) * 8])
def test_a_board_that_was_cut_has_none(places: PoolPlaces, size: int) -> None:
    Board.create(places.board(7), 7, 2, 0)
    found = on_board(places)
    os.truncate(places.board(7), size)
    assert claim_rows(found) == rows(found) == []
    assert last_words(found, places) == ""
    assert views(found, places) == ()
    assert busy(found) == 0


def test_last_words_are_of_what_ran(places: PoolPlaces) -> None:
    board = Board.create(places.board(7), 7, 2, 0)
    row, claims = board.slot(1), SlotClaims(board.words(1))
    found = on_board(places)
    assert last_words(found, places) == ""
    claims.become_idle(1)
    claims.commit(5)
    row.show(b"GET", b"/x", b"id-1", 1)
    claims.enter()
    assert last_words(found, places) == " while it ran GET /x (request id-1)"
    assert busy(found) == 1
    assert not has_answered(found, places)
    row.clear()
    assert has_answered(found, places)


def test_a_board_that_says_it_has_more_slots_is_not_believed(places: PoolPlaces) -> None:
    Board.create(places.board(7), 7, 5, 0)
    found = on_board(places, slots=2)
    assert len(views(found, places)) == len(rows(found)) == 2


def test_a_board_whose_name_is_gone_is_removed(places: PoolPlaces) -> None:
    Board.create(places.board(7), 7, 1, 0)
    found = on_board(places, slots=1)
    assert not is_removed(found.board)
    places.board(7).unlink()
    assert is_removed(found.board)
    assert not is_removed(-1)
