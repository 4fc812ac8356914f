from dataclasses import dataclass

import trio
from trio.testing import wait_all_tasks_blocked

from trivet_proxy.clients import Clients


class FakeWire:
    def __init__(self, has_input: bool = False, peer: str | None = None) -> None:
        self.ended_by = ""
        self.peer = peer
        self._has_input = has_input

    def has_input(self) -> bool:
        return self._has_input

    def close(self, why: str) -> None:
        self.ended_by = why


@dataclass(eq=False)
class FakeConnection:
    wire: FakeWire


def enter(clients: Clients, has_input: bool = False, peer: str | None = None) -> FakeConnection:
    client = FakeConnection(FakeWire(has_input, peer))
    clients.enter(client)  # type: ignore[arg-type]
    return client


def new_clients(most: int) -> Clients:
    return Clients(None, most)  # type: ignore[arg-type]


def test_the_longest_idle_goes_first() -> None:
    clients = new_clients(10)
    found = [enter(clients) for _ in range(4)]
    for at in (2, 0, 1):
        clients.begin_idle(found[at])
    clients.end_idle(found[2])
    clients.begin_idle(found[2])
    assert clients.idle == 3
    assert clients.close_idle(2, "overloaded") == 2
    assert [one.wire.ended_by for one in found] == ["overloaded", "overloaded", "", ""]
    assert clients.close_idle(5, "draining") == 1
    assert clients.close_idle(5, "draining") == 0


def test_one_that_has_just_been_asked_stays() -> None:
    clients = new_clients(10)
    asked, silent = enter(clients, has_input=True), enter(clients)
    clients.begin_idle(asked)
    clients.begin_idle(silent)
    assert clients.close_idle(1, "overloaded") == 1
    assert (asked.wire.ended_by, silent.wire.ended_by) == ("", "overloaded")


async def test_at_the_limit_an_idle_one_makes_room() -> None:
    clients = new_clients(2)
    first = enter(clients)
    enter(clients)
    clients.begin_idle(first)
    await clients.wait_for_room()
    assert first.wire.ended_by == "overloaded"


async def test_without_an_idle_one_the_next_waits() -> None:
    clients = new_clients(2)
    first, second = enter(clients), enter(clients)
    for change in (lambda: clients.leave(first), lambda: clients.begin_idle(second)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clients.wait_for_room)
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            change()
        enter(clients)
    assert second.wire.ended_by == "overloaded"


async def test_a_higher_limit_is_room() -> None:
    clients = new_clients(1)
    enter(clients)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clients.wait_for_room)
        await wait_all_tasks_blocked()
        clients.set_most(2, None)


async def test_empty_is_waited_for() -> None:
    clients = new_clients(5)
    await clients.wait_until_empty()
    found = [enter(clients) for _ in range(3)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clients.wait_until_empty)
        for one in found:
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            clients.leave(one)
    assert clients.connections == 0


class TestOneAddress:
    """connections_per_client"""

    def test_has_so_many_and_no_more(self) -> None:
        clients = Clients(None, 100, 2)  # type: ignore[arg-type]
        first = enter(clients, peer="192.0.2.1")
        assert clients.has_room_for("192.0.2.1")
        enter(clients, peer="192.0.2.1")
        assert not clients.has_room_for("192.0.2.1")
        assert clients.has_room_for("192.0.2.2")
        clients.leave(first)
        assert clients.has_room_for("192.0.2.1")

    def test_an_ipv6_client_is_a_64(self) -> None:
        clients = Clients(None, 100, 1)  # type: ignore[arg-type]
        enter(clients, peer="2001:db8:0:1::1")
        assert not clients.has_room_for("2001:db8:0:1:ffff::2")
        assert clients.has_room_for("2001:db8:0:2::1")

    def test_the_oldest_of_its_idle_ones_makes_room(self) -> None:
        clients = Clients(None, 100, 3)  # type: ignore[arg-type]
        other = enter(clients, peer="192.0.2.9")
        busy, old, young = (enter(clients, peer="192.0.2.1") for _ in range(3))
        for client in (other, young, old):
            clients.begin_idle(client)  # type: ignore[arg-type]
        assert clients.has_room_for("192.0.2.1")
        assert [one.wire.ended_by for one in (other, busy, old, young)] == ["", "", "overloaded", ""]
        enter(clients, peer="192.0.2.1")
        assert clients.has_room_for("192.0.2.1")
        assert young.wire.ended_by == "overloaded"
        enter(clients, peer="192.0.2.1")
        assert not clients.has_room_for("192.0.2.1")
        clients.leave(old)  # its task runs at last
        assert not clients.has_room_for("192.0.2.1")

    def test_whoever_has_no_address_is_not_counted(self) -> None:
        clients = Clients(None, 100, 1)  # type: ignore[arg-type]
        enter(clients)
        assert clients.has_room_for(None)

    def test_nothing_is_remembered_of_who_has_left(self) -> None:
        clients = Clients(None, 100, 5)  # type: ignore[arg-type]
        for at in range(50):
            clients.leave(enter(clients, peer=f"192.0.2.{at}"))
        assert clients._of == {}

    def test_a_reload_may_bring_it(self) -> None:
        clients = new_clients(100)
        enter(clients, peer="192.0.2.1")
        assert clients.has_room_for("192.0.2.1")
        clients.set_most(100, 1)
        assert not clients.has_room_for("192.0.2.1")
