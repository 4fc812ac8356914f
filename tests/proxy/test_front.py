"""One proxy process, here as a task, with real sockets and the other end of its channel."""

import errno
import gc
import os
import pickle
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.proxy.fakes_core import TIME, Peer
from trivet_common.channel import Channel
from trivet_common.config import Settings, from_mapping
from trivet_common.listeners import BoundListener, Listeners, bind
from trivet_common.logs import ErrorLog
from trivet_proxy.front import Front, run_front
from trivet_proxy.front_board import read_front_board
from trivet_proxy.site import Site

GET = b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n"


class Process:
    """What a test sees of the process: its addresses, its log, its master's end of the channel."""

    def __init__(self, place: Path, settings: Settings, count: int) -> None:
        self.place = place
        self.settings = settings
        self.listeners = bind(settings.listen, count)
        # As a master that has forked: its copies stay open when the process closes its own.
        self.masters_copies = [one.socket.dup() for one in self.listeners]
        self.addresses = [
            [_address(one) for one in self.listeners.for_process(index)] for index in range(count)
        ]
        self.channel, theirs = Channel.pair()
        self.error_log = ErrorLog(place / "error.log", "proxy")
        self.front = Front(0, count, settings, self.listeners, theirs, self.error_log)
        self._theirs = theirs
        self.status: int | None = None
        self._clients: list[Peer] = []

    async def run(self) -> None:
        self.status = await self.front.run()

    def connect(self, index: int = 0) -> Peer:
        address = self.addresses[index][0]
        family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.connect(address)
        sock.setblocking(False)
        self._clients.append(Peer(sock))
        return self._clients[-1]

    async def ask(self, peer: Peer) -> tuple[int, dict[bytes, bytes], bytes]:
        await peer.send(GET)
        return await peer.receive_answer()

    def tell(self, message: bytes) -> None:
        self.channel.send(message)

    async def hear(self) -> bytes:
        with trio.fail_after(TIME):
            while (message := self.channel.receive()) is None:
                await trio.lowlevel.wait_readable(self.channel.fileno())
        return message

    async def wait_until_gone(self) -> None:
        with trio.fail_after(TIME):
            while self.status is None:
                await trio.sleep(0.005)

    def log_text(self) -> str:
        return (self.place / "error.log").read_text()

    def close(self) -> None:
        self.listeners.close()
        for sock in self.masters_copies:
            sock.close()
        for peer in self._clients:
            peer.raw.close()
        self.channel.close()
        self._theirs.close()
        self.error_log._target.close()


def _address(listener: BoundListener) -> Any:
    return str(listener.listen.path) if listener.listen.kind == "unix" else listener.socket.getsockname()


def settings_of(place: Path, text: str = "old", **more: Any) -> Settings:
    return from_mapping(
        {
            "listen": "127.0.0.1:0",
            "run_dir": str(place),
            "spool": {"dir": str(place)},
            "routes": [{"path": "/", "respond": text}],
            "log": {"access": str(place / "access.log")},
            **more,
        }
    )


@asynccontextmanager
async def started(place: Path, count: int = 1, **more: Any) -> AsyncIterator[Process]:
    process = Process(place, settings_of(place, **more), count)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.run)
            assert await process.hear() == b"ready"
            yield process
            if process.status is None:
                process.tell(b"quit")
    finally:
        process.close()


async def test_answers_and_logs(tmp_path: Path) -> None:
    async with started(tmp_path) as process:
        peer = process.connect()
        assert (await process.ask(peer))[2] == b"old"
        assert (await process.ask(peer))[0] == 200
        await trio.sleep(1.1)
        lines = (tmp_path / "access.log").read_text().splitlines()
        assert len(lines) == 2
        assert lines[0].startswith("127.0.0.1 - - [")
        row = read_front_board(tmp_path / "front.board")[0]
        assert (row.pid, row.connections, row.idle, row.requests) == (os.getpid(), 1, 1, 2)
    assert process.status == 0
    assert read_front_board(tmp_path / "front.board") == []


