"""What only an encrypted wire does; what both kinds do is in test_wire.py, with every wire there."""

import os
import select
import socket
import ssl
import struct
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.proxy.fakes_tls import NAME, client_context, raw_pair, server_context, tls_pair
from trivet_proxy.tls_wire import HandshakeFailed, TlsWire
from trivet_proxy.wire import WireClosed, wait_either


def close(*ends: object) -> None:
    for end in ends:
        end.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_handshake_in_pieces(version: ssl.TLSVersion) -> None:
    wire, theirs = raw_pair()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(version).wrap_bio(incoming, outgoing, server_hostname=NAME)
    sock = trio.socket.from_stdlib_socket(theirs)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(10):
            nursery.start_soon(wire.shake_hands)
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    data = outgoing.read()
                    for at in range(0, len(data), 100):
                        await sock.send(data[at : at + 100])
                        await wait_all_tasks_blocked()
                    incoming.write(await sock.recv(65536))
            await sock.send(outgoing.read())
    client.write(b"hello")
    await sock.send(outgoing.read())
    assert await wire.receive() == b"hello"
    assert wire.certificate == b""
    close(wire, sock)


async def test_an_end_is_announced_when_nothing_is_owed() -> None:
    for why, last in [("", b""), ("idle_timeout", b""), ("write_timeout", None), ("cut", None)]:
        wire, peer = tls_pair()
        peer.raw.suppress_ragged_eofs = False
        wire.close(why)
        assert wire.fd == -1
        if last is None:
            with pytest.raises(ssl.SSLError):
                await peer.receive()
        else:
            assert await peer.receive() == last
        close(peer)


async def test_an_end_without_a_goodbye_is_an_end() -> None:
    wire, peer = tls_pair()
    peer.close()
    assert await wire.receive() == b""
    assert wire.has_hung_up()
    wire.close()


async def test_a_record_that_does_not_fit_is_sent_as_it_was_whatever_comes_next() -> None:
    """The caller repeats what was not taken, in other pieces: OpenSSL would end the connection for that."""
    wire, peer = tls_pair(buffer=4096)
    data = os.urandom(600_000)
    at = 0
    while sent := wire.try_send(data[at : at + 50_000]):
        at += sent
    assert 0 < at < len(data)
    assert wire.try_send(data[at : at + 1]) == 0
    assert wire.try_send_parts((data[at : at + 10], data[at + 10 : at + 30])) == 0
    got = b""
    sizes = [1, 7, 300, 20_000, 5]
    with trio.fail_after(10):
        while len(got) < len(data):
            got += await peer.receive() if len(got) < at or at < len(data) else b""
            while at < len(data):
                sizes.append(sizes.pop(0))
                sent = wire.try_send(data[at : at + sizes[0]])
                at += sent
                if not sent:
                    break
    assert got == data
    assert wire.given == len(data)
    close(wire, peer)


async def test_what_is_in_the_tls_buffer_is_readable_before_any_wait() -> None:
    wire, peer = tls_pair()
    await peer.send(b"abcdef")
    assert wire.try_receive(2) == b"ab"
    assert select.select([wire.fd], [], [], 0)[0] == []
    assert wire.is_ready_inside
    assert wire.has_input()
    with trio.fail_after(1):
        await wire.wait_until_readable()
        await wait_either([wire], [])
    assert wire.try_receive() == b"cdef"
    assert not wire.has_input()
    close(wire, peer)


async def test_single_bytes_are_received_together() -> None:
    wire, peer = tls_pair()
    for byte in b"GET / HTTP/1.1":
        await peer.send(bytes([byte]))
    assert await wire.receive() == b"GET / HTTP/1.1"
    close(wire, peer)


async def test_who_has_ended_and_reset_it_before_a_word_ends_nothing_else() -> None:
    """Python makes a socket without an SSL object of it then: three packets were the end of a process."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        theirs = socket.create_connection(door.getsockname())
        ours, _ = door.accept()
    with select.epoll() as ready:
        ready.register(ours, select.EPOLLRDHUP)
        theirs.shutdown(socket.SHUT_WR)
        assert ready.poll(5)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        ready.modify(ours, 0)  # EPOLLERR and EPOLLHUP are always told
        assert ready.poll(5)
    wire = TlsWire(
        ours,
        "192.0.2.7",
        partial(server_context().wrap_socket, server_side=True, do_handshake_on_connect=False),
    )
    with trio.fail_after(5), pytest.raises(HandshakeFailed, match=r"^$"):
        await wire.shake_hands()
    wire.close()


async def test_who_is_no_tls_client_is_told_apart() -> None:
    wire, theirs = raw_pair()
    theirs.send(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n")
    with pytest.raises(HandshakeFailed) as failed:
        await wire.shake_hands()
    assert failed.value.reason == "HTTP_REQUEST"
    bare = wire.give_up_encryption()
    assert wire.fd == -1
    bare.try_send(b"plainly")
    assert theirs.recv(100).endswith(b"plainly")
    close(bare, theirs)


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x40\x00" + bytes(100), os.urandom(300)])
async def test_garbage_and_silence_end_the_handshake(said: bytes) -> None:
    wire, theirs = raw_pair()
    theirs.send(said) if said else None
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(HandshakeFailed):
        await wire.shake_hands()
    close(wire, theirs)


async def test_nothing_is_said_before_the_handshake() -> None:
    wire, theirs = raw_pair()
    assert wire.try_send(b"one too many") == 0
    assert not wire.is_ready_inside
    wire.close()
    assert theirs.recv(100) == b""
    close(theirs)


async def test_closing_ends_a_handshake() -> None:
    wire, theirs = raw_pair()

    async def shake() -> None:
        with pytest.raises(WireClosed, match="handshake_timeout"):
            await wire.shake_hands()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake)
        await wait_all_tasks_blocked()
        wire.expire("handshake_timeout")
    close(theirs)


async def test_a_hello_in_single_bytes_wakes_us_seldom(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire, theirs = raw_pair()
    outgoing = ssl.MemoryBIO()
    client = client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    wakes = []
    real = ssl.SSLSocket.do_handshake

    def count(sock: ssl.SSLSocket) -> None:
        wakes.append(1)
        real(sock)

    monkeypatch.setattr(ssl.SSLSocket, "do_handshake", count)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.shake_hands)
        for byte in hello:
            theirs.send(bytes([byte]))
            await trio.sleep(0.01)
        await trio.sleep(1)
        assert theirs.recv(65536)
        nursery.cancel_scope.cancel()
    wire.close("enough")
    assert len(hello) > 200
    assert len(wakes) < 40
    close(theirs)
