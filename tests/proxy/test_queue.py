"""dispatch/queue.py: order, bounds, and nobody waiting while a slot is idle."""

import threading
import weakref

import pytest
import trio

from tests.proxy.fakes_pool import OK, PATIENCE, FakeClient, FakePool, Process
from trivet_common.http1.errors import HttpError
from trivet_proxy.dispatch.exchange import Exchange
from trivet_proxy.dispatch.terms import QueueLimits, Terms


class Waiting:
    """A request that waits, without a client or a socket."""

    client_fd = 0

    def __init__(self, name="", served=None):
        self.name = name
        self.served = served if served is not None else []
        self.links = []
        self.has_left = False

    def is_gone(self):
        return self.has_left

    def note_queued(self, seconds):
        assert seconds >= 0

    def begin(self, link):
        self.links.append(link)
        self.served.append(self.name)
        link.discard()


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
async def dispatch(process, pool, nursery):
    dispatch = process.dispatch(pool)
    nursery.start_soon(dispatch.run)
    return dispatch


async def settle():
    """Until everything that can run without a token has."""
    await trio.testing.wait_all_tasks_blocked(0.005)


async def test_nothing_is_kept_of_one_that_was_served(pool, dispatch, nursery):
    claimant = Waiting()
    gone = weakref.ref(claimant)
    slot = pool.worker(announce=False)
    nursery.start_soon(dispatch.queue.wait, claimant)
    del claimant
    await settle()
    slot.announce()
    with trio.fail_after(PATIENCE):
        while gone() is not None:
            await trio.sleep(0.001)


async def test_first_in_first_out(pool, dispatch, nursery):
    served = []
    for name in "abc":
        nursery.start_soon(dispatch.queue.wait, Waiting(name, served))
        await settle()
    assert dispatch.queue.waiting == 3
    slot = pool.worker(announce=False)
    for count in (1, 2, 3):
        slot.announce()
        with trio.fail_after(PATIENCE):
            while len(served) < count:
                await trio.sleep(0.001)
    assert served == ["a", "b", "c"]
    assert dispatch.queue.waiting == 0


async def test_one_that_lost_its_slot_stands_before_all_others(pool, dispatch, nursery):
    served = []
    for name, is_again in (("a", False), ("b", False), ("again", True), ("later", True)):
        nursery.start_soon(dispatch.queue.wait, Waiting(name, served), is_again)
        await settle()
    pool.worker(slots=4)
    with trio.fail_after(PATIENCE):
        while len(served) < 4:
            await trio.sleep(0.001)
    assert served == ["again", "later", "a", "b"]


async def test_a_full_queue_refuses_at_once_but_takes_back_what_it_gave_out(pool, process, dispatch, nursery):
    dispatch.configure(Terms(QueueLimits(1, None)))
    nursery.start_soon(dispatch.queue.wait, Waiting())
    await settle()
    with pytest.raises(HttpError) as caught:
        await dispatch.queue.wait(Waiting())
    assert (caught.value.status, caught.value.why) == (503, "queue_full")
    assert dispatch.tally.full == 1
    assert dict(caught.value.headers)[b"retry-after"].isdigit()
    nursery.start_soon(dispatch.queue.wait, Waiting(), True)
    await settle()
    assert dispatch.queue.waiting == 2
    pool.worker(slots=2)
    with trio.fail_after(PATIENCE):
        while dispatch.queue.waiting:
            await trio.sleep(0.001)


async def test_waiting_has_an_end(pool, dispatch, autojump_clock):
    dispatch.configure(Terms(QueueLimits(10, 3.0)))
    began = trio.current_time()
    with pytest.raises(HttpError) as caught:
        await dispatch.queue.wait(Waiting())
    assert (caught.value.status, caught.value.why) == (503, "queue_timeout")
    assert 3.0 <= trio.current_time() - began < 3.1
    assert dispatch.queue.waiting == 0
    assert dispatch.queue.oldest_since is None
    assert dispatch.tally.expired == 1


