from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

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


def test_the_file_is_looked_at_once_a_second(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "on"
    flag = Flag(path)
    assert not flag.is_up()
    path.touch()
    clock.now += 0.9
    assert not flag.is_up()
    clock.now += 0.2
    assert flag.is_up()
    assert repr(flag) == f"<Flag {path} up>"
    path.unlink()
    assert flag.is_up()
    clock.now += 1
    assert not flag.is_up()


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

    gate = maintenance_gate(Maintenance(path, None, let_in, seconds), Flag(path), inner)
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