async def test_a_unix_socket_has_no_address_to_log(tmp_path: Path) -> None:
    async with started(tmp_path, listen=f"unix:{tmp_path}/http.sock") as process:
        assert (await process.ask(process.connect()))[0] == 200
    assert (tmp_path / "access.log").read_text().startswith("- - - [")


async def test_an_exception_in_a_task_of_the_process_is_not_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("surprise")

    shows = 0

    def show(*args: object) -> None:
        nonlocal shows
        shows += 1
        if shows == 2:  # the first is that of a new row
            raise ZeroDivisionError("surprise")

    monkeypatch.setattr("trivet_proxy.front_board.FrontRow.show", show)
    async with started(tmp_path) as process:
        assert (await process.ask(process.connect()))[0] == 200
        assert "ZeroDivisionError: surprise" in process.log_text()
        with trio.fail_after(TIME):
            while shows < 4:
                await trio.sleep(0.05)


class TestReload:
    async def test_nothing_changes_before_the_switch(self, tmp_path: Path) -> None:
        async with started(tmp_path) as process:
            peer = process.connect()
            process.tell(b"reload " + pickle.dumps(settings_of(tmp_path, "new")))
            assert await process.hear() == b"ok"
            assert (await process.ask(peer))[2] == b"old"
            process.tell(b"switch")
            await wait_all_tasks_blocked()
            assert (await process.ask(peer))[2] == b"new"
            assert (await process.ask(process.connect()))[2] == b"new"

    async def test_nothing_holds_the_site_before(self, tmp_path: Path) -> None:
        """Its folders would stay open, and what is mounted there busy, as long as the process lives."""

        def sites() -> int:
            # Not isinstance: that asks other libraries' lazy objects what they are.
            return sum(type(one) is Site for one in gc.get_objects())

        async with started(tmp_path) as process:
            gc.unfreeze()
            gc.collect()
            before = sites()
            process.tell(b"reload " + pickle.dumps(settings_of(tmp_path, "new")))
            assert await process.hear() == b"ok"
            process.tell(b"switch")
            await wait_all_tasks_blocked()
            assert (await process.ask(process.connect()))[2] == b"new"
            gc.collect()
            assert sites() == before

    async def test_what_is_dropped_never_comes(self, tmp_path: Path) -> None:
        async with started(tmp_path) as process:
            process.tell(b"reload " + pickle.dumps(settings_of(tmp_path, "new")))
            assert await process.hear() == b"ok"
            process.tell(b"drop")
            process.tell(b"switch")
            await wait_all_tasks_blocked()
            assert (await process.ask(process.connect()))[2] == b"old"

    async def test_what_cannot_be_served_is_said_and_the_old_goes_on(self, tmp_path: Path) -> None:
        (tmp_path / "static").mkdir()
        new = settings_of(tmp_path, routes=[{"path": "/", "files": str(tmp_path / "static")}])
        (tmp_path / "static").rmdir()
        async with started(tmp_path) as process:
            process.tell(b"reload " + pickle.dumps(new))
            answer = await process.hear()
            assert answer.startswith(b"no ")
            assert b"static" in answer
            process.tell(b"reload rubbish")
            assert (await process.hear()).startswith(b"no ")
            process.tell(b"switch")
            await wait_all_tasks_blocked()
            assert (await process.ask(process.connect()))[2] == b"old"

    async def test_the_log_moves_with_it(self, tmp_path: Path) -> None:
        async with started(tmp_path) as process:
            new = settings_of(tmp_path, log={"access": str(tmp_path / "other.log"), "format": "json"})
            process.tell(b"reload " + pickle.dumps(new))
            assert await process.hear() == b"ok"
            process.tell(b"switch")
            await wait_all_tasks_blocked()
            await process.ask(process.connect())
        assert (tmp_path / "access.log").read_text() == ""
        assert '"status": 200' in (tmp_path / "other.log").read_text()

    async def test_logs_are_reopened(self, tmp_path: Path) -> None:
        async with started(tmp_path) as process:
            peer = process.connect()
            await process.ask(peer)
            (tmp_path / "access.log").rename(tmp_path / "access.log.1")
            process.tell(b"reopen")
            await wait_all_tasks_blocked()
            await process.ask(peer)
        assert len((tmp_path / "access.log.1").read_text().splitlines()) == 1
        assert len((tmp_path / "access.log").read_text().splitlines()) == 1


