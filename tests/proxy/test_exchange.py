"""dispatch/exchange.py: every outcome of a claim, against slots that keep or break the protocol."""

import threading
import time

import pytest
import trio

from tests.proxy.fakes_pool import OK, PATIENCE, STALE, FakeClient, FakePool, Process, answer_ok
from trivet_common.http1.errors import HttpError
from trivet_common.pool import claims
from trivet_common.pool.board import NONCE, NUMBER
from trivet_proxy.dispatch.exchange import Exchange
from trivet_proxy.dispatch.terms import RETRIED, QueueLimits, Terms
from trivet_proxy.wire import Wire

POST = b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello"


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


async def ask(dispatch, client):
    if not client.request.body.is_complete and not client.request.route.stream:
        await client.request.body.read_all(None)
    with trio.fail_after(PATIENCE):
        await Exchange(dispatch, client.request, client.writer).run()


async def fail(dispatch, client):
    with pytest.raises(HttpError) as caught:
        await ask(dispatch, client)
    return caught.value


async def test_a_request_is_answered_and_the_connection_kept(pool, process, dispatch):
    slot = pool.worker()
    for _ in range(3):
        client = FakeClient(process)
        await ask(dispatch, client)
        assert client.read().startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.request.record.upstream == "w1.0"
    assert len(slot.entered) == 3
    assert slot.connections == 1
    assert not dispatch.in_flight


async def test_the_slot_is_told_the_claim_and_the_client(pool, process, dispatch):
    slot = pool.worker()
    await ask(dispatch, FakeClient(process, slot_lines=b"\r\ntrivet-mount: /shop\r\ntrivet-timeout: 90"))
    asked = slot.entered[0]
    number, nonce, sent = map(int, asked.get(b"trivet-claim").split())
    assert (number, nonce) == (1, slot.words[NONCE])
    assert 0 <= time.monotonic_ns() - sent < PATIENCE * 1e9
    assert (asked.get(b"trivet-mount"), asked.get(b"trivet-timeout")) == (b"/shop", b"90")
    assert asked.get(b"x-forwarded-for") == asked.get(b"x-real-ip") == b"192.0.2.7"
    assert asked.get(b"trivet-queued") is None
    assert asked.get(b"trivet-stream") is None


async def test_a_body_arrives_with_its_length(pool, process, dispatch):
    slot = pool.worker()
    await ask(dispatch, FakeClient(process, POST))
    assert slot.entered[0].body == b"hello"
    assert slot.entered[0].get(b"content-length") == b"5"


