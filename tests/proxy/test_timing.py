"""dispatch/timing.py: what a browser is told of the time a request took, and that nobody else is."""

import re
import time

import pytest
import trio

from tests.proxy.fakes_pool import OK, PATIENCE, FakeClient, FakePool, Process
from trivet_common.http1.errors import HttpError
from trivet_proxy.handlers.pool import pool_handler

_TIMES = re.compile(rb"\r\nserver-timing: queue;dur=(\d+\.\d), app;dur=(\d+\.\d)\r\n")


@pytest.fixture
def pool(tmp_path):
    pool = FakePool(tmp_path / "web")
    yield pool
    pool.close()


@pytest.fixture
async def process(tmp_path, nursery):
    process = Process(tmp_path)
    nursery.start_soon(process.deadlines.run)
    yield process
    process.close()


@pytest.fixture
async def handler(process, pool, nursery):
    dispatch = process.dispatch(pool)
    nursery.start_soon(dispatch.run)
    return pool_handler(dispatch, is_timed=True)


def slowly(seconds, answer=OK):
    def act(peer, asked):
        time.sleep(seconds)
        return answer

    return act


async def test_both_times_are_told(pool, process, handler, nursery):
    client = FakeClient(process)
    nursery.start_soon(handler, client.request, client.writer)
    await trio.sleep(0.06)
    pool.worker(slowly(0.03))
    found = _TIMES.search(await client.read_until(b"ok"))
    queue, app = map(float, found.groups())
    assert 55 < queue == pytest.approx(client.request.record.queued * 1000, abs=0.1)
    assert 30 <= app < 1000


async def test_the_applications_own_stay(pool, process, handler):
    pool.worker(slowly(0, OK.replace(b"\r\n\r\n", b"\r\nserver-timing: db;dur=5\r\n\r\n", 1)))
    client = FakeClient(process)
    with trio.fail_after(PATIENCE):
        await handler(client.request, client.writer)
    got = client.read()
    assert got.index(b"server-timing: db;dur=5\r\n") < got.index(b"server-timing: queue;dur=0.0, app;dur=")


async def test_the_routes_own_headers_stay_and_a_second_slot_is_told_once(pool, process, handler):
    def die(peer, asked):
        dying.die()

    dying = pool.worker(die)
    pool.worker()
    client = FakeClient(process)
    client.writer.shape = lambda headers: [*headers, (b"x-a", b"1")]
    with trio.fail_after(PATIENCE):
        await handler(client.request, client.writer)
    got = client.read()
    assert b"\r\nx-a: 1\r\n" in got
    assert got.count(b"server-timing") == got.count(b"x-a") == 1


async def test_our_own_504_says_how_long_too(pool, process, handler):
    pool.worker(slowly(0.2))
    client = FakeClient(process, timeout=0.05)
    with pytest.raises(HttpError), trio.fail_after(PATIENCE):
        await handler(client.request, client.writer)
    await client.writer.send(504, [], b"late")
    assert float(_TIMES.search(client.read())[2]) >= 50


async def test_without_it_nothing_is_told(pool, process, nursery):
    dispatch = process.dispatch(pool)
    nursery.start_soon(dispatch.run)
    pool.worker()
    client = FakeClient(process)
    with trio.fail_after(PATIENCE):
        await pool_handler(dispatch)(client.request, client.writer)
    assert b"server-timing" not in client.read()
