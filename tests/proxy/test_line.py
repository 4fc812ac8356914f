"""upstreams/line.py: who waits, in which order, and for how long."""

import pytest
import trio
import trio.testing

from trivet_common.http1.errors import HttpError
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.dispatch.terms import QueueLimits
from trivet_proxy.upstreams.balance import Refusal
from trivet_proxy.upstreams.line import Line
from trivet_proxy.upstreams.server import Server


class Claimant:
    def __init__(self):
        self.has_left = False
        self.queued = []

    def is_gone(self):
        return self.has_left

    def note_queued(self, seconds):
        self.queued.append(seconds)


class Stage:
    """A line, and servers that have room when a test says so."""

    def __init__(self, nursery, limit=10, timeout=5.0):
        self.deadlines = Deadlines()
        nursery.start_soon(self.deadlines.run)
        self.line = Line(QueueLimits(limit, timeout), self.deadlines)
        self.nursery = nursery
        self.room = []
        self.done = []

    def choose(self, picky_about=()):
        free = [server for server in self.room if server not in picky_about]
        if free:
            self.room.remove(free[0])
            return free[0]
        return Refusal.FULL

    async def wait(self, name, picky_about=(), is_again=False, claimant=None):
        claimant = claimant or Claimant()
        try:
            found = await self.line.wait(claimant, lambda: self.choose(picky_about), is_again=is_again)
            self.done.append((name, found))
        except HttpError as error:
            self.done.append((name, error.why))
        return claimant

    async def enter(self, *args, **kwargs):
        self.nursery.start_soon(lambda: self.wait(*args, **kwargs))
        await trio.testing.wait_all_tasks_blocked()

    async def make_room(self, *servers):
        self.room += servers
        self.line.serve()
        await trio.testing.wait_all_tasks_blocked()


class FakeServer(Server):
    def __init__(self, name):
        self.name, self.entered = name, 0

    def __repr__(self):
        return self.name

    def enter(self):
        self.entered += 1


@pytest.fixture
async def stage(nursery):
    yield Stage(nursery)
    nursery.cancel_scope.cancel()


A, B = FakeServer("A"), FakeServer("B")


async def test_first_in_first_out(stage):
    for name in "xyz":
        await stage.enter(name)
    entered = A.entered
    await stage.make_room(A)  # one at a time: tasks that wake together run in any order
    await stage.make_room(A)
    assert stage.done == [("x", A), ("y", A)]
    assert A.entered == entered + 2
    assert stage.line.waiting == 1


async def test_who_had_a_server_already_stands_before_the_others(stage):
    await stage.enter("x")
    await stage.enter("again", is_again=True)
    assert (stage.line.waiting, stage.line.newcomers) == (2, 1)
    await stage.make_room(A)
    assert stage.done == [("again", A)]


async def test_what_one_does_not_want_another_takes(stage):
    await stage.enter("again", (A,), is_again=True)
    await stage.enter("x")
    await stage.make_room(A)
    assert stage.done == [("x", A)]
    await stage.make_room(B)
    assert stage.done[1:] == [("again", B)]


async def test_no_more_than_the_limit(stage):
    stage.line.limits = QueueLimits(1, 5.0)
    await stage.enter("x")
    await stage.enter("y")
    assert stage.done == [("y", "queue_full")]
    await stage.enter("again", is_again=True)
    assert stage.line.waiting == 2


async def test_nobody_waits_for_ever(stage):
    stage.line.limits = QueueLimits(5, 0.05)
    with trio.fail_after(5):
        claimant = await stage.wait("x")
    assert stage.done == [("x", "queue_timeout")]
    assert 0.04 < claimant.queued[0] < 2
    assert stage.line.waiting == 0


async def test_who_leaves_is_no_longer_there(stage):
    first, second = Claimant(), Claimant()
    await stage.enter("x", claimant=first)
    await stage.enter("y", claimant=second)
    first.has_left = True
    stage.line.drop_gone()
    await trio.testing.wait_all_tasks_blocked()
    assert stage.done == [("x", "client_left")]
    second.has_left = True
    await stage.make_room(A)
    assert stage.done[1:] == [("y", "client_left")]


async def test_no_server_is_left(stage):
    stage.choose = lambda picky_about: Refusal.NONE
    await stage.enter("x")
    await stage.make_room()
    assert stage.done == [("x", None)]


async def test_a_task_that_is_cancelled_leaves_its_place(stage):
    with trio.move_on_after(0.02):
        await stage.wait("x")
    assert (stage.line.waiting, stage.line.newcomers) == (0, 0)
