"""Descriptors from others: kept out where the kernel can, every one seen, none closed in our thread."""

import contextlib
import os
import socket
import struct
import threading
import time

import pytest

from tests.common.lingering import LONG, lingering
from trivet_common.foreign import MOST, Closer, receive, refuse_descriptors

pytestmark = pytest.mark.skipif(not hasattr(socket, "MSG_CMSG_CLOEXEC"), reason="Linux")


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close(), theirs.close()


def test_a_close_that_lingers_holds_nobody_up() -> None:
    closer = Closer()
    with lingering() as sock:
        fd, started = sock.detach(), time.monotonic()
        closer.close(fd)
        assert time.monotonic() - started < LONG / 4
        wait_until_closed(fd)


def test_a_few_stuck_threads_are_all_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, threads = threading.Event(), []

    def close(fd: int) -> None:
        threads.append(threading.current_thread())
        stuck.wait(10)

    monkeypatch.setattr("trivet_common.foreign._close", close)
    closer = Closer()
    for number in range(100):
        assert closer.is_full == (number >= 68)
        closer.close(number)
    assert len(set(threads)) <= 4
    stuck.set()
    deadline = time.monotonic() + 10
    while "0 threads, 0 waiting" not in repr(closer):
        assert time.monotonic() < deadline, closer
        time.sleep(0.01)
    assert len(threads) == 100


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    works = []

    def start(work):
        works.append(work)
        if len(works) == 1:
            raise RuntimeError("can't start new thread")

    closer = Closer(start)
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(2)]
    closer.close(fds[0])
    closer.close(fds[1])
    works[1]()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)


def test_all_that_the_kernel_lets_through_are_seen(pair) -> None:
    ours, theirs = pair
    fd = os.open("/dev/null", os.O_RDONLY)
    socket.send_fds(theirs, [b"x"], [fd] * MOST)
    os.close(fd)
    data, fds, is_lost = receive(ours, 10)
    assert (data, len(fds), is_lost) == (b"x", MOST, False)
    assert not any(map(os.get_inheritable, fds))
    for fd in fds:
        os.close(fd)


def test_what_there_was_no_room_for_is_known(pair) -> None:
    resource = pytest.importorskip("resource")
    ours, theirs = pair
    with open("/dev/null") as file:
        socket.send_fds(theirs, [b"x"], [file.fileno()])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (theirs.fileno() + 1, limits[1]))
    try:
        fillers = []
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        got = receive(ours, 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in fillers:
            os.close(fd)
    assert got == (b"x", [], True)


def test_where_none_are_wanted_none_can_be_sent(pair) -> None:
    ours, theirs = pair
    if not refuse_descriptors(ours):
        pytest.skip("Linux before 6.16")
    with pytest.raises(PermissionError):
        socket.send_fds(theirs, [b"x"], [0])
    assert refuse_descriptors(ours, False)
    socket.send_fds(theirs, [b"x"], [theirs.fileno()])
    for fd in receive(ours, 10)[1]:
        os.close(fd)


def test_a_listener_passes_it_on(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        if not refuse_descriptors(listener):
            pytest.skip("Linux before 6.16")
        listener.bind(str(tmp_path / "sock"))
        listener.listen()
        client.connect(str(tmp_path / "sock"))
        with listener.accept()[0], pytest.raises(PermissionError):
            socket.send_fds(client, [b"x"], [0])


def test_an_old_kernel_says_so() -> None:
    with socket.socket() as no_unix_socket:
        no_unix_socket.close()
        assert not refuse_descriptors(no_unix_socket)


def wait_until_closed(fd: int) -> None:
    deadline = time.monotonic() + 10
    with contextlib.suppress(OSError):
        while True:
            os.fstat(fd)
            assert time.monotonic() < deadline, "it was never closed"
            time.sleep(0.01)


def test_the_trap_is_one() -> None:
    """A bare close of it does wait: the tests that use it would prove nothing else."""
    with lingering() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1))
        started = time.monotonic()
        sock.close()
        assert time.monotonic() - started > 0.5
