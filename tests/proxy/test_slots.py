"""dispatch/slots.py: which token becomes a connection, and which connection is used again."""

import os
import resource
import socket

import pytest
import trio

from tests.proxy.fakes_pool import FakePool
from trivet_common.pool.board import NUMBER
from trivet_common.pool.idle import Token
from trivet_common.pool.places import PoolPlaces
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.dispatch.slots import Slots


@pytest.fixture
def pool(tmp_path):
    pool = FakePool(tmp_path / "web")
    yield pool
    pool.close()


@pytest.fixture
async def slots(pool):
    slots = Slots(pool.places, Deadlines())
    yield slots
    slots.close()


async def test_a_token_is_a_claim_and_no_token_is_none(pool, slots):
    assert slots.try_claim() is None
    pool.worker(slots=2)
    first, second = slots.try_claim(), slots.try_claim()
    assert (first.title, first.number, second.title) == ("w1.0", 1, "w1.1")
    assert first.nonce != second.nonce
    assert first.words[0] == 1
    assert slots.try_claim() is None
    first.discard(), second.discard()


async def test_tokens_that_mean_nothing_are_dropped(pool, slots):
    slot = pool.worker(announce=False)
    slot.announce(number=7)  # not its number
    pool.fifo.try_write(Token(9, 1, 1))  # the worker has no such slot
    pool.fifo.try_write(Token(0, 77, 1))  # no such worker
    (pool.places.directory / "w5.board").write_bytes(b"no board")
    pool.fifo.try_write(Token(0, 5, 1))
    slot.announce()
    link = slots.try_claim()
    assert link.title == "w1.0"
    assert pool.tokens() == 0
    link.discard()


async def test_a_worker_that_let_a_request_lie_gets_no_other_until_it_goes_on(pool, slots):
    still, sibling = pool.worker(slots=2), pool.slots[1]
    living = pool.worker(announce=False)
    link = slots.try_claim()
    assert link.title == "w1.0"
    slots.shun(link)
    assert link.has_withdrawn()
    still.announce(number=1)  # as the pool's master does
    living.announce()
    other = slots.try_claim()
    assert other.title == "w2.0"
    assert slots.try_claim() is None
    slots.announce_again()
    assert slots.try_claim() is None
    still.words[NUMBER] += 1
    assert not link.has_withdrawn()  # it has begun with what was sent to it
    slots.announce_again()
    again = slots.try_claim()
    assert (again.title, again.number) == ("w1.1", sibling.words[NUMBER])
    assert slots.try_claim() is None
    for one in (link, other, again):
        one.discard()


async def test_a_slot_that_cannot_be_reached_is_passed_over(pool, slots):
    dead, living = pool.worker(announce=False), pool.worker(announce=False)
    dead.die()
    dead.announce(number=1)
    living.announce()
    link = slots.try_claim()
    assert link.title == "w2.0"
    link.discard()


async def test_a_connection_is_kept_and_the_last_one_used_first(pool, slots):
    slot = pool.worker()
    link = slots.try_claim()
    link.release()
    slot.announce()
    assert slots.try_claim() is link
    slot.announce()
    other = slots.try_claim()  # announced before its answer had left
    assert other is not link
    links = [link, other]
    for _ in range(3):
        slot.announce()
        links.append(slots.try_claim())
    for one in links:
        one.release()
    assert [one.wire.fd >= 0 for one in links] == [True] * 4 + [False]
    slot.announce()
    assert slots.try_claim() is links[3]
    links[3].discard()


@pytest.mark.parametrize("is_dead", [True, False])
async def test_a_kept_connection_that_says_something_is_not_used_again(pool, slots, is_dead):
    slot = pool.worker()
    link = slots.try_claim()
    with trio.fail_after(5):
        while not slot.peers:
            await trio.sleep(0.001)
    link.release()
    if is_dead:
        slot.peers[0].sock.shutdown(socket.SHUT_RDWR)
    else:
        slot.peers[0].send(b"HTTP/1.1 200 OK\r\n")
    with trio.fail_after(5):
        while not link.wire.has_input():
            await trio.sleep(0.001)
    slot.announce()
    fresh = slots.try_claim()
    assert fresh is not link
    assert link.wire.fd < 0
    fresh.discard()


async def test_what_has_gone_from_the_directory_is_forgotten(pool, slots):
    pool.worker()
    kept = slots.try_claim()
    kept.release()
    pool.slots[0].announce()
    used = slots.try_claim()
    used.release()
    pool.slots[0].announce()
    used = slots.try_claim()
    pool.places.remove_incarnation(1)
    slots.refresh()
    assert repr(slots) == "<Slots web boards=0 kept=0>"
    assert used.words[0] == 1  # its last words can still be read
    used.release()
    assert used.wire.fd < 0


async def test_a_pool_that_starts_after_us(tmp_path):
    (tmp_path / "web").mkdir()
    slots = Slots(PoolPlaces(tmp_path / "web"), Deadlines())
    assert slots.try_claim() is None
    pool = FakePool(tmp_path / "web")
    pool.worker()
    slots.refresh()
    link = slots.try_claim()
    assert link is not None
    link.discard()
    slots.close()
    pool.close()


async def test_a_directory_that_is_made_anew(pool, slots, autojump_clock):
    woken = []

    async def wait():
        await slots.wait_for_token()
        woken.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        os.unlink(pool.places.idle_fifo)
        os.mkfifo(pool.places.idle_fifo)
        slots.refresh()
    assert woken == [True]
    pool.fifo.close()
    pool.fifo = type(pool.fifo)(pool.places.idle_fifo)
    pool.worker()
    link = slots.try_claim()
    assert link is not None
    link.discard()


async def test_without_a_descriptor_the_token_is_put_back(pool, slots, autojump_clock):
    slot = pool.worker()
    first = slots.try_claim()
    slot.announce()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        assert slots.try_claim() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert slots.is_starved
    await slots.wait_for_token()  # a pause: the FIFO is readable, and looking again at once would spin
    assert trio.current_time() > 0
    second = slots.try_claim()
    assert second is not None
    first.discard(), second.discard()


async def test_without_a_descriptor_for_a_board_its_token_goes_back(pool, slots):
    """Thrown away, the master would write it again and take the slot for deaf."""
    pool.worker()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        assert slots.try_claim() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert slots.is_starved
    link = slots.try_claim()
    assert link is not None
    link.discard()


async def test_a_flood_of_tokens_of_nobody_is_read_in_turns(pool, slots):
    for _ in range(150):
        pool.fifo.try_write(Token(0, 99, 1))
    pool.worker()
    links = []
    while not links or links[-1] is None:
        links.append(slots.try_claim())
    assert len(links) == 3
    links[-1].discard()


async def test_a_board_of_the_same_number_in_a_directory_made_anew(pool, slots):
    pool.worker()
    first = slots.try_claim()
    assert first is not None
    first.release()
    pool.places.remove()
    pool.places.create()
    pool.fifo.close()
    pool.fifo = type(pool.fifo)(pool.places.idle_fifo)
    pool.worker()
    slots.refresh()
    link = slots.try_claim()
    assert link is not None
    assert link is not first
    link.discard()
