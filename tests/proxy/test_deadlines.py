import pytest
import trio
from trio.testing import MockClock

from tests.proxy.fakes_core import Target
from trivet_proxy.deadlines import Deadlines


@pytest.fixture
async def deadlines(nursery: trio.Nursery) -> Deadlines:
    found = Deadlines()
    nursery.start_soon(found.run)
    return found


async def test_expires_what_is_due_and_nothing_else(autojump_clock: MockClock, deadlines: Deadlines) -> None:
    soon, later, never = Target(), Target(), Target()
    deadlines.start(1.0, soon, "soon")
    deadlines.start(10.0, later, "later")
    deadlines.start(None, never, "never")
    await trio.sleep(0.95)
    assert soon.ended == []
    await trio.sleep(0.1)
    assert soon.ended == ["soon"]
    assert later.ended == []
    await trio.sleep(100)
    assert soon.ended == ["soon"]
    assert later.ended == ["later"]
    assert never.ended == []


async def test_an_earlier_one_wakes_the_sleeping_task(
    autojump_clock: MockClock, deadlines: Deadlines
) -> None:
    slow, quick = Target(), Target()
    deadlines.start(75.0, slow, "idle")
    await trio.sleep(1)
    deadlines.start(0.5, quick, "head")
    await trio.sleep(0.55)
    assert quick.ended == ["head"]


async def test_stopped_means_stopped(autojump_clock: MockClock, deadlines: Deadlines) -> None:
    target = Target()
    deadline = deadlines.start(1.0, target, "x")
    deadline.stop()
    await trio.sleep(5)
    assert target.ended == []
    deadline.move(1.0, "again")
    await trio.sleep(1.1)
    assert target.ended == ["again"]


async def test_moves_later_and_earlier(autojump_clock: MockClock, deadlines: Deadlines) -> None:
    target = Target()
    deadline = deadlines.start(10.0, target, "a")
    for _ in range(20):
        await trio.sleep(9)
        deadline.move(10.0, "idle")
    assert target.ended == []
    deadline.move(1.0, "head")
    await trio.sleep(1.1)
    assert target.ended == ["head"]
    deadline.move(3.0, "once more")
    await trio.sleep(3.1)
    assert target.ended == ["head", "once more"]
    await trio.sleep(100)
    assert target.ended == ["head", "once more"]


async def test_off_is_for_ever(autojump_clock: MockClock, deadlines: Deadlines) -> None:
    target = Target()
    deadline = deadlines.start(1.0, target, "x")
    deadline.move(None, "off")
    await trio.sleep(1000)
    assert target.ended == []


async def test_postponing_enters_nothing(autojump_clock: MockClock, deadlines: Deadlines) -> None:
    """An ordinary request stores two numbers."""
    deadline = deadlines.start(75.0, Target(), "idle")
    for _ in range(10_000):
        deadline.stop()
        deadline.move(75.0, "idle")
    assert len(deadlines._heap) == 1


async def test_a_kept_connection_with_slow_heads_has_few_entries(
    autojump_clock: MockClock, deadlines: Deadlines
) -> None:
    deadline = deadlines.start(75.0, Target(), "idle")
    for _ in range(500):
        deadline.move(10.0, "head")
        await trio.sleep(0.5)
        deadline.move(75.0, "idle")
        await trio.sleep(0.5)
    assert len(deadlines._heap) < 20


async def test_stopped_ones_do_not_pile_up(autojump_clock: MockClock, deadlines: Deadlines) -> None:
    kept = [deadlines.start(3600.0, Target(), "kept") for _ in range(100)]
    for _ in range(20_000):
        deadlines.start(3600.0, Target(), "request").stop()
    assert len(deadlines._heap) < 600
    assert all(any(entry[2] is deadline for entry in deadlines._heap) for deadline in kept)


async def test_one_thrown_out_can_start_again(autojump_clock: MockClock, deadlines: Deadlines) -> None:
    target = Target()
    deadline = deadlines.start(50.0, target, "x")
    deadline.stop()
    for _ in range(1000):
        deadlines.start(3600.0, Target(), "y").stop()
    deadline.move(50.0, "back")
    await trio.sleep(50.1)
    assert target.ended == ["back"]


async def test_one_that_ends_another(autojump_clock: MockClock, deadlines: Deadlines) -> None:
    second = Target()
    other = deadlines.start(1.0, second, "second")

    class Ender:
        def expire(self, why: str) -> None:
            other.stop()
            deadlines.start(1.0, second, "third")

    deadlines.start(0.5, Ender(), "first")
    await trio.sleep(1.2)
    assert second.ended == []
    await trio.sleep(0.5)
    assert second.ended == ["third"]


async def test_many_at_once_and_seldom_awake(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    deadlines = Deadlines()
    targets = [Target() for _ in range(2000)]
    steps = 0

    class Count(trio.abc.Instrument):
        def task_scheduled(self, task: trio.lowlevel.Task) -> None:
            nonlocal steps
            steps += task.name.endswith("Deadlines.run")

    trio.lowlevel.add_instrument(Count())
    for at, target in enumerate(targets):
        deadlines.start(1.0 + at / 2000, target, "x")
    nursery.start_soon(deadlines.run)
    await trio.sleep(2.1)
    assert all(target.ended == ["x"] for target in targets)
    assert steps < 60