async def test_a_spooled_body_arrives_whole_while_the_slot_answers(pool, process, dispatch):
    body = b"0123456789abcdef" * 100_000
    echoed = []

    def echo(peer, asked):
        echoed.append(asked.body)
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(asked.body), asked.body)

    pool.worker(echo)
    client = FakeClient(
        process, b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    got = bytearray()

    def read():
        while len(got) < len(body):
            got.extend(client.theirs.recv(65536))

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    await ask(dispatch, client)
    await trio.to_thread.run_sync(reading.join, PATIENCE)
    assert echoed == [body]
    assert got.endswith(body)


@pytest.mark.parametrize("raw", [b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n", POST])
async def test_a_slot_that_dies_before_entering_costs_nobody_a_request(pool, process, dispatch, raw):
    def die(peer, asked):
        dying.die()
        return True

    dying = pool.worker(before=die)
    living = pool.worker()
    client = FakeClient(process, raw)
    await ask(dispatch, client)
    assert client.read().startswith(b"HTTP/1.1 200 OK\r\n")
    assert (len(dying.entered), len(living.entered)) == (0, 1)


async def test_a_slot_that_dies_after_reading_the_commit_but_before_entering(pool, process, dispatch):
    def die(peer, asked):
        dying.claims.commit(int(asked.get(b"trivet-claim").split()[1]))
        dying.die()
        return True

    dying = pool.worker(before=die)
    living = pool.worker()
    await ask(dispatch, FakeClient(process, POST))
    assert len(living.entered) == 1


def dies_running(pool):
    def die(peer, asked):
        slot.die()

    slot = pool.worker(die)
    return slot


async def test_a_get_whose_worker_died_is_run_once_more(pool, process, dispatch):
    dying, living = dies_running(pool), pool.worker()
    client = FakeClient(process)
    await ask(dispatch, client)
    assert client.read().startswith(b"HTTP/1.1 200 OK\r\n")
    assert (len(dying.entered), len(living.entered)) == (1, 1)


@pytest.mark.parametrize(
    ("retry", "method", "is_run_again"),
    [
        ("safe", b"OPTIONS", True),
        ("safe", b"PUT", False),
        ("idempotent", b"PUT", True),
        ("idempotent", b"DELETE", True),
        ("idempotent", b"POST", False),
        ("off", b"GET", False),
    ],
)
async def test_what_is_run_again_is_the_configurations_to_say(
    pool, process, dispatch, retry, method, is_run_again
):
    dispatch.configure(Terms(QueueLimits(10, None), RETRIED[retry]))
    dying, living = dies_running(pool), pool.worker()
    client = FakeClient(process, POST.replace(b"POST", method))
    if is_run_again:
        await ask(dispatch, client)
        assert living.entered[0].body == b"hello"
    else:
        assert (await fail(dispatch, client)).why == "worker_died"
    assert (len(dying.entered), len(living.entered)) == (1, is_run_again)
    counts = dispatch.tally
    assert (counts.claims, counts.deaths, counts.retries) == (1 + is_run_again, 1, is_run_again)


@pytest.mark.parametrize("raw", [b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n", POST])
async def test_what_was_not_entered_goes_back_whatever_the_configuration_says(pool, process, dispatch, raw):
    def die(peer, asked):
        dying.die()
        return True

    dispatch.configure(Terms(QueueLimits(10, None), RETRIED["off"]))
    dying, living = pool.worker(before=die), pool.worker()
    await ask(dispatch, FakeClient(process, raw))
    assert (len(dying.entered), len(living.entered)) == (0, 1)
    assert (dispatch.tally.returns, dispatch.tally.deaths) == (1, 0)


async def test_an_answer_nobody_has_seen_a_byte_of_is_begun_anew(pool, process, dispatch):
    def send_and_die(peer):
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
        dying.die()

    def die(peer, asked):
        # In the loop's own thread: the proxy sees both or neither.
        trio.from_thread.run_sync(send_and_die, peer, trio_token=token)

    token = trio.lowlevel.current_trio_token()
    dying, living = pool.worker(die), pool.worker()
    client = FakeClient(process)
    await ask(dispatch, client)
    assert client.read().endswith(b"\r\n\r\nok")
    assert (len(dying.entered), len(living.entered), dispatch.tally.retries) == (1, 1, 1)


async def test_an_answer_that_has_begun_is_cut_not_begun_anew(pool, process, dispatch):
    def die(peer, asked):
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        dying.die()

    dying, living = pool.worker(die), pool.worker()
    client = FakeClient(process)
    await ask(dispatch, client)
    assert client.read().endswith(b"\r\n\r\nhalf")
    assert (client.request.record.why, client.wire.fd, living.entered) == ("worker_died", -1, [])


async def test_a_post_whose_worker_died_is_not(pool, process, dispatch):
    dying, living = dies_running(pool), pool.worker()
    error = await fail(dispatch, FakeClient(process, POST))
    assert (error.status, error.why) == (502, "worker_died")
    assert (len(dying.entered), len(living.entered)) == (1, 0)


async def test_a_request_that_killed_two_workers_is_not_tried_a_third_time(pool, process, dispatch):
    dies_running(pool), dies_running(pool)
    living = pool.worker()
    error = await fail(dispatch, FakeClient(process))
    assert (error.status, error.why) == (502, "worker_twice")
    assert not living.entered
    assert (dispatch.tally.deaths, dispatch.tally.retries) == (2, 1)
    (told,) = process.warnings
    assert "pool web" in told
    assert "GET h/a (request id1)" in told


async def test_a_stale_claim_goes_to_the_next_slot_and_the_connection_is_kept(pool, process, dispatch):
    def move_on(peer, asked):
        if slot.refused:
            return False
        slot.refused += 1
        peer.send(STALE)
        slot.announce()
        return True

    slot = pool.worker(before=move_on)
    client = FakeClient(process, POST)
    await ask(dispatch, client)
    assert client.read().startswith(b"HTTP/1.1 200 OK\r\n")
    assert slot.connections == 1


async def test_a_spooled_body_is_sent_again_from_its_file(pool, process, dispatch):
    def move_on(peer, asked):
        if slot.refused:
            return False
        slot.refused += 1
        peer.send(STALE)
        slot.announce()
        return True

    body = bytes(range(256)) * 8192
    raw = b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    slot = pool.worker(before=move_on)
    await ask(dispatch, FakeClient(process, raw))
    assert [asked.body == body for asked in slot.entered] == [True]
    assert dispatch.statistics()["returns"] == 1


async def test_a_pool_that_only_ever_refuses_is_given_up(pool, process, dispatch):
    def refuse(peer, asked):
        slot.refused += 1
        peer.send(STALE)
        slot.announce()
        return True

    slot = pool.worker(before=refuse)
    error = await fail(dispatch, FakeClient(process))
    assert (error.status, error.why) == (503, "pool_down")
    assert slot.refused == 17


async def test_a_request_held_up_behind_another_one_is_taken_back(pool, process, dispatch):
    let_go = threading.Event()

    def hang(peer, asked):
        # As if the slot had run somebody else's request under this number, and were busy with it still.
        slot.words[NONCE] = 1
        slot.words[NUMBER] += 1
        let_go.wait(PATIENCE)
        return True

    slot = pool.worker(before=hang)
    living = pool.worker()
    began = time.monotonic()
    await ask(dispatch, FakeClient(process, POST))
    let_go.set()
    assert len(living.entered) == 1
    assert time.monotonic() - began < 0.6


async def test_the_deadline_is_met_and_the_connection_not_used_again(pool, process, dispatch):
    let_go = threading.Event()

    def sleep(peer, asked):
        let_go.wait(PATIENCE)
        return OK

    slot = pool.worker(sleep)
    began = time.monotonic()
    error = await fail(dispatch, FakeClient(process, timeout=0.1))
    assert (error.status, error.why) == (504, "deadline")
    assert 0.1 <= time.monotonic() - began < 0.3
    assert dispatch.tally.timeouts == 1
    let_go.set()
    slot.act = answer_ok
    client = FakeClient(process)
    await ask(dispatch, client)
    assert client.read().startswith(b"HTTP/1.1 200 OK\r\n")
    assert slot.connections == 2


@pytest.fixture
def hasty(monkeypatch):
    """A slot that does not read for 50 ms stands still."""
    monkeypatch.setattr(claims, "UNREAD", 50_000_000)


@pytest.mark.parametrize("raw", [b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n", POST])
async def test_a_slot_that_stands_still_does_not_keep_a_request(pool, process, dispatch, hasty, raw):
    goes_on, seen = threading.Event(), []

    def stand(peer, asked):
        goes_on.wait(PATIENCE)
        seen.append((claims.Claim.parse(asked.get(b"trivet-claim")), peer.sock.recv(10)))
        return True

    still = pool.worker(before=stand)
    living = pool.worker(announce=False)
    dispatch.configure(Terms(QueueLimits(10, None), RETRIED["off"]))
    async with trio.open_nursery() as nursery:
        client = FakeClient(process, raw)
        nursery.start_soon(ask, dispatch, client)
        with trio.fail_after(PATIENCE):
            while not dispatch.tally.returns:
                await trio.sleep(0.01)
        still.announce(1)  # its token once more, as the pool's master writes it
        await trio.sleep(0.05)
        assert dispatch.queue.waiting == 1
        living.announce()
    assert client.read().startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(living.entered) == 1
    goes_on.set()
    with trio.fail_after(PATIENCE):
        while not seen:
            await trio.sleep(0.01)
    ((claim, end),) = seen
    assert claim.is_old(time.monotonic_ns())
    assert end == b""  # all that a slot needs to see that it must not run it


async def test_a_slot_that_wakes_up_in_time_answers(pool, process, dispatch, hasty, monkeypatch):
    """It commits between our look at the board and the end of our side: its answer is waited for."""
    goes_on, end_sending = threading.Event(), Wire.end_sending

    def begin_at_the_last_moment(wire):
        goes_on.set()
        until = time.monotonic() + PATIENCE
        while slot.words[NUMBER] == 1 and time.monotonic() < until:
            time.sleep(0.001)
        end_sending(wire)

    monkeypatch.setattr(Wire, "end_sending", begin_at_the_last_moment)
    slot = pool.worker(before=lambda peer, asked: not goes_on.wait(PATIENCE))
    for _ in range(2):
        client = FakeClient(process, POST)
        await ask(dispatch, client)
        assert client.read().startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(slot.entered) == 2
    assert slot.connections == 2  # the first was half closed
    assert dispatch.tally.returns == 0


async def test_when_every_slot_stands_still_a_request_stays_at_last(pool, process, dispatch, hasty):
    goes_on, asked_of = threading.Event(), []

    def stand(peer, asked):
        asked_of.append(asked)
        goes_on.wait(PATIENCE)
        return False

    for _ in range(6):
        pool.worker(before=stand)
    client = FakeClient(process)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, dispatch, client)
        with trio.fail_after(PATIENCE):
            while len(asked_of) < 5:
                await trio.sleep(0.01)
        await trio.sleep(0.6)
        goes_on.set()
    assert len(asked_of) == 5
    assert client.read().startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("seconds", [0.3, None])
async def test_504s_are_on_time_and_off_is_never(pool, process, dispatch, seconds, nursery):
    """The time the client sees, of many at once: it is the proxy's clock alone."""
    let_go, took = threading.Event(), []
    pool.worker(lambda peer, asked: OK if let_go.wait(PATIENCE) else None, slots=20)

    async def wait():
        began = time.monotonic()
        error = await fail(dispatch, FakeClient(process, timeout=seconds))
        took.append((error.why, time.monotonic() - began - seconds))

    async with trio.open_nursery() as waiting:
        for _ in range(20):
            waiting.start_soon(wait)
        await trio.sleep(0.6)
        waiting.cancel_scope.cancel()
    let_go.set()
    late = sorted(seconds for _, seconds in took)
    assert dispatch.tally.timeouts == len(took)
    if seconds is None:
        assert took == []
    else:
        assert {why for why, _ in took} == {"deadline"}
        assert late[0] >= 0
        assert late[10] < 0.05
        assert late[19] < 0.25


async def test_an_answer_to_a_request_still_being_sent_waits_for_its_client(pool, process, dispatch, nursery):
    """The application answers while it reads; what it waits for then is the client's next piece."""

    def serve(peer):
        peer.receive_head()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\none")
        data = peer.take_rest()
        while not data.endswith(b"abcde"):
            data += peer.sock.recv(65536)
        peer.send(b"two")

    pool.worker()._serve = serve
    client = FakeClient(process, POST.replace(b"hello", b"ab"), stream=True, timeout=0.1)
    nursery.start_soon(ask, dispatch, client)
    assert (await client.read_until(b"one")).startswith(b"HTTP/1.1 200")
    await trio.sleep(0.3)
    client.theirs.sendall(b"cde")
    assert await client.read_until(b"two") == b"two"


async def test_a_body_that_pauses_too_long_is_cut(pool, process, dispatch):
    let_go = threading.Event()

    def stall(peer, asked):
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        let_go.wait(PATIENCE)

    pool.worker(stall)
    client = FakeClient(process, timeout=0.1)
    await ask(dispatch, client)
    let_go.set()
    assert client.read().endswith(b"half")
    assert client.request.record.why == "deadline"
    assert client.wire.fd < 0
    assert dispatch.tally.timeouts == 1


async def test_an_application_that_failed_is_not_passed_on(pool, process, dispatch):
    def fail_app(peer, asked):
        return b"HTTP/1.1 500 Oops\r\ntrivet-why: app_error\r\ncontent-length: 3\r\n\r\nbad"

    slot = pool.worker(fail_app)
    for _ in range(2):
        error = await fail(dispatch, FakeClient(process))
        assert (error.status, error.why) == (500, "app_error")
    assert slot.connections == 1


async def test_garbage_is_a_bad_gateway(pool, process, dispatch):
    pool.worker(lambda peer, asked: b"\x00\x01nonsense\r\n\r\n")
    error = await fail(dispatch, FakeClient(process, POST))
    assert (error.status, error.why) == (502, "upstream_bad")


async def test_two_answers_never_cross(pool, process, dispatch):
    slot = pool.worker(lambda peer, asked: OK + OK)
    for _ in range(3):
        client = FakeClient(process)
        await ask(dispatch, client)
        assert client.read().count(b"HTTP/1.1") == 1
    assert slot.connections == 3


async def test_a_late_second_answer_never_crosses(pool, process, dispatch):
    sent = threading.Event()

    def twice(peer, asked):
        peer.send(OK)

        def again():
            time.sleep(0.02)
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond")
            slot.announce()
            sent.set()

        threading.Thread(target=again, daemon=True).start()

    slot = pool.worker(twice)
    await ask(dispatch, FakeClient(process))
    await trio.to_thread.run_sync(sent.wait, PATIENCE)
    slot.act = answer_ok
    client = FakeClient(process)
    await ask(dispatch, client)
    assert client.read().endswith(b"ok")
    assert slot.connections == 2


async def test_a_streamed_body_reaches_the_slot_before_it_is_complete(pool, process, dispatch, nursery):
    first_piece, received = threading.Event(), []

    def serve(peer):
        received.append(peer.receive_head())
        data = peer.take_rest()
        while not data.endswith(b"0\r\n\r\n"):
            if b"abc" in data:
                first_piece.set()
            data += peer.sock.recv(65536)
        received.append(data)
        peer.send(OK)

    pool.worker()._serve = serve
    raw = b"POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"
    client = FakeClient(process, raw, stream=True)
    nursery.start_soon(ask, dispatch, client)
    await trio.to_thread.run_sync(first_piece.wait, PATIENCE)
    client.theirs.sendall(b"2\r\nde\r\n0\r\n\r\n")
    assert b"200 OK" in await client.read_until(b"ok")
    assert received[0].get(b"trivet-stream") == b"1"
    assert received[1] == b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


async def test_a_streamed_body_that_is_gone_cannot_be_sent_again(pool, process, dispatch):
    slot = pool.worker()

    def die(peer):
        peer.receive()
        slot.die()

    slot._serve = die
    living = pool.worker()
    error = await fail(dispatch, FakeClient(process, POST, stream=True))
    assert not living.entered
    assert (error.status, error.why) == (502, "worker_died")


async def test_a_client_that_breaks_off_its_streamed_body(pool, process, dispatch):
    slot = pool.worker()
    client = FakeClient(process, POST.replace(b": 5", b": 50"), stream=True)
    client.leave()
    error = await fail(dispatch, client)
    assert error.why == "bad_body:truncated"
    assert not slot.entered


async def test_an_answer_that_comes_while_the_body_is_sent_is_passed_on_at_once(pool, process, dispatch):
    body = bytes(4 << 20)

    def early(peer):
        peer.receive_head()
        peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        threading.Event().wait(0.05)

    slot = pool.worker()
    slot._serve = early
    client = FakeClient(
        process, b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    await ask(dispatch, client)
    assert client.read().startswith(b"HTTP/1.1 413")
