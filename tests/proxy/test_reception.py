"""Who was accepted and has not said whom the connection is for counts like everybody else."""

from pathlib import Path

import trio
from trio.testing import wait_all_tasks_blocked

from tests.proxy.test_front import started

LISTEN = {"address": "127.0.0.1:0", "proxy_protocol": ["127.0.0.0/8"]}
LINE = b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 80\r\n"


async def test_a_newcomer_counts(tmp_path: Path) -> None:
    async with started(tmp_path, listen=LISTEN) as process:
        peer = process.connect()
        await wait_all_tasks_blocked(0.05)
        assert process.front._clients.connections == 1
        await peer.send(LINE)
        assert (await process.ask(peer))[0] == 200
        assert process.front._clients.connections == 1
        peer.close()
        with trio.fail_after(5):
            await process.front._clients.wait_until_empty()


async def test_a_silent_one_makes_room(tmp_path: Path) -> None:
    async with started(tmp_path, listen=LISTEN, limits={"connections": 2}) as process:
        silent = process.connect(), process.connect()
        await wait_all_tasks_blocked(0.05)
        last = process.connect()
        await last.send(LINE)
        assert (await process.ask(last))[0] == 200
        assert await silent[0].receive() == b""


async def test_a_stop_waits_for_who_is_being_introduced_and_for_no_silent_one(tmp_path: Path) -> None:
    async with started(tmp_path, listen=LISTEN) as process:
        silent, half = process.connect(), process.connect()
        await half.send(LINE[:10])
        await wait_all_tasks_blocked(0.05)
        process.tell(b"drain")
        assert await silent.receive() == b""
        assert process.status is None
        await half.send(LINE[10:])
        status, fields, _ = await process.ask(half)
        assert (status, fields[b"connection"]) == (200, b"close")
        await process.wait_until_gone()
