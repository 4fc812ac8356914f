"""upstreams/names.py: what is heard of names that change, fail and hang."""

import socket
import threading
from pathlib import Path

import pytest
import trio

from trivet_common.config.addresses import parse_server
from trivet_proxy.upstreams import names as room
from trivet_proxy.upstreams.names import Names

PLACE = parse_server("http://api.example:80", Path("/"))
OTHER = parse_server("http://other.example:80", Path("/"))


class Resolver:
    """Answers as `says` has it: addresses, an error, or an event to wait for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.says: dict[str, object] = {}
        self.asked: list[str] = []
        monkeypatch.setattr(room.socket, "getaddrinfo", self.answer)

    def answer(self, host: str, port: int, **_: object) -> list[object]:
        self.asked.append(host)
        said = self.says[host]
        if isinstance(said, threading.Event):
            said.wait(10)
            return []
        if isinstance(said, Exception):
            raise said
        assert isinstance(said, list)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in said]


class Ear:
    def __init__(self) -> None:
        self.heard: list[tuple[str, list[str]]] = []
        self.warnings: list[str] = []

    def take(self, place, addresses):
        self.heard.append((place.host, [address[0] for _, address in addresses]))


@pytest.fixture
def resolver(monkeypatch):
    return Resolver(monkeypatch)


@pytest.fixture
def ear():
    return Ear()


def names_of(ear, *places):
    return Names(places, ear.take, ear.warnings.append)


async def test_only_changes_are_told(resolver, ear):
    names = names_of(ear, PLACE)
    for said in (
        ["10.0.0.1"],
        ["10.0.0.1"],
        ["10.0.0.2", "10.0.0.1"],
        ["10.0.0.1", "10.0.0.2"],
        ["10.0.0.3"],
    ):
        resolver.says["api.example"] = said
        await names.look_up()
    assert [addresses for _, addresses in ear.heard] == [
        ["10.0.0.1"], ["10.0.0.1", "10.0.0.2"], ["10.0.0.3"]
    ]  # fmt: skip
    assert ear.warnings == []


async def test_a_failure_changes_nothing_and_is_said_once(resolver, ear):
    names = names_of(ear, PLACE)
    gone = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    for said in (gone, gone, ["10.0.0.1"], gone, [], ["10.0.0.1"]):
        resolver.says["api.example"] = said
        await names.look_up()
    assert ear.heard == [("api.example", ["10.0.0.1"])]
    assert ear.warnings == [
        "api.example does not resolve (Name or service not known); it is not asked until it does",
        "api.example resolves again",
        "api.example does not resolve (Name or service not known); its last 1 addresses are kept",
        "api.example resolves again",
    ]


async def test_a_resolver_that_hangs_holds_nobody_up(resolver, ear, monkeypatch):
    monkeypatch.setattr(room, "_TIMEOUT", 0.05)
    let_go = threading.Event()
    resolver.says = {"api.example": let_go, "other.example": ["10.0.0.1"]}
    names = names_of(ear, PLACE, OTHER)
    with trio.fail_after(5):
        for _ in range(3):
            await names.look_up()
    let_go.set()
    assert ear.heard == [("other.example", ["10.0.0.1"])]
    assert "it takes too long" in ear.warnings[0]


async def test_however_many_hang_the_others_are_looked_up(resolver, ear, monkeypatch):
    """Each keeps one thread, and is not asked again before it has answered."""
    monkeypatch.setattr(room, "_TIMEOUT", 0.2)
    let_go = threading.Event()
    hanging = [parse_server(f"http://hang{number}.example", Path("/")) for number in range(12)]
    resolver.says = {place.host: let_go for place in hanging}
    names = names_of(ear, *hanging)
    with trio.fail_after(5):
        for _ in range(2):
            await names.look_up()
        names._places.append(OTHER)
        resolver.says["other.example"] = ["10.0.0.1"]
        await names.look_up()
        assert ear.heard == [("other.example", ["10.0.0.1"])]
        assert sorted(resolver.asked) == sorted([*(place.host for place in hanging), "other.example"])
        let_go.set()
        while names._asked:
            await trio.sleep(0.005)
    await names.look_up()
    assert len(resolver.asked) == 2 * 13


async def test_who_asks_first_looks_and_the_others_wait(resolver, ear, nursery):
    resolver.says["api.example"] = ["10.0.0.1"]
    names = names_of(ear, PLACE)
    for _ in range(5):
        nursery.start_soon(names.wait_until_known)
    with trio.fail_after(5):
        await names.wait_until_known()
    assert resolver.asked == ["api.example"]


async def test_looked_up_again_and_again(resolver, ear, nursery, monkeypatch):
    monkeypatch.setattr(room, "EVERY", 0.01)
    resolver.says["api.example"] = ["10.0.0.1"]
    nursery.start_soon(names_of(ear, PLACE).run)
    with trio.fail_after(5):
        while len(resolver.asked) < 3:
            await trio.sleep(0.005)


async def test_without_names_there_is_nothing_to_do(ear):
    with trio.fail_after(5):
        await names_of(ear).run()


async def test_a_name_that_idna_refuses_is_one_that_does_not_resolve(ear):
    names = names_of(ear, parse_server("http://" + "a." * 60 + "invalid:80", Path("/")))
    await names.look_up()
    assert "does not resolve" in ear.warnings[0]
