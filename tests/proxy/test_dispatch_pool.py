"""dispatch/pool.py: what is swept, and what may be told of a pool."""

import time

import pytest
import trio

from tests.proxy.fakes_pool import OK, PATIENCE, FakeClient, FakePool, Process
from trivet_common.pool.board import NONCE, NUMBER
from trivet_common.pool.claims import UNREAD
from trivet_common.pool.queue_board import read_queue_board
from trivet_proxy.dispatch.exchange import Exchange
from trivet_proxy.dispatch.terms import QueueLimits, Terms


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


async def test_only_what_is_passed_over_and_unanswered_or_long_unread_is_taken_back(pool, process):
    pool.worker(slots=6)
    dispatch = process.dispatch(pool)
    links = [dispatch.try_claim() for _ in range(6)]
    dispatch.in_flight |= set(links)
    waiting, _, answered, _, patient, sending = links
    for link in links:
        link.sent = time.monotonic_ns() - (0 if link is waiting else UNREAD)
    patient.is_patient = sending.is_sending = True
    for slot in pool.slots[1:3]:
        slot.words[NONCE] = 1
        slot.words[NUMBER] += 1
    with trio.fail_after(PATIENCE):
        while not pool.slots[2].peers:
            await trio.sleep(0.001)
    pool.slots[2].peers[0].send(b"HTTP/1.1 200")
    with trio.fail_after(PATIENCE):
        while not answered.wire.has_input():
            await trio.sleep(0.001)
    dispatch.take_back()
    ended_by = [link.wire.ended_by for link in links]
    assert ended_by == [None, "held_up", None, "held_up", None, None]
    for link in links:
        link.discard()
    dispatch.close()


async def test_what_may_be_told(pool, process, nursery):
    dispatch = process.dispatch(pool)
    nursery.start_soon(dispatch.run)
    client = FakeClient(process)
    nursery.start_soon(Exchange(dispatch, client.request, client.writer).run)
    await trio.testing.wait_all_tasks_blocked(0.005)
    told = dispatch.statistics()
    assert (told["waiting"], told["in_flight"], told["returns"], told["deaths"]) == (1, 0, 0, 0)
    assert 0 < told["oldest_wait"] < PATIENCE
    assert repr(dispatch).startswith("<PoolDispatch web in flight=0 <Queue waiting=1 of 100> <Slots web")
    pool.worker()
    await client.read_until(b"ok")
    assert dispatch.statistics()["waiting"] == 0


async def test_the_pools_master_is_told(pool, process, nursery):
    dispatch = process.dispatch(pool)
    async with trio.open_nursery() as until:
        until.start_soon(dispatch.run)
        client = FakeClient(process)
        nursery.start_soon(Exchange(dispatch, client.request, client.writer).run)
        with trio.fail_after(PATIENCE):
            while not (rows := read_queue_board(pool.places.queue_board)) or not rows[0].waiting:
                await trio.sleep(0.01)
        assert (rows[0].process, rows[0].waiting, rows[0].counts.claims) == (0, 1, 0)
        assert 0 < rows[0].oldest_since <= time.monotonic_ns()
        pool.worker()
        with trio.fail_after(PATIENCE):
            while not read_queue_board(pool.places.queue_board)[0].counts.claims:
                await trio.sleep(0.01)
        assert read_queue_board(pool.places.queue_board)[0].waiting == 0
        until.cancel_scope.cancel()
    assert read_queue_board(pool.places.queue_board) == []


async def test_a_reload_changes_what_may_wait(pool, process):
    dispatch = process.dispatch(pool)
    dispatch.configure(Terms(QueueLimits(7, 1.0)))
    assert dispatch.queue.limits.limit == 7
    dispatch.close()


async def test_an_order_to_send_a_file_is_dropped_and_told_once_an_hour(pool, process, nursery):
    pool.worker(lambda peer, asked: OK.replace(b"\r\n\r\n", b"\r\nx-accel-redirect: /etc/passwd\r\n\r\n", 1))
    dispatch = process.dispatch(pool)
    nursery.start_soon(dispatch.run)
    for _ in range(2):
        client = FakeClient(process)
        with trio.fail_after(PATIENCE):
            await Exchange(dispatch, client.request, client.writer).run()
        assert b"accel" not in client.read()
    assert len(process.warnings) == 1
