from pathlib import Path

import pytest
import trio

from tests.proxy.test_door import Meeting, write
from trivet_common.config import Listen
from trivet_common.config.pair import PairError
from trivet_common.config.tls import Tls
from trivet_proxy.doors import EVERY, Doors


def listens(folder: Path, *names: str) -> list[Listen]:
    """A plain one, and one with these certificates."""
    pairs = tuple(write(folder, name, f"{name}.example") for name in names)
    return [Listen("80", "tcp"), Listen("443", "tcp", tls=Tls(pairs))]


def test_a_site_without_tls_has_none() -> None:
    doors = Doors([Listen("80", "tcp")])
    assert not doors
    assert doors.has_right_groups
    assert doors.status() == doors.look() == doors.prepare([Listen("80", "tcp")]) == []


def test_a_reload_takes_all_or_nothing(tmp_path: Path) -> None:
    doors = Doors(listens(tmp_path, "a"))
    door = doors.at("443")
    prepared = doors.prepare(listens(tmp_path, "b", "c"))
    assert Meeting(door, "b.example").names == ["a.example"]
    doors.take(prepared)
    assert Meeting(door, "c.example").names == ["c.example"]
    assert [(row["listen"], row["hosts"]) for row in doors.status()] == [
        ("443", ["b.example"]),
        ("443", ["c.example"]),
    ]
    after = listens(tmp_path, "b", "d")
    (tmp_path / "d.key").write_text("spoilt")
    with pytest.raises(PairError):
        doors.prepare(after)
    assert Meeting(door, "c.example").names == ["c.example"]


async def test_files_are_looked_at_all_the_time(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    doors = Doors(listens(tmp_path, "a"))
    before = Meeting(doors.at("443"), "a.example").serial
    async with trio.open_nursery() as nursery:
        nursery.start_soon(doors.watch)
        write(tmp_path, "a", "a.example")
        await trio.sleep(2 * EVERY)
        nursery.cancel_scope.cancel()
    assert Meeting(doors.at("443"), "a.example").serial != before
    with trio.fail_after(1):
        await Doors().watch()