class TestLeaving:
    @pytest.mark.parametrize("how", ["drain", "term"])
    async def test_finishes_what_was_begun_and_accepts_no_more(self, tmp_path: Path, how: str) -> None:
        async with started(tmp_path) as process:
            idle, busy = process.connect(), process.connect()
            await process.ask(idle)
            await busy.send(GET[:-2])
            await wait_all_tasks_blocked()
            waiting = process.connect()  # in the backlog, perhaps: the kernel has accepted it
            if how == "drain":
                process.tell(b"drain")
            else:
                os.kill(os.getpid(), signal.SIGTERM)
            assert await process.hear() == b"closed"
            assert await idle.receive() == b""
            await busy.send(b"\r\n")
            assert (await busy.receive_answer())[1][b"connection"] == b"close"
            assert (await process.ask(waiting))[1][b"connection"] == b"close"
            assert process.status is None
            busy.close()
            waiting.close()
            await process.wait_until_gone()
        assert process.status == 0

    async def test_at_once_when_nobody_is_there(self, tmp_path: Path) -> None:
        async with started(tmp_path) as process:
            process.tell(b"drain")
            await process.wait_until_gone()

    async def test_within_stop_timeout(self, autojump_clock: MockClock, tmp_path: Path) -> None:
        async with started(tmp_path, stop_timeout="5s") as process:
            peer = process.connect()
            await peer.send(GET[:-2])
            await wait_all_tasks_blocked(0.01)
            before = trio.current_time()
            process.tell(b"drain")
            while process.status is None:
                await trio.sleep(0.1)
            assert 4.9 < trio.current_time() - before < 5.3

    async def test_at_once_when_told_so(self, tmp_path: Path) -> None:
        async with started(tmp_path) as process:
            peer = process.connect()
            await peer.send(GET[:-2])
            process.tell(b"quit")
            await process.wait_until_gone()
            assert await peer.receive() == b""

    async def test_an_orphan_closes_its_sockets_and_is_gone_soon(
        self, autojump_clock: MockClock, tmp_path: Path
    ) -> None:
        async with started(tmp_path) as process:
            peer = process.connect()
            await peer.send(GET[:-2])
            await wait_all_tasks_blocked(0.01)
            before = trio.current_time()
            process.channel.close()
            while process.status is None:
                await trio.sleep(0.1)
            assert 1.4 < trio.current_time() - before < 1.8
            assert process.listeners.for_process(0)[0].socket.fileno() == -1
        assert "the master is gone" in process.log_text()


