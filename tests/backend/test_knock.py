"""A question at a slot's door, with sockets in the place of slots, and with a slot."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backend.crews import Timers
from trivet_backend import knock as room
from trivet_backend.knock import knock
from trivet_common.http1.collector import HeadLimits
from trivet_common.http1.request import RequestReader
from trivet_common.pool.claims import Claim


@pytest.fixture
def door(tmp_path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "w1.0.sock"))
    return listener


def asked(path: Path, answer: Callable[[], None] = lambda: None) -> bool:
    timers, heard = Timers(), []
    knock(path, timers.call_later, heard.append)
    assert heard == []
    answer()
    timers.fire()
    (is_there,) = heard
    return is_there


def test_who_answers_is_there(tmp_path: Path, door: socket.socket) -> None:
    with door:
        door.listen()

        def answer() -> None:
            guest, _ = door.accept()
            with guest:
                head = RequestReader(HeadLimits()).feed(guest.recv(4096))
                assert head is not None
                assert Claim.parse(dict(head.headers)[b"trivet-claim"]) == (0, 0, 0)  # numbers begin with 1
                guest.sendall(b"HTTP/1.1 409 Conflict\r\n\r\n")

        assert asked(tmp_path / "w1.0.sock", answer)


@pytest.mark.parametrize("backlog", [None, 0, 8])
def test_who_does_not_is_not(tmp_path: Path, door: socket.socket, backlog: int | None) -> None:
    """Nobody listens; the backlog is full; nobody accepts."""
    path = tmp_path / "w1.0.sock"
    with door, socket.socket(socket.AF_UNIX) as other:
        if backlog is not None:
            door.listen(backlog)
            other.connect(str(path))
        assert not asked(path)
    path.unlink()
    assert not asked(path)


def test_without_a_descriptor_nobody_is_accused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(room.socket, "socket", none_left)
    assert asked(tmp_path / "w1.0.sock")
