"""A pool in a few words, from what stands in its folder."""

from pathlib import Path

from trivet_common.pool.board import STATE, Board, SlotState
from trivet_common.pool.figures import figures
from trivet_common.pool.places import PoolPlaces


def test_slots_of_all_workers_are_counted(tmp_path: Path) -> None:
    places = PoolPlaces(tmp_path / "web")
    places.create()
    assert figures(places) == "no slot yet"
    for incarnation, states in enumerate([(SlotState.IDLE, SlotState.RUNNING), (SlotState.RETIRING,) * 2], 1):
        board = Board.create(places.board(incarnation), incarnation, 2, 99)
        for slot, state in enumerate(states):
            board.words(slot)[STATE] = state
    assert figures(places) == "1 of 2 slots busy, 0 waiting, 0 served"


def test_what_is_no_board_counts_nothing(tmp_path: Path) -> None:
    places = PoolPlaces(tmp_path / "web")
    places.create()
    places.board(1).write_bytes(b"no board")
    assert figures(places) == "no slot yet"
