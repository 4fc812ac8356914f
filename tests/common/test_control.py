"""The control socket, and those who ask nothing, half, too much, or never listen to the answer."""

import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet_common import control
from trivet_common.asking import ask
from trivet_common.control import ControlServer, Reply
from trivet_common.loop import Loop

ANSWER = {"ok": True, "what": "é" * 10}


class Desk:
    """A control server in a loop that the test turns itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop = Loop()
        self.server = ControlServer(path)
        self.asked: list[dict[str, Any]] = []
        self.replies: list[Reply] = []
        self.answer: dict[str, Any] | None = ANSWER
        self.server.attach(self.loop, self._answer)

    def _answer(self, request: dict[str, Any], reply: Reply) -> None:
        self.asked.append(request)
        self.replies.append(reply)
        if self.answer is not None:
            reply.finish(self.answer)

    def turn_until(self, is_true: Callable[[], bool]) -> None:
        until = time.monotonic() + 5
        while not is_true():
            assert time.monotonic() < until
            self.loop.call_later(0.01, lambda: None)
            self.loop.turn()

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(5)
        client.connect(str(self.path))
        return client

    def hear(self, client: socket.socket) -> bytes:
        """All that a client is told, to the end."""
        heard = bytearray()
        client.setblocking(False)

        def is_over() -> bool:
            try:
                data = client.recv(65536)
            except BlockingIOError:
                return False
            except ConnectionError:
                data = b""
            heard.extend(data)
            return not data

        self.turn_until(is_over)
        client.close()
        return bytes(heard)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "control.sock")
    yield desk
    desk.server.close()
    desk.loop.close()


def test_ask_and_be_answered(desk: Desk) -> None:
    answers: list[dict[str, Any]] = []
    asker = threading.Thread(target=lambda: answers.append(ask(desk.path, {"do": "status"}, 5)))
    asker.start()
    desk.turn_until(lambda: bool(answers))
    asker.join(5)
    assert answers == [ANSWER]
    assert desk.asked == [{"do": "status"}]


def test_a_line_may_come_in_pieces_and_with_a_half_close(desk: Desk) -> None:
    client = desk.connect()
    for piece in (b'{"do": ', b'"status"', b"}\n"):
        client.send(piece)
        desk.loop.turn()
    client.shutdown(socket.SHUT_WR)
    assert json.loads(desk.hear(client)) == ANSWER


@pytest.mark.parametrize("line", [b"hello\n", b"[]\n", b"\n", b"1\n", b"[" * 4000 + b"\n", b"\xff\xfe\n"])
def test_what_is_no_request_is_answered_so(desk: Desk, line: bytes) -> None:
    client = desk.connect()
    client.send(line)
    assert "one line of JSON" in json.loads(desk.hear(client))["problem"]
    assert desk.asked == []


@pytest.mark.parametrize("said", [b"", b'{"do"', b"x" * 5000, b"x" * 5000 + b"\n"])
def test_one_who_leaves_or_says_too_much_is_let_go(desk: Desk, said: bytes) -> None:
    client = desk.connect()
    client.send(said)
    client.shutdown(socket.SHUT_WR)
    assert desk.hear(client) == b""
    assert desk.asked == []
    assert "askers=0" in repr(desk.server)


def test_one_who_says_nothing_is_let_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_PATIENCE", 0.05)
    silent, half = desk.connect(), desk.connect()
    half.send(b'{"do": "sta')
    assert desk.hear(silent) == desk.hear(half) == b""


def test_one_who_never_reads_holds_nobody_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_PATIENCE", 0.2)
    desk.answer = {"ok": True, "much": "x" * 4_000_000}
    deaf = desk.connect()
    deaf.send(b"{}\n")
    began = time.monotonic()
    desk.turn_until(lambda: len(desk.asked) == 1)
    assert time.monotonic() - began < 0.15
    desk.answer = ANSWER
    other = desk.connect()
    other.send(b"{}\n")
    assert json.loads(desk.hear(other)) == ANSWER
    desk.turn_until(lambda: "askers=0" in repr(desk.server))
    deaf.close()


def test_a_long_answer_arrives_whole(desk: Desk) -> None:
    desk.answer = {"ok": True, "much": "x" * 4_000_000}
    client = desk.connect()
    client.send(b"{}\n")
    assert json.loads(desk.hear(client)) == desk.answer


def test_an_answer_may_come_late_once_and_to_nobody(desk: Desk) -> None:
    desk.answer = None
    patient, gone = desk.connect(), desk.connect()
    patient.send(b"{}\n")
    desk.turn_until(lambda: len(desk.replies) == 1)
    gone.send(b"{}\n")
    desk.turn_until(lambda: len(desk.replies) == 2)
    gone.close()
    for reply in desk.replies:
        reply.finish(ANSWER)
        reply.finish({"ok": False})
    assert json.loads(desk.hear(patient)) == ANSWER
    assert "askers=0" in repr(desk.server)


def test_progress_is_told_before_the_answer(desk: Desk) -> None:
    desk.answer = None
    steps: list[str] = []
    answers: list[Any] = []

    def wait_for_it() -> None:
        answers.append(ask(desk.path, {"do": "reload"}, 5, steps.append))

    asking = threading.Thread(target=wait_for_it)
    asking.start()
    desk.turn_until(lambda: bool(desk.replies))
    desk.replies[0].progress("1 of 2 workers")
    desk.turn_until(lambda: bool(steps))
    desk.replies[0].progress("2 of 2 workers")
    desk.replies[0].finish(ANSWER)
    desk.replies[0].progress("too late")
    desk.turn_until(lambda: bool(answers))
    asking.join(5)
    assert steps == ["1 of 2 workers", "2 of 2 workers"]
    assert answers == [ANSWER]
    assert desk.asked == [{"do": "reload", "progress": True}]


def test_who_did_not_ask_for_progress_hears_one_line(desk: Desk) -> None:
    desk.answer = None
    client = desk.connect()
    client.sendall(b'{"do": "reload"}\n')
    desk.turn_until(lambda: bool(desk.replies))
    desk.replies[0].progress("1 of 2 workers")
    desk.replies[0].finish(ANSWER)
    assert json.loads(desk.hear(client)) == ANSWER


def test_progress_nobody_reads_is_bounded_and_one_who_left_is_let_go(desk: Desk) -> None:
    desk.answer = None
    client = desk.connect()
    client.sendall(b'{"do": "reload", "progress": true}\n')
    desk.turn_until(lambda: bool(desk.replies))
    for _ in range(100):
        desk.replies[0].progress("x" * 60_000)
    desk.replies[0].finish(ANSWER)
    heard = desk.hear(client)
    assert len(heard) < 2_000_000
    assert json.loads(heard.splitlines()[-1]) == ANSWER
    gone = desk.connect()
    gone.sendall(b'{"do": "reload", "progress": true}\n')
    desk.turn_until(lambda: len(desk.replies) == 2)
    gone.close()
    for _ in range(3):
        desk.replies[1].progress("to nobody")
    desk.turn_until(lambda: "askers=0" in repr(desk.server))
    desk.replies[1].finish(ANSWER)


def test_there_is_room_for_so_many(desk: Desk) -> None:
    clients = [desk.connect() for _ in range(60)]
    desk.turn_until(lambda: "askers=60" in repr(desk.server))
    clients += [desk.connect() for _ in range(10)]
    assert desk.hear(clients.pop()) == b""
    assert "askers=64" in repr(desk.server)
    for client in clients:
        client.close()


def test_without_descriptors_it_rests_and_comes_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_REST", 0.05)
    accepts = []

    class Bare:
        def accept(self) -> None:
            accepts.append(1)
            raise OSError(errno.EMFILE, "Too many open files")

        def fileno(self) -> int:
            return real.fileno()

        def close(self) -> None:
            real.close()

    real, desk.server._listener = desk.server._listener, Bare()  # type: ignore[assignment]
    desk.loop.unwatch(real)
    desk.loop.watch(desk.server._listener, desk.server._accept)
    client = desk.connect()
    client.send(b"{}\n")
    for _ in range(3):
        desk.loop.call_later(0.0, lambda: None)
        desk.loop.turn()
    assert len(accepts) == 1
    desk.server._listener = real
    assert json.loads(desk.hear(client)) == ANSWER


def test_rights_and_removal(desk: Desk) -> None:
    assert desk.path.stat().st_mode & 0o777 == 0o600
    successor = ControlServer(desk.path)  # takes the path over
    desk.server.close()
    assert desk.path.exists()
    successor.close()
    assert not desk.path.exists()
    assert os.listdir(desk.path.parent) == []


def test_what_a_killed_master_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".control.sock.new").write_bytes(b"")
    (tmp_path / "control.sock").write_bytes(b"")
    ControlServer(tmp_path / "control.sock").close()
    assert os.listdir(tmp_path) == []
