"""A place is made by one process and taken by another; what is open in which is seen in /proc."""

import os
import socket
import stat
from pathlib import Path

import pytest

from trivet_backend.place import Berth
from trivet_common.pool.board import SlotState, read_board
from trivet_common.pool.idle import IdleFifo, Token
from trivet_common.pool.places import PoolPlaces


@pytest.fixture
def places(tmp_path: Path) -> PoolPlaces:
    found = PoolPlaces(tmp_path / "web")
    found.create()
    return found


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_a_place_is_complete_before_anyone_takes_it(places: PoolPlaces) -> None:
    berth = Berth.make(places, 7, 2)
    board = read_board(places.board(7))
    assert (board.incarnation, board.pid, len(board.slots)) == (7, 0, 2)
    assert all(row.number == 1 and row.state is SlotState.STARTING for row in board.slots)
    files = [places.board(7), places.slot_socket(7, 0), places.slot_socket(7, 1)]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 3
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(os.fspath(places.slot_socket(7, 0)))
    berth.close()


def test_whoever_takes_it_is_its_worker(places: PoolPlaces) -> None:
    before = open_files()
    place = Berth.make(places, 7, 2).take()
    assert read_board(places.board(7)).pid == os.getpid()
    assert [sock.getsockname() for sock in place.listeners] == [
        os.fspath(places.slot_socket(7, slot)) for slot in range(2)
    ]
    place.board.slot(1).clear()
    assert read_board(places.board(7)).slots[1].done == 1
    other = IdleFifo(places.idle_fifo)
    place.fifo.try_write(Token(1, 7, 5))
    assert other.try_read() == Token(1, 7, 5)
    # Two sockets and the FIFO twice: the board stays mapped without a descriptor.
    assert len(open_files() - before) == 4
    for sock in place.listeners:
        sock.close()
    place.fifo.close()
    other.close()
    assert open_files() == before


def test_a_place_that_is_closed_leaves_nothing_open(places: PoolPlaces) -> None:
    before = open_files()
    berth = Berth.make(places, 7, 3)
    assert len(open_files() - before) == len(berth.fds()) == 5
    berth.close()
    berth.close()
    assert open_files() == before


def test_a_place_that_cannot_be_made_leaves_nothing(places: PoolPlaces) -> None:
    before = open_files()
    places.slot_socket(7, 1).touch()
    with pytest.raises(OSError, match="in use"):
        Berth.make(places, 7, 2)
    assert open_files() == before
    assert places.incarnations() == []
