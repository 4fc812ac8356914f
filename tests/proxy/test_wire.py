import errno
import os
import socket
import struct
import time
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.proxy.fakes_core import TIME, NewPair, Peer
from trivet_proxy.wire import Wire, WireClosed, wait_either


@pytest.fixture(params=["plain", "tls"])
def kind_of_wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_receives_what_is_there_without_waiting(new_pair: NewPair) -> None:
    wire, peer = new_pair()
    assert wire.try_receive() is None
    await peer.send(b"hello")
    assert wire.try_receive(2) == b"he"
    assert await wire.receive() == b"llo"
    wire.close()
    peer.close()


async def test_waits_for_bytes_and_for_the_end(new_pair: NewPair) -> None:
    wire, peer = new_pair()
    got: list[bytes] = []

    async def receive() -> None:
        while data := await wire.receive():
            got.append(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        await peer.send(b"one")
        await wait_all_tasks_blocked()
        await peer.send(b"two")
        await wait_all_tasks_blocked()
        peer.close()
    assert got == [b"one", b"two"]
    wire.close()


async def test_a_reset_is_an_end_for_who_receives_and_an_error_for_who_sends(new_pair: NewPair) -> None:
    wire, peer = new_pair()
    wire.try_send(b"never read")
    peer.close()
    assert await wire.receive() == b""
    with pytest.raises(WireClosed) as closed:
        wire.try_send(b"x")
    assert closed.value.why == "peer"
    assert wire.ended_by is None
    wire.close()


async def test_closing_wakes_the_waiting_task_with_the_reason(new_pair: NewPair) -> None:
    wire, peer = new_pair()
    whys: list[str] = []

    async def wait() -> None:
        with pytest.raises(WireClosed) as closed:
            await wire.receive()
        whys.append(closed.value.why)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        wire.close("idle_timeout")
        wire.close("later")
    assert whys == ["idle_timeout"] == [wire.ended_by]
    assert wire.fd == -1
    with pytest.raises(WireClosed, match="idle_timeout"):
        wire.try_send(b"x")
    with pytest.raises(WireClosed, match="idle_timeout"):
        await wire.receive()
    with pytest.raises(WireClosed, match="idle_timeout"):
        await wire.wait_until_writable()
    peer.close()


async def test_closing_wakes_a_sender_too(new_pair: NewPair) -> None:
    wire, peer = new_pair(buffer=4096)

    async def send() -> None:
        with pytest.raises(WireClosed, match="write_timeout"):
            await wire.send(b"x" * 10_000_000)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        wire.expire("write_timeout")
    peer.close()


@pytest.mark.parametrize("way", ["wait_readable", "wait_writable"])
async def test_what_cannot_be_waited_for_is_let_go(
    new_pair: NewPair, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    async def wait(fd: int) -> None:
        raise OSError(errno.ENOSPC, "fs.epoll.max_user_watches")

    monkeypatch.setattr(f"trivet_proxy.wire.{way}", wait)
    wire, peer = new_pair()
    with pytest.raises(WireClosed, match="overloaded"):
        await (wire.wait_until_readable() if way == "wait_readable" else wire.wait_until_writable())
    assert wire.fd < 0
    peer.close()


async def test_a_descriptor_number_used_again_is_not_touched(new_pair: NewPair) -> None:
    wire, peer = new_pair()
    number = wire.fd
    wire.close("gone")
    other = os.dup(peer.raw.fileno())
    assert other == number
    wire.close("again")
    wire.abort("again")
    os.fstat(other)
    os.close(other)
    peer.close()


async def test_sends_all_of_a_large_piece_in_order(new_pair: NewPair) -> None:
    wire, peer = new_pair(buffer=4096)
    data = os.urandom(300_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.send, data)
        assert await peer.receive_exactly(len(data)) == data
    assert wire.try_send_parts((b"a", memoryview(b"bc"), b"d")) == 4
    assert await peer.receive_exactly(4) == b"abcd"
    wire.close()
    peer.close()


async def test_sends_a_file_and_says_when_it_was_shorter(new_pair: NewPair, tmp_path: Path) -> None:
    wire, peer = new_pair(buffer=4096)
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4000)
    sent: list[int] = []

    async def send() -> None:
        with path.open("rb") as file:
            sent.append(await wire.send_file(file.fileno(), 256, 10_000_000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        data = await peer.receive_exactly(256 * 3999)
    assert data == bytes(range(256)) * 3999
    assert sent == [256 * 3999]
    wire.close()
    peer.close()


async def test_a_file_that_cannot_be_read_ends_early(new_pair: NewPair, tmp_path: Path) -> None:
    wire, peer = new_pair()
    directory = os.open(tmp_path, os.O_RDONLY)
    assert await wire.send_file(directory, 0, 10) == 0
    os.close(directory)
    wire.close()
    with pytest.raises(WireClosed):
        wire.try_send_file(0, 0, 10)
    peer.close()


@pytest.mark.parametrize("pipelined", [b"", b"GET /2 HTTP/1.1\r\n\r\n"])
async def test_sees_that_the_peer_left_behind_unread_bytes(new_pair: NewPair, pipelined: bytes) -> None:
    wire, peer = new_pair()
    await peer.send(pipelined)
    assert not wire.has_hung_up()
    assert wire.has_input() == bool(pipelined)
    peer.close()
    assert wire.has_hung_up()
    assert wire.has_input()
    wire.close()
    assert wire.has_hung_up()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_whatever_a_peer_has_sent_or_ended_is_input(family: int) -> None:
    """A kept connection with input is thrown away: what lies there is no answer to the next request."""
    ends = {
        "nothing": (lambda peer: None, False),
        "a byte": (lambda peer: peer.send(b"x"), True),
        "its side": (lambda peer: peer.shutdown(socket.SHUT_WR), True),
        "all": (lambda peer: peer.close(), True),
        "all, with what we sent unread": (lambda peer: peer.close(), True),
        "reset": (reset, True),
    }
    for what, (end, is_input) in ends.items():
        ours, peer = connected(family)
        wire = Wire(ours)
        if "unread" in what:
            wire.try_send(b"x")
        assert not wire.has_input()
        end(peer)
        until = time.monotonic() + TIME  # the loop device may be a moment late
        while is_input and not wire.has_input() and time.monotonic() < until:
            await trio.lowlevel.checkpoint()
        assert wire.has_input() == is_input, what
        wire.close()
        assert wire.has_input()
        peer.close()


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def connected(family: int) -> tuple[socket.socket, socket.socket]:
    if family == socket.AF_UNIX:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        return ours, listener.accept()[0]


async def test_abort_resets_where_close_ends() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    ends = []
    for end in ("abort", "close"):
        client = Peer(socket.create_connection(listener.getsockname()))
        wire = Wire(listener.accept()[0])
        getattr(wire, end)("cut")
        try:
            ends.append(await client.receive())
        except ConnectionResetError:
            ends.append(b"reset")
        client.close()
    assert ends == [b"reset", b""]
    listener.close()


async def test_after_end_sending_the_peer_is_still_heard(new_pair: NewPair, kind_of_wire: str) -> None:
    wire, peer = new_pair()
    wire.end_sending()
    assert await peer.receive() == b""
    await peer.send(b"more")
    heard = await wire.receive()
    assert heard == b"more" or (kind_of_wire == "tls" and heard)  # to be thrown away, and so not decrypted
    wire.close()
    wire.end_sending()
    peer.close()


async def test_who_never_has_to_wait_gives_way_now_and_then(new_pair: NewPair) -> None:
    """Without it one client that pipelines kept every other task from running (prototypes/starve.py)."""
    wire, peer = new_pair()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await trio.lowlevel.checkpoint()
        before = turns
        for _ in range(64):
            await wire.send(b"small")
        assert 3 <= turns - before <= 8
        await peer.receive_exactly(64 * 5)
        before = turns
        for _ in range(16):
            await peer.send(b"x" * 65536)
            await wire.receive()
        assert turns - before >= 2
        nursery.cancel_scope.cancel()
    wire.close()
    peer.close()


class TestWaitEither:
    async def test_returns_when_one_is_readable(self, new_pair: NewPair) -> None:
        (upstream, slot), (client, _browser) = new_pair(), new_pair(buffer=4096)
        while client.try_send(b"x" * 65536):
            pass
        async with trio.open_nursery() as nursery:
            with trio.fail_after(TIME):
                nursery.start_soon(wait_either, [upstream], [client])
                await wait_all_tasks_blocked()
                assert len(nursery.child_tasks) == 1
                await slot.send(b"answer")
        assert upstream.try_receive() == b"answer"

    async def test_returns_when_one_is_writable(self, new_pair: NewPair) -> None:
        (upstream, _slot), (client, browser) = new_pair(), new_pair(buffer=4096)
        while client.try_send(b"x" * 65536):
            pass
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_either, [upstream], [client])
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            await browser.receive()

    async def test_both_directions_of_one_wire(self, new_pair: NewPair) -> None:
        """A peer that echoes while it reads: sending all before receiving would deadlock (duplex.py)."""
        wire, peer = new_pair(buffer=4096)

        async def echo() -> None:
            while data := await peer.receive():
                await peer.send(data)

        body = os.urandom(1 << 20)
        sent, got = 0, b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo)
            with trio.fail_after(TIME):
                while len(got) < len(body):
                    await wait_either([wire], [wire] if sent < len(body) else [])
                    sent += wire.try_send(body[sent : sent + 65536]) if sent < len(body) else 0
                    got += wire.try_receive() or b""
            nursery.cancel_scope.cancel()
        assert got == body

    @pytest.mark.parametrize("which", [0, 1])
    async def test_closing_any_of_them_wakes_it(self, new_pair: NewPair, which: int) -> None:
        (upstream, _slot), (client, _browser) = new_pair(), new_pair(buffer=4096)
        while client.try_send(b"x" * 65536):
            pass

        async def wait() -> None:
            with pytest.raises(WireClosed, match="deadline"):
                await wait_either([upstream], [client])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            (upstream, client)[which].close("deadline")
        with pytest.raises(WireClosed, match="deadline"):
            await wait_either([upstream], [client])

    async def test_without_a_descriptor_it_looks_again_later(
        self, new_pair: NewPair, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        def refuse() -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr("trivet_proxy.wire.select.epoll", refuse)
        (upstream, _slot), (client, _browser) = new_pair(), new_pair()
        before = trio.current_time()
        await wait_either([upstream], [client])
        assert trio.current_time() > before

    async def test_leaves_no_descriptor(self, new_pair: NewPair) -> None:
        (upstream, slot), (client, _browser) = new_pair(), new_pair()
        await slot.send(b"x")
        before = len(os.listdir("/proc/self/fd"))
        await wait_either([upstream], [client])
        with trio.move_on_after(0):
            await wait_either([client], [])
        assert len(os.listdir("/proc/self/fd")) == before


async def test_one_that_cannot_be_asked_is_not_taken_for_quiet(
    new_pair: NewPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kept connection is thrown away then: raised here, it would be neither used nor closed."""
    wire, peer = new_pair()

    class Poll:
        def register(self, fd: int, events: int) -> None: ...

        def poll(self, timeout: int) -> list[tuple[int, int]]:
            raise OSError(errno.ENOMEM, "no memory")

    assert not wire.has_input()
    with monkeypatch.context() as patch:
        patch.setattr("trivet_proxy.wire.select.poll", Poll)
        assert wire.has_input()
    wire.close()
    peer.close()
