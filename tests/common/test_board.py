"""Boards: whole words under the eyes of other processes, and files that are no boards."""

import os
import time
from pathlib import Path

import pytest

from trivet_common.pool.board import (
    DEADLINE,
    H_SLOTS,
    HEADER_WORDS,
    NONCE,
    NUMBER,
    ROW_WORDS,
    SEQUENCE,
    STATE,
    TIMEOUTS,
    Board,
    BoardError,
    SlotState,
    read_board,
)

ONES, TWOS = 0x1111111111111111, 0x2222222222222222


def test_a_fresh_board(tmp_path: Path) -> None:
    path = tmp_path / "w7.board"
    Board.create(path, 7, 3, 99)
    view = read_board(path)
    assert (view.incarnation, view.pid, view.started, len(view.slots)) == (7, os.getpid(), 99, 3)
    assert {(slot.number, slot.state, slot.done, slot.path) for slot in view.slots} == {
        (1, SlotState.STARTING, 0, "")
    }
    assert os.listdir(tmp_path) == ["w7.board"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_slot_writes_is_seen_by_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "w1.board"
    board, reader = Board.create(path, 1, 2, 0), None
    reader = Board.open(path)
    board.slot(1).words[NONCE] = 2**64 - 1
    assert reader.words(1)[NONCE] == 2**64 - 1
    assert reader.words(0)[NONCE] == 0
    path.unlink()
    board.slot(1).words[NUMBER] = 5
    assert reader.words(1)[NUMBER] == 5  # last words of one that is gone
    with pytest.raises(TypeError):
        reader.words(0)[NUMBER] = 1
    for slot in (-1, 2, 10**9):
        with pytest.raises(IndexError):
            reader.words(slot)


def test_requests_are_shown_cut_and_kept_as_last_words(tmp_path: Path) -> None:
    path = tmp_path / "w1.board"
    row = Board.create(path, 1, 1, 0).slot(0)
    row.show(b"PROPFIND" * 9, b"/" + b"x" * 5000, b"r" * 500, 7)
    shown = read_board(path).slots[0]
    assert shown.method == ("PROPFIND" * 2)
    assert shown.path == "/" + "x" * (len(shown.path) - 1)
    assert 100 < len(shown.path) < ROW_WORDS * 8
    assert shown.request_id == "r" * 64
    assert shown.since == 7
    row.clear()
    row.show(b"GET", b"/short", b"", 8)
    row.clear()
    shown = read_board(path).slots[0]
    assert (shown.method, shown.path, shown.request_id) == ("GET", "/short", "")
    assert (shown.since, shown.done) == (0, 2)


def test_deadline_and_queue_time_are_shown_for_as_long_as_they_mean_something(tmp_path: Path) -> None:
    path = tmp_path / "w1.board"
    row = Board.create(path, 1, 1, 0).slot(0)
    row.show(b"GET", b"/a?b", b"id-1", 7, 1500)
    row.words[DEADLINE], row.words[TIMEOUTS] = 99, 2
    shown = read_board(path).slots[0]
    assert (shown.deadline, shown.timeouts, shown.queued) == (99, 2, 1500)
    assert row.shown() == "GET /a?b id-1"
    row.clear()
    shown = read_board(path).slots[0]
    assert (shown.deadline, shown.timeouts, shown.queued) == (0, 2, 1500)


def test_a_text_that_is_being_written_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "w1.board"
    board = Board.create(path, 1, 1, 0)
    row = board.slot(0)
    row.show(b"GET", b"/a", b"id", 1)
    row.words[SEQUENCE] += 1
    assert read_board(path).slots[0].path == ""
    assert read_board(path).slots[0].number == 1


def test_a_reader_sees_only_what_was_written(tmp_path: Path) -> None:
    """Another process writes two values in turns; never is any other seen, by mapping or by pread."""
    path = tmp_path / "w1.board"
    board = Board.create(path, 1, 2, 0)
    words = board.slot(1).words
    words[NONCE] = ONES
    child = os.fork()
    if child == 0:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            for _ in range(2000):
                words[NONCE] = TWOS
                words[NONCE] = ONES
        os._exit(0)
    try:
        mapped = Board.open(path).words(1)
        seen = set()
        for _ in range(30_000):
            seen.add(mapped[NONCE])
        for _ in range(3000):
            seen.add(read_board(path).slots[1].nonce)
        assert seen == {ONES, TWOS}
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@pytest.mark.parametrize("size", [0, 7, 63])
def test_too_short_for_a_board(tmp_path: Path, size: int) -> None:
    path = tmp_path / "w1.board"
    path.write_bytes(bytes(size))
    for read in (read_board, Board.open):
        with pytest.raises(BoardError, match="too short"):
            read(path)


@pytest.mark.parametrize("word", [0, 2])
@pytest.mark.parametrize("value", [0, 2**64 - 1, 70_000])
def test_other_magic_or_an_impossible_count_is_no_board(tmp_path: Path, word: int, value: int) -> None:
    path = tmp_path / "w1.board"
    Board.create(path, 1, 1, 0)
    with open(path, "r+b") as file:
        file.seek(word * 8)
        file.write(value.to_bytes(8, "little"))
    for read in (read_board, Board.open):
        with pytest.raises(BoardError, match="not a board"):
            read(path)


def test_cut_short_before_and_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w1.board"
    Board.create(path, 1, 4, 0)
    pread = os.pread

    def cutting(fd: int, size: int, offset: int) -> bytes:
        data = pread(fd, size, offset)
        if offset:
            os.truncate(path, (HEADER_WORDS + ROW_WORDS) * 8 + 100)
        return data

    monkeypatch.setattr(os, "pread", cutting)
    assert [slot.number for slot in read_board(path).slots] == [1, 1, 0, 0]
    monkeypatch.undo()
    for read in (read_board, Board.open):
        with pytest.raises(BoardError, match="not a board"):
            read(path)


def test_a_state_nobody_knows_is_shown_as_starting(tmp_path: Path) -> None:
    path = tmp_path / "w1.board"
    Board.create(path, 1, 1, 0).slot(0).words[STATE] = 77
    assert read_board(path).slots[0].state is SlotState.STARTING


def test_what_stands_in_its_place_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    for name in ("fifo", "link", "missing", "."):
        for read in (read_board, Board.open):
            with pytest.raises(OSError):
                read(tmp_path / name)


def test_no_room_leaves_no_half_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No space"):
        Board.create(tmp_path / "w1.board", 1, 1, 0)
    assert not (tmp_path / "w1.board").exists()
    assert len(os.listdir("/proc/self/fd")) <= before  # what others left may be collected meanwhile


def test_its_worker_keeps_no_descriptor_of_it(tmp_path: Path) -> None:
    """Through one, an application of another user could shorten the file and kill who has it mapped."""
    board = Board.create(tmp_path / "w7.board", 7, 2, 0)
    assert board.incarnation == 7
    links = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
    assert str(tmp_path / "w7.board") not in links


def test_a_worker_cannot_grow_it_behind_a_readers_back() -> None:
    """Between the check of the header and its use; readers index by what it says."""
    words = memoryview(bytearray((HEADER_WORDS + 2 * ROW_WORDS) * 8)).cast("Q")
    words[H_SLOTS] = 1000
    board = Board(words.cast("B"), 0)
    assert board.slots == 2
    assert board.words(1)[NUMBER] == 0
    with pytest.raises(IndexError):
        board.words(2)
