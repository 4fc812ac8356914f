import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from trivet_common.config import TrustedProxies
from trivet_common.config.addresses import parse_networks
from trivet_common.config.settings_errors import Maintenance
from trivet_common.http1.errors import HttpError
from trivet_proxy.gates import maintenance
from trivet_proxy.gates.maintenance import Flag, maintenance_gate


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(maintenance, "time", clock)
    return clock


async def is_up(flag: Flag) -> bool:
    """As a request finds it."""
    if flag.is_due:
        await flag.look()
    return flag.is_up


async def test_the_file_is_looked_at_once_a_second(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "on"
    flag = Flag(path, pytest.fail)
    assert not await is_up(flag)
    path.touch()
    clock.now += 0.9
    assert not await is_up(flag)
    clock.now += 0.2
    assert await is_up(flag)
    assert repr(flag) == f"<Flag {path} up>"
    path.unlink()
    assert await is_up(flag)
    clock.now += 1
    assert not await is_up(flag)
    assert not await is_up(Flag(tmp_path / "no" / "on", pytest.fail))


async def test_nobody_slips_in_beside_the_first_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload makes the flag anew, in the middle of the maintenance."""
    path = tmp_path / "on"
    path.touch()
    flag = Flag(path, pytest.fail)
    may_go_on = threading.Event()
    monkeypatch.setattr(maintenance, "_PATIENCE", 60)
    monkeypatch.setattr(maintenance, "_is_there", lambda path: may_go_on.wait(10))
    found: list[bool] = []

    async def ask() -> None:
        found.append(await is_up(flag))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert found == []
        may_go_on.set()
    assert found == [True, True, True]


async def test_what_cannot_be_looked_at_is_as_it_was_and_said_once(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that the proxy's user may not search: the file was never there, and nobody knew why."""
    said: list[str] = []
    path = tmp_path / "on"
    flag = Flag(path, said.append)
    path.touch()
    assert await is_up(flag)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(maintenance.os, "stat", refuse)
    for _ in range(3):
        clock.now += 1
        assert await is_up(flag)
    assert said == [f"maintenance: {path} cannot be looked at (Permission denied): its routes stay closed"]


async def test_a_disk_that_hangs_holds_up_one_request_for_a_moment(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the loop, with everybody in it."""
    let_go = threading.Event()
    said: list[str] = []
    flag = Flag(tmp_path / "on", said.append)
    assert not await is_up(flag)
    clock.now += 1
    monkeypatch.setattr(maintenance, "_PATIENCE", 0.05)
    monkeypatch.setattr(maintenance, "_is_there", lambda path: let_go.wait(10))
    try:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(is_up, flag)
                await trio.testing.wait_all_tasks_blocked()
                assert not flag.is_due, "others go by what is known"
            clock.now += 1
            assert not await is_up(flag)
        assert said == [f"maintenance: {tmp_path / 'on'} cannot be looked at (the disk does not answer): "
                        "its routes stay open"]  # fmt: skip
    finally:
        let_go.set()


TABLE: list[tuple[TrustedProxies | None, str, float | None, str | None]] = [
    (None, "192.0.2.7", 300.0, "300"),
    (None, "", None, None),
    (parse_networks(["10.0.0.0/8", "unix"]), "192.0.2.7", 0.2, "1"),
    (parse_networks(["10.0.0.0/8", "unix"]), "10.1.2.3", 300.0, "in"),
    (parse_networks(["10.0.0.0/8", "unix"]), "", 300.0, "in"),
]


@pytest.mark.parametrize(("let_in", "address", "seconds", "expected"), TABLE)
async def test_the_gate(
    tmp_path: Path, clock: Clock, let_in: TrustedProxies | None, address: str, seconds: float | None,
    expected: str | None,
) -> None:  # fmt: skip
    path = tmp_path / "on"
    seen: list[str] = []

    async def inner(request: Any, writer: Any) -> None:
        seen.append(request.client.address)

    gate = maintenance_gate(Maintenance(path, None, let_in, seconds), Flag(path, pytest.fail), inner)
    request: Any = SimpleNamespace(client=SimpleNamespace(address=address))
    await gate(request, None)  # type: ignore[arg-type]
    assert seen == [address]
    path.touch()
    clock.now += 1
    if expected == "in":
        await gate(request, None)  # type: ignore[arg-type]
        assert seen == [address] * 2
        return
    with pytest.raises(HttpError) as caught:
        await gate(request, None)  # type: ignore[arg-type]
    assert (caught.value.status, caught.value.why) == (503, "maintenance")
    assert dict(caught.value.headers) == ({b"retry-after": expected.encode()} if expected else {})
