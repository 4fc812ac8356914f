"""A slot hands an open file over: it is sent whole from here; whatever else comes costs only this answer."""

import os
import socket

import pytest
import trio

from tests.proxy.fakes_pool import PATIENCE, FakeClient, FakePool, Process
from trivet_common.http1.errors import HttpError
from trivet_common.pool.handover import MARK
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
