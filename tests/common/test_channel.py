"""Messages between a master and a child that may be dead, stopped or hostile."""

import contextlib
import os
import socket
import time

import pytest

from tests.common.lingering import LONG, lingering
from trivet_common.channel import Channel, ChannelClosed, wait_readable


def wait_for_descriptors(before: int) -> None:
    """Until there are no more: a thread closes what is not ours."""
    deadline = time.monotonic() + 10
    while len(os.listdir("/proc/self/fd")) > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("size", [0, 1, 32 * 1024 - 1, 32 * 1024, 3_000_000])
def test_messages_arrive_whole(size: int) -> None:
    ours, theirs = Channel.pair()
    message = os.urandom(size)
    ours.send(message)
    ours.send(b"next")
    assert theirs.receive() == message
    assert theirs.receive() == b"next"
    assert theirs.receive() is None
    ours.close(), theirs.close()


def test_the_end_is_told_after_the_last_words() -> None:
    ours, theirs = Channel.pair()
    theirs.send(b"failed because")
    theirs.close()
    assert ours.receive() == b"failed because"
    with pytest.raises(ChannelClosed):
        ours.receive()
    with pytest.raises(ChannelClosed):
        ours.send(b"hello")
    ours.close()
    with pytest.raises(ChannelClosed):
        ours.receive()
    assert ours.fileno() == -1


def test_one_who_does_not_read_is_not_waited_for() -> None:
    ours, theirs = Channel.pair()
    sent = 0
    with contextlib.suppress(ChannelClosed):
        while sent < 100_000:
            ours.send(b"drain")
            sent += 1
    assert 0 < sent < 100_000
    received = 0
    while theirs.receive() is not None:
        received += 1
    assert received == sent
    ours.send(b"there is room again")
    ours.close(), theirs.close()


def test_too_long_is_refused_where_it_is_sent() -> None:
    ours, theirs = Channel.pair()
    with pytest.raises(ChannelClosed, match="too long"):
        ours.send(bytes(64 * 1024 * 1024 + 1))
    assert theirs.receive() is None
    ours.close(), theirs.close()


def test_rubbish_and_descriptors_of_others_arrive_empty_and_leave_nothing_open() -> None:
    end, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(end)
    pipe_read, pipe_write = os.pipe()
    before = len(os.listdir("/proc/self/fd"))
    other.send(b"f")  # a file was promised, none came
    socket.send_fds(other, [b"f"], [pipe_read])  # reading it would wait for ever
    socket.send_fds(other, [b"iword"], [pipe_read])  # a descriptor nobody asked for
    other.send(b"\xff\0rubbish")
    assert [channel.receive() for _ in range(5)] == [b"", b"", b"word", b"", None]
    wait_for_descriptors(before)
    os.close(pipe_read), os.close(pipe_write)
    other.close(), channel.close()


def test_waiting_has_an_end() -> None:
    ours, theirs = Channel.pair()
    assert not wait_readable(ours, 0.01)
    theirs.send(b"x")
    assert wait_readable(ours, 5)
    theirs.close()
    assert wait_readable(ours, None)
    ours.close()


def test_last_words_are_heard_of_one_who_did_not_listen() -> None:
    ours, theirs = Channel.pair()
    ours.send(b"reopen")
    theirs.send(b"failed because")
    theirs.close()
    assert ours.receive() == b"failed because"
    with pytest.raises(ChannelClosed):
        ours.receive()
    ours.close()


def test_descriptors_are_sent_along_and_stay_the_senders_too() -> None:
    ours, theirs = Channel.pair()
    reader, writer = os.pipe()
    ours.send_fds(b"birth 7 /healthz", [writer])
    ours.send(b"quit")
    os.close(writer)
    message, fds = theirs.receive_fds()
    assert message == b"birth 7 /healthz"
    os.write(fds[0], b"x")
    assert os.read(reader, 1) == b"x"
    assert not os.get_inheritable(fds[0])
    assert theirs.receive_fds() == (b"quit", [])
    ours.close()
    with pytest.raises(ChannelClosed):
        theirs.receive_fds()
    for fd in (reader, *fds):
        os.close(fd)
    theirs.close()


def test_one_who_expects_none_is_left_with_none() -> None:
    ours, theirs = Channel.pair()
    before = len(os.listdir("/proc/self/fd"))
    ours.send_fds(b"birth 7", [0])
    assert theirs.receive() == b""
    wait_for_descriptors(before)
    ours.close(), theirs.close()
    with pytest.raises(ChannelClosed):
        ours.send_fds(b"birth 7", [0])


def test_only_files_in_memory_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of a FUSE that a worker's user has mounted could hold its master for ever."""
    ours, theirs = Channel.pair()
    with open(__file__, "rb") as file:
        socket.send_fds(ours._socket, [b"f"], [file.fileno()])
    monkeypatch.setattr("trivet_common.channel.os.fstat", None)  # nor even looked at
    assert theirs.receive() == b""
    monkeypatch.undo()
    ours.close(), theirs.close()


def test_more_than_the_hearer_wants_is_cut() -> None:
    ours, theirs = Channel.pair()
    ours.send(b"x" * 100_000)
    assert theirs.receive(50_000) == b"x" * 50_000
    ours.close(), theirs.close()


@pytest.mark.parametrize("is_read", [True, False])
def test_a_socket_that_lingers_stops_no_master(is_read: bool) -> None:
    """A worker may send one in a message, and end before it is read."""
    ours, theirs = Channel.pair()
    with lingering() as trap:
        theirs.send(b"before")
        theirs.send_fds(b"x", [trap.fileno()])
        theirs.send_fds(b"x", [trap.fileno()] * 3)
        theirs.close()
        trap.close()
        started = time.monotonic()
        if is_read:
            assert [ours.receive() for _ in range(3)] == [b"before", b"", b""]
        ours.end()
        assert time.monotonic() - started < LONG / 4
    assert ours.fileno() == -1
