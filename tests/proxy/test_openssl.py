"""Messages that are no data hold nobody up (RFC 8446, 4.6.3; CVE-2011-1473), and no session is kept."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
import trustme

from tests.proxy.fakes_tls import NAME, authority, raw_pair
from tests.proxy.forged_records import (
    DATA,
    HANDSHAKE,
    KEY_UPDATE,
    KEY_UPDATE_REQUESTED,
    RENEGOTIATION,
    Forger,
)
from trivet_proxy import openssl
from trivet_proxy.tls_profile import new_context
from trivet_proxy.tls_wire import TlsWire
from trivet_proxy.wire import WireClosed

Meet = Callable[[str], Awaitable[tuple[TlsWire, Forger]]]


def contexts(version: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's."""
    server, context = new_context("intermediate", "off"), ssl.create_default_context()
    authority().issue_cert(NAME, key_type=trustme.KeyType.ECDSA).configure_cert(server)
    authority().configure_trust(context)
    if version == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    return server, context


@pytest.fixture
async def meet() -> AsyncIterator[Meet]:
    """A wire and its client, after their handshake."""
    made: list[tuple[TlsWire, Forger]] = []

    async def meet(version: str) -> tuple[TlsWire, Forger]:
        server, context = contexts(version)
        wire, theirs = raw_pair(None, server)
        theirs.settimeout(5)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wire.shake_hands)
                forger = await trio.to_thread.run_sync(Forger, theirs, context, NAME, version)
        made.append((wire, forger))
        return made[-1]

    yield meet
    for wire, forger in made:
        wire.close()
        forger.sock.close()


class Neighbour:
    """Another task of the same process."""

    turns = 0

    async def run(self) -> None:
        while True:
            self.turns += 1
            await trio.lowlevel.checkpoint()


def flood(forger: Forger, kind: bytes, count: int) -> bytes:
    if forger.is_new:
        return forger.key_updates(count, kind)
    return b"".join(forger.seal(HANDSHAKE, kind) for _ in range(count))


async def drip(forger: Forger, data: bytes) -> None:
    """A byte at a time, each as soon as there is room and nobody else has anything to do."""
    for byte in data:
        await trio.lowlevel.wait_writable(forger.sock)
        forger.sock.sendall(bytes([byte]))
        await trio.testing.wait_all_tasks_blocked()


FLOODS = [("1.3", KEY_UPDATE), ("1.3", KEY_UPDATE_REQUESTED), ("1.2", RENEGOTIATION)]


@pytest.mark.parametrize(("version", "kind"), FLOODS)
async def test_a_flood_ends_the_connection_and_holds_nobody_up(meet: Meet, version: str, kind: bytes) -> None:
    wire, forger = await meet(version)
    forger.sock.sendall(flood(forger, kind, 1000) + forger.seal(DATA, b"hello"))
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon((neighbour := Neighbour()).run)
            with pytest.raises(WireClosed, match="tls_flood"):
                await wire.receive()
            nursery.cancel_scope.cancel()
    assert neighbour.turns > openssl.MOST_MESSAGES // 2


async def test_who_sends_single_bytes_lets_others_have_their_turns(meet: Meet) -> None:
    """A record costs what many bytes cost: 2000 are a hundredth of a budget in bytes, and 8 ms."""
    wire, forger = await meet("1.3")
    forger.sock.sendall(b"".join(forger.seal(DATA, b"x") for _ in range(2000)))
    got = b""
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon((neighbour := Neighbour()).run)
            while len(got) < 2000:
                got += await wire.receive()
            nursery.cancel_scope.cancel()
    assert neighbour.turns >= 5


@pytest.mark.parametrize(("version", "kind"), FLOODS)
async def test_where_openssl_cannot_be_reached_a_flood_is_cut_off(
    meet: Meet, version: str, kind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openssl, "control", lambda: None)
    wire, forger = await meet(version)
    forger.sock.sendall(flood(forger, kind, 1000) + forger.seal(DATA, b"hello"))
    with trio.fail_after(10):
        assert await wire.receive() == b""


@pytest.mark.parametrize("is_reached", [True, False])
async def test_new_keys_now_and_then_are_in_order(
    meet: Meet, is_reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_reached:
        monkeypatch.setattr(openssl, "control", lambda: None)
    wire, forger = await meet("1.3")
    for at in range(10):
        forger.sock.sendall(forger.key_updates(5) + forger.seal(DATA, b"%d" % at + bytes(6000)))
        with trio.fail_after(5):
            assert await wire.receive() == b"%d" % at + bytes(6000)
    assert wire._messages == 0
    wire.try_send(b"x")  # with keys of its own that nobody asked to be renewed


async def test_a_record_in_pieces_is_no_message(meet: Meet) -> None:
    wire, forger = await meet("1.3")
    record = forger.seal(DATA, bytes(200))
    got: list[bytes] = []

    async def receive() -> None:
        got.append(await wire.receive())

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await drip(forger, record)
    assert got == [bytes(200)]
    assert wire._messages == 0


async def test_a_record_in_crumbs_costs_few_looks(meet: Meet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above, it is nothing until it is whole: nobody there can tell that it comes in single bytes."""
    wire, forger = await meet("1.3")
    looks, try_receive = 0, TlsWire.try_receive

    def look(wire: TlsWire, limit: int = 65536) -> bytes | None:
        nonlocal looks
        looks += 1
        return try_receive(wire, limit)

    monkeypatch.setattr(TlsWire, "try_receive", look)
    got: list[bytes] = []

    async def receive() -> None:
        got.append(await wire.receive())

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await drip(forger, forger.seal(DATA, bytes(500)))
    assert got == [bytes(500)]
    assert looks < 60
    began = trio.current_time()
    forger.sock.sendall(forger.seal(DATA, b"next"))  # a whole one waits for nothing
    assert await wire.receive() == b"next"
    assert trio.current_time() - began < 0.2


def test_nothing_is_done_without_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    if openssl.control() is None:
        pytest.skip("this interpreter's OpenSSL cannot be reached")
    for place in (openssl._PLACE - openssl._WORD, openssl._PLACE + openssl._WORD):
        monkeypatch.setattr(openssl, "_PLACE", place)
        assert openssl.control.__wrapped__() is None
    assert openssl._words(8) == []  # nothing lies there, and nothing ends


@pytest.mark.parametrize("takes_tickets", [True, False])
def test_no_session_is_kept(takes_tickets: bool) -> None:
    server, context = contexts("1.2")
    if not takes_tickets:
        context.options |= ssl.OP_NO_TICKET
    session = None
    for is_second in (False, True):
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = server.wrap_bio(there, back, server_side=True)
        theirs = context.wrap_bio(back, there, server_hostname=NAME, session=session)
        for end in (theirs, ours, theirs, ours, theirs):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
        with contextlib.suppress(ssl.SSLWantReadError):
            ours.unwrap()  # a connection that ends otherwise takes its session with it
        session = theirs.session
        assert theirs.session_reused == (is_second and takes_tickets)
        assert server.session_stats()["number"] == 0