async def test_a_client_that_left_is_taken_out_and_costs_no_slot(pool, process, dispatch, nursery):
    client = FakeClient(process)
    errors = []

    async def ask():
        try:
            await Exchange(dispatch, client.request, client.writer).run()
        except HttpError as error:
            errors.append(error.why)

    nursery.start_soon(ask)
    await settle()
    client.leave()
    with trio.fail_after(1):
        while not errors:
            await trio.sleep(0.01)
    assert errors == ["client_left"]
    pool.worker()
    await settle()
    assert pool.tokens() == 1


async def test_a_client_that_left_a_moment_ago_is_asked_before_the_token_is_read(pool, dispatch, nursery):
    gone, there = Waiting("gone"), Waiting("there")
    errors = []

    async def wait(claimant):
        try:
            await dispatch.queue.wait(claimant)
        except HttpError as error:
            errors.append(error.why)

    for claimant in (gone, there):
        nursery.start_soon(wait, claimant)
        await settle()
    gone.has_left = True
    pool.worker()
    with trio.fail_after(PATIENCE):
        while not there.links:
            await trio.sleep(0.001)
    await settle()
    assert (gone.links, errors) == ([], ["client_left"])
    assert pool.tokens() == 0


async def test_a_token_nobody_waits_for_is_left_alone(pool, dispatch):
    pool.worker(slots=3)
    await settle()
    assert pool.tokens() == 3


async def test_a_token_written_while_nobody_waited_is_found(pool, dispatch):
    pool.worker()
    await settle()
    claimant = Waiting()
    with trio.fail_after(PATIENCE):
        await dispatch.queue.wait(claimant)
    assert len(claimant.links) == 1


async def test_nobody_is_overtaken_while_somebody_waits(pool, dispatch, nursery):
    first = Waiting()
    nursery.start_soon(dispatch.queue.wait, first)
    await settle()
    pool.worker()
    assert dispatch.try_claim() is None  # the token is the first one's
    with trio.fail_after(PATIENCE):
        while not first.links:
            await trio.sleep(0.001)


async def test_a_cancelled_request_leaves_the_line(pool, dispatch):
    with trio.move_on_after(0.01):
        await dispatch.queue.wait(Waiting())
    assert dispatch.queue.waiting == 0
    pool.worker()
    await settle()
    assert pool.tokens() == 1


async def test_one_that_cannot_begin_fails_alone(pool, dispatch, nursery):
    class Broken(Waiting):
        def begin(self, link):
            raise RuntimeError("broken")

    pool.worker(slots=2)
    with pytest.raises(RuntimeError):
        await dispatch.queue.wait(Broken())
    sound = Waiting()
    with trio.fail_after(PATIENCE):
        await dispatch.queue.wait(sound)
    assert sound.links


async def test_everybody_gets_their_own_answer_through_one_slot(pool, process, dispatch):
    overlapping, running = [], threading.Semaphore(1)

    def echo(peer, asked):
        if not running.acquire(blocking=False):
            overlapping.append(asked)
        body = asked.head.target
        running.release()
        return OK.replace(b"length: 2", b"length: %d" % len(body)).replace(b"ok", body)

    slot = pool.worker(echo)
    clients = [FakeClient(process, b"GET /%d HTTP/1.1\r\nhost: h\r\n\r\n" % number) for number in range(200)]
    dispatch.configure(Terms(QueueLimits(200, None)))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(Exchange(dispatch, client.request, client.writer).run)
    for number, client in enumerate(clients):
        assert client.read().endswith(b"\r\n\r\n/%d" % number)
    assert not overlapping
    waits = [client.request.record.queued for client in clients]
    assert max(waits) > 0
    assert (dispatch.tally.claims, dispatch.tally.late) == (200, sum(wait > 0.05 for wait in waits))
    assert slot.entered[-1].get(b"trivet-queued").isdigit()
