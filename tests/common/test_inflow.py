"""Who has been let in is accepted; who comes later is not heard, and then refused."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet_common import inflow


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def listening(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family, host = request.param
    try:
        with socket.create_server((host, 0), family=family) as found:
            yield found
    except OSError:
        pytest.skip("no IPv6 here")


def connect(listening: socket.socket, seconds: float = 5.0) -> socket.socket:
    return socket.create_connection(listening.getsockname()[:2], seconds)


def test_who_came_before_is_served_and_nobody_else_comes_in(listening: socket.socket) -> None:
    with connect(listening) as early:
        assert inflow.end(listening)
        with pytest.raises(TimeoutError):
            connect(listening, 0.2)
        accepted, _ = listening.accept()
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
        with accepted:
            early.sendall(b"a" * 100_000)
            got = accepted.recv(100_000, socket.MSG_WAITALL)
            accepted.sendall(got)
            assert early.recv(100_000, socket.MSG_WAITALL) == b"a" * 100_000


def test_who_comes_meanwhile_is_refused_in_the_end(listening: socket.socket) -> None:
    inflow.end(listening)
    found: list[str] = []

    def come() -> None:
        try:
            connect(listening).close()
        except OSError as error:
            found.append(type(error).__name__)

    late = threading.Thread(target=come)
    late.start()
    time.sleep(0.1)  # its first word is lost by now, or is not: the same comes of it
    listening.shutdown(socket.SHUT_RDWR)
    late.join(5)
    assert found == ["ConnectionRefusedError"]


def test_of_others_there_is_no_such_thing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        assert not inflow.end(sock)
    closed = socket.socket()
    closed.close()
    assert not inflow.end(closed)
