"""A slot hands an open file over: it is sent whole from here; whatever else comes costs only this answer."""

import contextlib
import os
import socket
import threading
import time

import pytest
import trio

from tests.common.lingering import LONG, lingering
from tests.proxy.fakes_pool import OK, PATIENCE, FakeClient, FakePool, Process
from trivet_common import foreign
from trivet_common.http1.errors import HttpError
from trivet_common.pool.handover import MARK
from trivet_proxy.dispatch import slot_wire
from trivet_proxy.dispatch.exchange import Exchange

DATA = os.urandom(200_000)
REST = len(DATA) - 1000
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ntrivet-file: %b\r\ncontent-length: %d\r\n\r\n"


@pytest.fixture
def pool(tmp_path):
    pool = FakePool(tmp_path / "web")
    yield pool
    pool.close()


@pytest.fixture
async def dispatch(tmp_path, nursery, pool):
    process = Process(tmp_path)
    nursery.start_soon(process.deadlines.run)
    dispatch = process.dispatch(pool)
    nursery.start_soon(dispatch.run)
    dispatch.process = process
    yield dispatch
    process.close()


@pytest.fixture
def file(tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    yield fd
    os.close(fd)


async def ask(dispatch):
    client = FakeClient(dispatch.process)
    answer = bytearray()

    async def read() -> None:
        while not answer.endswith(DATA[-100:]):
            answer.extend(await trio.to_thread.run_sync(client.theirs.recv, 65536, abandon_on_cancel=True))

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await Exchange(dispatch, client.request, client.writer).run()
    return bytes(answer)


def handing(fd, offset=b"1000", count=REST, mark=MARK):
    def act(peer, asked):
        peer.send(HEAD % (offset, count))
        assert peer.sock.recv(10) == MARK
        socket.send_fds(peer.sock, [mark], [fd])
        return b""  # idle again, with nothing more to say

    return act


async def test_it_is_sent_from_where_it_stands_and_the_link_is_kept(pool, dispatch, file):
    slot = pool.worker(handing(file))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        head, _, body = (await ask(dispatch)).partition(b"\r\n\r\n")
        assert body == DATA[1000:]
        assert b"trivet" not in head
        assert b"content-type: a/b" in head
    assert slot.connections == 1
    assert len(os.listdir("/proc/self/fd")) <= before + 8


async def fail(dispatch):
    client = FakeClient(dispatch.process)
    with pytest.raises(HttpError) as caught, trio.fail_after(PATIENCE):
        await Exchange(dispatch, client.request, client.writer).run()
    assert not client.writer.started or client.writer.take_back()
    return caught.value.why


async def test_what_is_no_file_is_not_read(pool, dispatch, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    fifo = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    pool.worker(handing(fifo))
    assert await fail(dispatch) == "upstream_bad"
    os.close(fifo)


def dying(peer, asked):
    peer.send(HEAD % (b"0", 100_000))
    peer.sock.recv(10)
    peer.sock.shutdown(socket.SHUT_RDWR)


async def test_what_is_lost_meanwhile_is_asked_of_another_slot(pool, dispatch, file):
    """As whenever a worker dies before its client has seen a byte."""
    pool.worker(dying)
    pool.worker(handing(file))
    assert (await ask(dispatch)).endswith(DATA[1000:])


async def test_twice_is_too_much(pool, dispatch, file):
    pool.worker(dying)
    pool.worker(handing(file, mark=b"HTTP"))
    assert await fail(dispatch) == "worker_twice"


async def test_a_file_that_is_shorter_than_the_answer_promises(pool, dispatch, file):
    pool.worker(handing(file, count=len(DATA) * 2))
    assert await fail(dispatch) == "upstream_bad"


@pytest.mark.parametrize("offset", [b"0", b"9999999999999999999"])
async def test_a_length_nobody_can_have_keeps_nobody_busy(pool, dispatch, file, offset):
    pool.worker(handing(file, offset=offset, count=9 * 10**18))
    assert await fail(dispatch) == "upstream_bad"


async def test_an_answer_without_a_body_brings_no_file(pool, dispatch):
    pool.worker(lambda peer, asked: (HEAD % (b"0", 9 * 10**18)).replace(b"200 OK", b"304 Not Modified"))
    client = FakeClient(dispatch.process)
    with trio.fail_after(PATIENCE):
        await Exchange(dispatch, client.request, client.writer).run()
    assert client.writer.status == 304


@pytest.mark.parametrize("flags", [os.O_PATH, os.O_WRONLY])
async def test_a_file_that_is_not_open_for_reading(pool, dispatch, tmp_path, flags):
    (tmp_path / "file").write_bytes(DATA)
    fd = os.open(tmp_path / "file", flags)
    pool.worker(handing(fd))
    assert await fail(dispatch) == "upstream_bad"
    os.close(fd)


async def test_no_descriptor_left_is_no_death(pool, dispatch, file, monkeypatch):
    def receive(sock, count):
        data, fds, _ = foreign.receive(sock, count)
        for fd in fds:
            os.close(fd)
        return data, [], True

    monkeypatch.setattr(slot_wire, "receive", receive)
    pool.worker(handing(file))
    assert await fail(dispatch) == "no_descriptors"
    assert dispatch.tally.deaths == 0


async def test_a_slot_that_does_not_hand_it_over_is_late_and_not_dead(pool, dispatch, monkeypatch):
    monkeypatch.setattr("trivet_proxy.dispatch.handover._PATIENCE", 0.05)
    done = threading.Event()

    def act(peer, asked):
        peer.send(HEAD % (b"0", 100_000))
        peer.sock.recv(10)
        done.wait(PATIENCE)

    pool.worker(act)
    try:
        assert await fail(dispatch) == "deadline"
    finally:
        done.set()
    assert (dispatch.tally.deaths, dispatch.tally.timeouts) == (0, 1)


async def longest_turn(work):
    """How long, in seconds, the loop stood still meanwhile."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await trio.sleep(0.005)
            longest = max(longest, time.monotonic() - before)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await work()
        await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    return longest


@pytest.fixture(params=["this kernel", "an old kernel"])
def kernel(request, monkeypatch):
    if request.param == "an old kernel":
        monkeypatch.setattr(slot_wire, "refuse_descriptors", lambda sock, is_refusing=True: False)
    return request.param


async def test_a_socket_that_lingers_stops_nobody(pool, dispatch, kernel):
    with lingering() as trap:
        fd = trap.detach()  # the descriptor on its way is the last one

        def act(peer, asked):
            result = handing(fd)(peer, asked)
            os.close(fd)
            return result

        pool.worker(act)

        async def work():
            assert await fail(dispatch) == "upstream_bad"

        assert await longest_turn(work) < LONG / 4


@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 200 OK\r\n\r\nno end", b"nonsense\r\n\r\n", b""])
async def test_one_that_nobody_asked_for_stops_nobody(pool, dispatch, kernel, answer):
    """With the answer, where recv(2) would have the kernel close it; or unread when the connection goes."""
    refused = []
    with lingering() as trap:
        fd = trap.detach()

        def act(peer, asked):
            for data in (answer, b"x") if answer else (b"x",):
                try:
                    socket.send_fds(peer.sock, [data], [fd])
                except PermissionError:
                    refused.append(data)
                    peer.sock.send(data)
            if not refused:
                os.close(fd)
            if answer == OK:
                return b""

        pool.worker(act)
        client = FakeClient(dispatch.process, timeout=0.2)

        async def work():
            with contextlib.suppress(HttpError), trio.fail_after(PATIENCE):
                await Exchange(dispatch, client.request, client.writer).run()
            dispatch.slots.close()

        assert await longest_turn(work) < LONG / 4
        if refused:
            trap_again = socket.socket(fileno=fd)
            trap_again.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(8))
            trap_again.close()
    if kernel == "an old kernel":
        assert not refused


async def test_a_pool_whose_descriptors_are_not_to_be_closed_gets_no_more(pool, dispatch, file, monkeypatch):
    monkeypatch.setattr(foreign, "_WAITING", 0)
    pool.worker(handing(file))
    assert dispatch.try_claim() is None
    assert dispatch.slots.is_starved


async def test_what_follows_a_handover_is_seen_too(pool, dispatch, file, monkeypatch):
    """A message may be put in after the door was shut for it: the kernel asked before that."""
    admitted = []

    def leave_open(sock, is_refusing=True):
        if not is_refusing or not admitted:
            admitted.append(sock)
            return foreign.refuse_descriptors(sock, is_refusing)
        return True

    monkeypatch.setattr(slot_wire, "refuse_descriptors", leave_open)
    answers = iter([handing(file), lambda peer, asked: socket.send_fds(peer.sock, [OK], [file]) and b""])
    slot = pool.worker(lambda peer, asked: next(answers)(peer, asked))
    assert (await ask(dispatch)).endswith(DATA[1000:])
    assert await fail(dispatch) == "upstream_bad"
    assert (slot.connections, dispatch.tally.deaths) == (1, 0)


async def test_a_file_nobody_else_may_look_at(pool, dispatch, file, monkeypatch):
    def look(fd):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("trivet_proxy.file_systems.look", look)
    pool.worker(handing(file))
    assert await fail(dispatch) == "upstream_bad"
