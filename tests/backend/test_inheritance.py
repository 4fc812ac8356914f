"""What a fork would inherit, in words."""

import os
import socket
import threading
from pathlib import Path

import pytest

from trivet_backend.inheritance import InheritanceError, describe_socket, open_sockets, refuse_threads


def test_one_thread_is_nothing_to_refuse() -> None:
    """In a child: whoever runs the tests may have threads."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            refuse_threads()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_second_thread_is_named() -> None:
    leave = threading.Event()

    def fetch() -> None:
        leave.wait(10)

    class Poller(threading.Thread):
        def run(self) -> None:
            leave.wait(10)

    threads = [threading.Thread(target=fetch, name="fetcher"), Poller(name="poller")]
    for thread in threads:
        thread.start()
    try:
        with pytest.raises(InheritanceError) as found:
            refuse_threads()
    finally:
        leave.set()
        for thread in threads:
            thread.join()
    assert f"the thread 'fetcher' ({__name__}.test_a_second_thread_is_named.<locals>.fetch)" in str(
        found.value
    )
    assert f"the thread 'poller' ({__name__}." in str(found.value)
    assert "post_fork" in str(found.value)


def test_sockets_are_found_and_described(tmp_path: Path) -> None:
    before = set(open_sockets())
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(tmp_path / "x.sock"))
        ours, theirs = socket.socketpair()
        with socket.create_connection(server.getsockname()) as client, ours, theirs:
            port = server.getsockname()[1]
            assert set(open_sockets()) - before == {
                sock.fileno() for sock in (server, bound, client, ours, theirs)
            }
            assert describe_socket(client.fileno()) == f"a connection to 127.0.0.1:{port}"
            assert describe_socket(server.fileno()) == f"a socket at 127.0.0.1:{port}"
            assert describe_socket(bound.fileno()) == f"a socket at {tmp_path}/x.sock"
            assert describe_socket(ours.fileno()) == "a connection to no address"
    assert set(open_sockets()) == before
