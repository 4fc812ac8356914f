"""pool/queue_board.py: a row a process, for whoever counts; nothing in the file hurts reader or writer."""

import os
import struct
import time
from pathlib import Path

import pytest

from trivet_common.pool.places import PoolPlaces
from trivet_common.pool.queue_board import QueueCounts, QueueRow, make_queue_board, read_queue_board

COUNTS = QueueCounts(claims=10, late=1, retries=2, returns=3, timeouts=4, deaths=5, full=6, expired=7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "queue.board"
    make_queue_board(made)
    return made


def test_each_process_has_its_row(path: Path) -> None:
    now = time.monotonic_ns()
    first, third = QueueRow(path, 0, 3), QueueRow(path, 2, 3)
    first.show(2, now, COUNTS)
    third.show(0, 0, QueueCounts())
    rows = read_queue_board(path)
    assert [row.process for row in rows] == [0, 2]
    assert rows[0] == (0, os.getpid(), 2, now, COUNTS)
    assert rows[1] == (2, os.getpid(), 0, 0, QueueCounts())
    first.clear()
    assert [row.process for row in read_queue_board(path)] == [2]
    third.clear()
    assert read_queue_board(path) == []


def test_a_successor_takes_over_the_row_and_the_rows_nobody_will_have(path: Path) -> None:
    killed = [QueueRow(path, index, 4) for index in range(4)]
    for row in killed:
        row.show(5, time.monotonic_ns(), COUNTS)
    successor = QueueRow(path, 0, 2)
    assert [row.process for row in read_queue_board(path)] == [0, 1]
    successor.show(0, 0, QueueCounts())
    assert read_queue_board(path)[0][2:] == (0, 0, QueueCounts())


def test_one_that_is_silent_has_nobody_waiting(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    QueueRow(path, 0, 1).show(5, time.monotonic_ns(), COUNTS)
    later = time.monotonic_ns() + 4_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: later)
    assert read_queue_board(path) == [(0, os.getpid(), 0, 0, COUNTS)]


def test_a_board_that_comes_later_or_is_made_anew_is_found(tmp_path: Path) -> None:
    path = tmp_path / "queue.board"
    row = QueueRow(path, 0, 1)
    row.show(1, 2, COUNTS)
    assert read_queue_board(path) == []
    for _ in range(2):
        path.unlink(missing_ok=True)
        make_queue_board(path)
        row.refresh()
        row.show(0, 0, COUNTS)
        assert read_queue_board(path)[0].counts == COUNTS
    row.clear()


@pytest.mark.parametrize("content", [b"", b"x" * 9, b"\0" * 8192])
def test_a_file_that_is_no_board_has_no_rows(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "queue.board"
    path.write_bytes(content)
    assert read_queue_board(path) == []


def test_nonsense_is_only_nonsense(path: Path) -> None:
    path.write_bytes(struct.pack("=16Q", *(2**64 - 1 - word for word in range(16))) + b"half a row")
    (row,) = read_queue_board(path)
    assert (row.waiting, row.oldest_since) == (0, 0)
    path.unlink()
    os.mkfifo(path)
    assert read_queue_board(path) == []
    QueueRow(path, 0, 1).show(1, 1, COUNTS)


def test_a_file_that_is_shortened_kills_nobody(path: Path) -> None:
    row = QueueRow(path, 1, 2)
    row.show(1, 1, COUNTS)
    os.truncate(path, 0)
    row.show(0, 0, COUNTS)
    assert [found.process for found in read_queue_board(path)] == [1]


def test_it_is_made_with_the_pools_directory_and_goes_with_it(tmp_path: Path) -> None:
    for name, group, mode in (("one", None, 0o600), ("two", os.getgid(), 0o660)):
        places = PoolPlaces(tmp_path / name, group)
        places.create()
        QueueRow(places.queue_board, 0, 1).show(1, 1, COUNTS)
        places.create()  # adopted
        places.sweep()
        assert read_queue_board(places.queue_board)[0].counts == COUNTS
        assert places.queue_board.stat().st_mode & 0o777 == mode
        places.remove()
        assert not places.directory.exists()
