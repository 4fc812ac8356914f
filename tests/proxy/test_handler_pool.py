"""handlers/pool.py: what is read before a slot is claimed."""

import pytest
import trio

from tests.proxy.fakes_pool import PATIENCE, FakeClient, FakePool, Process
from trivet_common.http1.errors import HttpError
from trivet_proxy.handlers.pool import pool_handler

POST = b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhello"


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
    return pool_handler(dispatch)


async def test_no_slot_is_claimed_before_the_body_is_complete(pool, process, handler, nursery):
    slot = pool.worker()
    client = FakeClient(process, POST)
    nursery.start_soon(handler, client.request, client.writer)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert slot.connections == 0
    client.theirs.sendall(b"world")
    assert b"200 OK" in await client.read_until(b"ok")
    assert slot.entered[0].body == b"helloworld"


async def test_a_chunked_body_reaches_the_slot_counted(pool, process, handler):
    slot = pool.worker()
    raw = b"POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n"
    client = FakeClient(process, raw)
    with trio.fail_after(PATIENCE):
        await handler(client.request, client.writer)
    assert slot.entered[0].body == b"abc"
    assert slot.entered[0].get(b"content-length") == b"3"
    assert slot.entered[0].get(b"transfer-encoding") is None


async def test_a_body_cut_short_never_reaches_a_slot(pool, process, handler):
    slot = pool.worker()
    client = FakeClient(process, POST)
    client.leave()
    with pytest.raises(HttpError) as caught:
        await handler(client.request, client.writer)
    assert caught.value.why == "bad_body:truncated"
    assert slot.connections == 0


async def test_a_body_over_the_limit_never_reaches_a_slot(pool, process, handler):
    slot = pool.worker()
    client = FakeClient(process, POST)
    client.request.body.limit = 9
    with pytest.raises(HttpError) as caught:
        await handler(client.request, client.writer)
    assert (caught.value.status, caught.value.why) == (413, "too_large")
    assert slot.connections == 0


async def test_a_route_that_streams_does_not_wait(pool, process, handler, nursery):
    slot = pool.worker()
    client = FakeClient(process, POST, stream=True)
    nursery.start_soon(handler, client.request, client.writer)
    with trio.fail_after(PATIENCE):
        while not slot.connections:
            await trio.sleep(0.001)
    client.theirs.sendall(b"world")
    assert b"200 OK" in await client.read_until(b"ok")
    assert slot.entered[0].body == b"helloworld"
