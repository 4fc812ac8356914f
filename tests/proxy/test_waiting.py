"""dispatch/waiting.py: the one way out of a line. What lines give out: test_queue.py and test_line.py."""

import trio
import trio.testing
from trio.lowlevel import wait_task_rescheduled

from trivet_common.http1.reasons import refuse
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.dispatch.terms import QueueLimits
from trivet_proxy.dispatch.waiting import Place, Waiting


class Claimant:
    def __init__(self):
        self.queued = []

    def is_gone(self):
        return False

    def note_queued(self, seconds):
        self.queued.append(seconds)


class Room(Waiting):
    """The least that a line is."""

    def __init__(self):
        super().__init__(QueueLimits(5, 1.0), Deadlines())
        self.ended = []

    async def wait(self, claimant):
        self.place = Place(claimant, self)
        self.waiting += 1
        try:
            await wait_task_rescheduled(lambda _: self._abandon(self.place))
            self.ended.append(self.place.error)
        except trio.Cancelled:
            self.ended.append("cancelled")
            raise

    def _expire(self, place, why):
        self._leave(place, refuse(why))


async def begun(nursery):
    room, claimant = Room(), Claimant()
    nursery.start_soon(room.wait, claimant)
    await trio.testing.wait_all_tasks_blocked()
    assert repr(room) == "<Room waiting=1 of 5>"
    return room, claimant


async def test_it_leaves_once(nursery):
    room, claimant = await begun(nursery)
    room._leave(room.place, None)
    room.place.expire("queue_timeout")
    room._leave(room.place, refuse("queue_full"))
    await trio.testing.wait_all_tasks_blocked()
    assert (room.ended, room.waiting, len(claimant.queued)) == ([None], 0, 1)


async def test_its_time_is_over(nursery):
    room, claimant = await begun(nursery)
    room.place.expire("queue_timeout")
    room._leave(room.place, None)
    await trio.testing.wait_all_tasks_blocked()
    assert [error.why for error in room.ended] == ["queue_timeout"]
    assert (room.waiting, len(claimant.queued)) == (0, 1)


async def test_who_is_cancelled_gives_the_place_back():
    async with trio.open_nursery() as nursery:
        room, claimant = await begun(nursery)
        nursery.cancel_scope.cancel()
    room.place.expire("queue_timeout")
    assert (room.ended, room.waiting, len(claimant.queued)) == (["cancelled"], 0, 1)
