"""Health from the pools' boards: ready while every pool has a slot that takes requests."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from trivet_common.http1.errors import HttpError
from trivet_common.pool.board import STATE, Board, SlotState
from trivet_common.pool.places import RunDir
from trivet_proxy.handlers.health import Readiness, live_handler, ready_handler


@dataclass
class FakeHead:
    method: bytes = b"GET"


@dataclass
class FakeRequest:
    head: FakeHead


class FakeWriter:
    async def send(self, status, headers, body=b"", reason=None):
        self.status, self.headers, self.body = status, dict(headers), body


async def ask(handler, method=b"GET"):
    writer = FakeWriter()
    await handler(FakeRequest(FakeHead(method)), writer)
    return writer.status, json.loads(writer.body)


@pytest.fixture
def pools(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    run_dir.create()
    places = {name: run_dir.pool(name) for name in ("web", "api")}
    for pool in places.values():
        pool.create()
    return places


def board_of(pool, incarnation, *states):
    board = Board.create(pool.board(incarnation), incarnation, len(states), 1)
    for slot, state in enumerate(states):
        board.slot(slot).words[STATE] = state
    return board


async def test_ready_needs_a_slot_in_every_pool(pools):
    now = 100.0
    is_draining = False
    handler = ready_handler(Readiness(pools, lambda: now), lambda: is_draining)
    assert await ask(handler) == (503, {"status": "starting", "slots": {"web": 0, "api": 0}})
    board_of(pools["web"], 1, SlotState.IDLE, SlotState.RUNNING)
    board_of(pools["api"], 1, SlotState.RETIRING, SlotState.STARTING)
    now += 0.3
    assert await ask(handler) == (503, {"status": "starting", "slots": {"web": 2, "api": 0}})
    board_of(pools["api"], 2, SlotState.READING)
    assert (await ask(handler))[0] == 503  # remembered for 250 ms
    now += 0.3
    assert await ask(handler) == (200, {"status": "ready", "slots": {"web": 2, "api": 1}})
    is_draining = True
    assert await ask(handler) == (503, {"status": "draining", "slots": {"web": 2, "api": 1}})


async def test_boards_are_not_trusted(pools):
    pool = pools["web"]
    board_of(pool, 1, SlotState.IDLE)
    pool.board(2).write_bytes(b"rubbish")
    pool.board(3).mkdir()
    board_of(pool, 4, 2**63, 77)
    pool.board(5).symlink_to(pool.board(1))
    assert Readiness({"web": pool}).live_slots() == {"web": 1}


async def test_without_pools_it_is_ready(pools):
    assert await ask(ready_handler(Readiness({}), lambda: False)) == (200, {"status": "ready", "slots": {}})


async def test_live():
    is_alive = True
    handler = live_handler(lambda: is_alive)
    assert await ask(handler) == (200, {"status": "live"})
    assert (await ask(handler, b"HEAD"))[0] == 200
    is_alive = False
    assert await ask(handler) == (503, {"status": "stuck"})


async def test_other_methods(pools):
    for handler in (live_handler(lambda: True), ready_handler(Readiness(pools), lambda: False)):
        with pytest.raises(HttpError) as raised:
            await ask(handler, b"POST")
        assert raised.value.headers == ((b"allow", b"GET, HEAD"),)
