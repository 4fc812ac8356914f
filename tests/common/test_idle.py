"""The idle FIFO: order, emptiness, rubbish, a full pipe, and a file that is none."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet_common.pool.idle import TOKEN_SIZE, IdleFifo, Token


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[IdleFifo]:
    os.mkfifo(tmp_path / "idle.fifo")
    fifo = IdleFifo(tmp_path / "idle.fifo")
    yield fifo
    fifo.close()


def test_first_idle_first_used(fifo: IdleFifo) -> None:
    assert fifo.is_empty()
    tokens = [Token(0, 1, 1), Token(65535, 2**32 - 1, 2**64 - 1), Token(3, 4, 5)]
    assert all(map(fifo.try_write, tokens))
    assert not fifo.is_empty()
    assert [fifo.try_read() for _ in range(4)] == [*tokens, None]
    assert fifo.is_empty()


def test_tokens_are_shared_by_all_who_have_it_open(fifo: IdleFifo, tmp_path: Path) -> None:
    other = IdleFifo(tmp_path / "idle.fifo")
    fifo.try_write(Token(1, 2, 3))
    assert other.try_read() == Token(1, 2, 3)
    assert fifo.try_read() is None
    other.close()
    assert fifo.try_write(Token(1, 2, 3))  # no end of file, no broken pipe


@pytest.mark.parametrize("rubbish", [b"x", b"x" * 15, b"x" * 16, b"x" * 16_001, bytes(64)])
def test_rubbish_is_thrown_away_with_what_it_may_have_shifted(fifo: IdleFifo, rubbish: bytes) -> None:
    fifo.try_write(Token(1, 1, 1))
    os.write(fifo.fileno(), rubbish)
    fifo.try_write(Token(2, 1, 1))
    assert fifo.try_read() == Token(1, 1, 1)
    assert fifo.try_read() is None
    assert fifo.is_empty()
    fifo.try_write(Token(3, 1, 1))
    assert fifo.try_read() == Token(3, 1, 1)


def test_a_full_pipe_is_no_error(fifo: IdleFifo) -> None:
    written = 0
    while fifo.try_write(Token(0, 1, written)):
        written += 1
    assert written * TOKEN_SIZE == 65536
    assert fifo.try_read() == Token(0, 1, 0)


def test_a_flood_of_rubbish_holds_nobody(fifo: IdleFifo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "read", lambda fd, size: b"x" * size)
    assert fifo.try_read() is None


def test_what_is_no_fifo_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    before = len(os.listdir("/proc/self/fd"))
    for name in ("file", "link", "missing"):
        with pytest.raises(OSError):
            IdleFifo(tmp_path / name)
    assert len(os.listdir("/proc/self/fd")) == before