class TestRoom:
    async def test_one_address_has_so_many_and_the_next_is_told_so(self, tmp_path: Path) -> None:
        async with started(tmp_path, limits={"connections_per_client": 2}) as process:
            first, second = process.connect(), process.connect()
            for peer in (first, second):
                await peer.send(GET[:-2])  # not idle: neither can make room
            await trio.sleep(0.05)
            third = process.connect()
            status, fields, page = await third.receive_answer()
            assert (status, fields[b"connection"]) == (503, b"close")
            assert b"per_client" in page
            assert await third.receive() == b""
            assert process.front._clients.connections == 2
            assert process.log_text().count("connections_per_client") == 1
            await first.send(b"\r\n")
            assert (await first.receive_answer())[0] == 200
            fourth = process.connect()  # the first is idle now
            assert (await process.ask(fourth))[0] == 200
            assert await first.receive() == b""

    async def test_a_trusted_proxy_is_many_clients(self, tmp_path: Path) -> None:
        limits = {"connections_per_client": 1}
        async with started(tmp_path, limits=limits, trusted_proxies=["127.0.0.1"]) as process:
            peers = [process.connect() for _ in range(4)]
            for peer in peers:
                assert (await process.ask(peer))[0] == 200
            for peer in peers:
                assert (await process.ask(peer))[0] == 200

    async def test_at_the_limit_the_longest_idle_makes_room(self, tmp_path: Path) -> None:
        async with started(tmp_path, limits={"connections": 2}) as process:
            first, second = process.connect(), process.connect()
            await process.ask(first)
            await process.ask(second)
            third = process.connect()
            assert (await process.ask(third))[0] == 200
            assert await first.receive() == b""
            assert (await process.ask(second))[0] == 200

    async def test_without_an_idle_one_the_next_waits_in_the_backlog(self, tmp_path: Path) -> None:
        async with started(tmp_path, limits={"connections": 1}) as process:
            first, second = process.connect(), process.connect()
            await first.send(GET[:-2])
            await second.send(GET)
            with trio.move_on_after(0.1):
                await second.receive()
                raise AssertionError("it was served beyond the limit")
            await first.send(b"\r\n")
            assert (await first.receive_answer())[0] == 200
            assert (await second.receive_answer())[0] == 200

    async def test_out_of_descriptors_it_neither_spins_nor_floods_the_log(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with started(tmp_path) as process:
            idle = process.connect()
            await process.ask(idle)
            listener = process.listeners.for_process(0)[0]
            tries = 0

            class Starved:
                """The listening socket while no descriptor is left."""

                def fileno(self) -> int:
                    return real.fileno()

                def accept(self) -> Any:
                    nonlocal tries
                    tries += 1
                    raise OSError(errno.EMFILE, "Too many open files")

                def close(self) -> None:
                    real.close()

            real, listener.socket = listener.socket, Starved()  # type: ignore[assignment]
            late = process.connect()
            assert await idle.receive() == b""
            await trio.sleep(0.55)
            assert 3 <= tries <= 8
            listener.socket = real
            assert (await process.ask(late))[0] == 200
            assert process.log_text().count("no new connection") == 1

    async def test_connections_that_are_over_before_they_begin(self, tmp_path: Path) -> None:
        """connect, reset, thousands of times."""
        async with started(tmp_path) as process:
            for _ in range(200):
                sock = socket.create_connection(process.addresses[0][0])
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.close()
            with trio.fail_after(TIME):
                assert (await process.ask(process.connect()))[0] == 200
                while process.front._clients.connections > 1:
                    await trio.sleep(0.01)
            assert process.log_text() == ""


async def test_serves_a_siblings_sockets_as_long_as_it_is_told_to(tmp_path: Path) -> None:
    """The kernel spreads clients over the sockets of both; here the second process never came up."""
    async with started(tmp_path, count=2) as process:
        clients = [process.connect() for _ in range(24)]
        for client in clients:
            await client.send(GET)
        await trio.sleep(0.05)
        assert 0 < process.front._clients.requests < 24
        process.tell(b"adopt 1")
        for client in clients:
            assert (await client.receive_answer())[0] == 200
        process.tell(b"return 1")
        await wait_all_tasks_blocked()
        for client in clients:
            assert (await process.ask(client))[0] == 200
        more = [process.connect() for _ in range(24)]
        await trio.sleep(0.05)
        assert 24 < process.front._clients.connections < 24 + len(more)


def test_a_log_that_cannot_be_opened_is_told_to_the_master(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (tmp_path / "access.log").mkdir()
    ours, theirs = Channel.pair()
    listeners = Listeners([])
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)]
    try:
        assert run_front(0, 1, settings, listeners, theirs, ErrorLog(None, "proxy")) == 1
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGHUP, signal.SIGUSR1), before, strict=True):
            signal.signal(number, handler)
    message = ours.receive()
    assert message is not None
    assert message.startswith(b"failed ")
    assert b"access.log" in message
    ours.close()
    theirs.close()
