import os
from pathlib import Path

import pytest

from trivet_proxy.front_board import FrontRow, read_front_board


def test_each_process_has_its_row(tmp_path: Path) -> None:
    path = tmp_path / "front.board"
    first, second = FrontRow(path, 0), FrontRow(path, 3)
    first.show(2, 123, 10, 4, 1000)
    second.show(0, 0, 1, 1, 5)
    rows = read_front_board(path)
    assert [row.process for row in rows] == [0, 3]
    assert rows[0][1:] == (os.getpid(), 2, 123, 10, 4, 1000)
    assert rows[1][1:] == (os.getpid(), 0, 0, 1, 1, 5)
    first.clear()
    assert [row.process for row in read_front_board(path)] == [3]


def test_a_successor_begins_at_nought(tmp_path: Path) -> None:
    path = tmp_path / "front.board"
    FrontRow(path, 0).show(2, 123, 10, 4, 1000)
    FrontRow(path, 0)
    assert read_front_board(path)[0][2:] == (0, 0, 0, 0, 0)


@pytest.mark.parametrize("content", [b"", b"x" * 9, b"\0" * 4096])
def test_a_file_that_is_no_board_has_no_rows(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "front.board"
    path.write_bytes(content)
    assert read_front_board(path) == []


def test_what_is_spooled_is_counted_over_all(tmp_path: Path) -> None:
    path = tmp_path / "front.board"
    first, second = FrontRow(path, 0), FrontRow(path, 3)
    first.note_spooled(1000)
    second.note_spooled(24)
    assert first.spooled() == second.spooled() == 1024
    FrontRow(path, 3)  # the successor of one that was killed
    assert first.spooled() == 1000
    first.clear()
    assert second.spooled() == 0
