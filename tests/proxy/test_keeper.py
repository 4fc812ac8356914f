"""When a tree is kept, and that nothing about it ends the process that serves it."""

from __future__ import annotations

import os
import threading
import time

import pytest
import trio

from tests.proxy.deploys import Deploys
from trivet_proxy import keeper as keeper_room
from trivet_proxy.folder import Folder
from trivet_proxy.keeper import Keeper
from trivet_proxy.kept_assets import KeptAssets

ONE, TWO = "js/app.1a1111111111.js", "js/app.2a2222222222.js"


@pytest.fixture
def deploys(tmp_path):
    return Deploys(tmp_path)


async def until(is_so) -> None:
    with trio.fail_after(10):
        while not is_so():
            await trio.sleep(0.01)


async def test_the_keeper_takes_at_once_and_at_every_change(deploys):
    said: list[str] = []
    deploys.release(1, ONE)
    keeper = Keeper(Folder(deploys.current), deploys.kept, said.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        await until(lambda: deploys.files() == {ONE})
        deploys.release(2, TWO)
        await until(lambda: deploys.files() == {ONE, TWO})
        keeper.stop()
    assert said == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RecursionError("too deep")])
async def test_what_goes_wrong_is_said_once_and_tried_again(deploys, monkeypatch, error):
    said: list[str] = []
    tries: list[None] = []

    def fail(*arguments):
        tries.append(None)
        raise error

    monkeypatch.setattr(KeptAssets, "take", fail)
    monkeypatch.setattr(keeper_room, "_AGAIN", 0.0)
    monkeypatch.setattr(keeper_room, "LOOK_AGAIN", 0.01)
    deploys.release(1, ONE)
    async with trio.open_nursery() as nursery:
        keeper = Keeper(Folder(deploys.current), deploys.kept, said.append)
        nursery.start_soon(keeper.run)
        await until(lambda: len(tries) > 2)
        keeper.stop()
    assert len(said) == 1
    assert "No space left" in said[0] or "too deep" in said[0]


async def test_a_keeper_that_is_stopped_leaves_the_rest(deploys, monkeypatch):
    deploys.release(1, *(f"{number}a{number}.27e20196a850.js" for number in range(9)))
    begun = threading.Event()
    link = os.link

    def slow(*arguments, **keys):
        begun.set()
        time.sleep(0.1)
        link(*arguments, **keys)

    monkeypatch.setattr(os, "link", slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Keeper(Folder(deploys.current), deploys.kept, [].append).run)
        await until(begun.is_set)
        nursery.cancel_scope.cancel()
    assert 0 < len(deploys.files()) < 9
