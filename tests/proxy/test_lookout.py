"""What the master sees of certificates' files, and a disk that hangs meanwhile."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import trivet_common.config.sighting
import trivet_proxy.lookout
from tests.proxy.test_door import Meeting, put, write
from tests.proxy.test_doors import listens
from trivet_common.config.sighting import Sighting
from trivet_common.loop import Loop
from trivet_proxy.doors import Doors
from trivet_proxy.lookout import Errand, Lookout


class Disk:
    """Hangs while it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_well = threading.Event()
        self.is_well.set()
        self.asked_by: set[str] = set()
        for name in ("_stamp", "_content"):
            real = getattr(trivet_common.config.sighting, name)
            monkeypatch.setattr(
                trivet_common.config.sighting, name, lambda path, real=real: self.ask(real, path)
            )

    def ask(self, real: Callable[[Path], object], path: Path) -> object:
        self.asked_by.add(threading.current_thread().name)
        assert self.is_well.wait(20)
        return real(path)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    monkeypatch.setattr(trivet_proxy.lookout, "EVERY", 0.01)
    disk = Disk(monkeypatch)
    yield disk
    disk.is_well.set()


class Master:
    def __init__(self, doors: Doors) -> None:
        self.loop = Loop()
        self.told: list[tuple[bool, str]] = []
        self.lookout = Lookout(
            doors, self.loop.call_later, lambda is_good, text: self.told.append((is_good, text))
        )

    def turn_until(self, is_so: Callable[[], object]) -> None:
        until, longest = time.monotonic() + 10, 0.0
        while not is_so():
            began = time.monotonic()
            assert began < until
            self.loop.turn()
            longest = max(longest, time.monotonic() - began)
        assert longest < 2


def test_a_disk_that_hangs_stops_no_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Disk) -> None:
    monkeypatch.setattr(trivet_proxy.lookout, "PATIENCE", 0.1)
    doors = Doors(listens(tmp_path, "a"))
    before = Meeting(doors.at("443"), "a.example").serial
    disk.asked_by.clear()
    disk.is_well.clear()
    master = Master(doors)
    master.lookout.watch()
    master.turn_until(lambda: master.told)
    assert not master.told[0][0]
    assert "what is shown stays" in master.told[0][1]
    assert [thread.name for thread in threading.enumerate()].count("certificates") == 1
    write(tmp_path, "a", "a.example")
    disk.is_well.set()
    master.turn_until(lambda: Meeting(doors.at("443"), "a.example").serial != before)
    texts = [text for is_good, text in master.told if is_good]
    assert "come again" in texts[0]
    assert "taken up" in texts[1]
    assert disk.asked_by == {"certificates"}
    put(tmp_path / "a.key", b"spoilt")
    master.turn_until(doors.problems)
    assert "no private key" in doors.problems()[0][2]
    master.loop.close()


def test_a_reload_reads_in_a_thread_and_takes_in_the_loop(tmp_path: Path, disk: Disk) -> None:
    doors = Doors(listens(tmp_path, "a"))
    after = listens(tmp_path, "b", "c")
    disk.asked_by.clear()
    master, seen, failed = Master(doors), list[Sighting](), list[str]()
    master.lookout.read(after, seen.append, failed.append)
    master.turn_until(lambda: seen)
    master.lookout.take(after, seen[0])
    assert disk.asked_by == {"certificates"}
    assert Meeting(doors.at("443"), "c.example").names == ["c.example"]
    assert doors.problems() == [] == failed
    master.loop.close()


def test_a_reload_goes_no_further_on_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Disk
) -> None:
    monkeypatch.setattr(trivet_proxy.lookout, "PATIENCE", 0.1)
    doors = Doors(listens(tmp_path, "a"))
    master, seen, failed = Master(doors), list[Sighting](), list[str]()
    disk.is_well.clear()
    for count in (1, 2):
        master.lookout.read(listens(tmp_path, "a"), seen.append, failed.append)
        master.turn_until(lambda count=count: len(failed) == count)  # type: ignore[misc]
    assert "have not come" in failed[0]
    assert [thread.name for thread in threading.enumerate()].count("certificates") == 1
    assert seen == []
    assert "under way" in repr(master.lookout)
    master.loop.close()


def test_without_doors_nothing_is_waited_for() -> None:
    seen: list[Sighting] = []
    master = Master(Doors())
    master.lookout.read([], seen.append, pytest.fail)
    master.lookout.take([], seen[0])
    master.loop.close()


def test_no_thread_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Disk) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    doors = Doors(listens(tmp_path, "a"))
    master, failed = Master(doors), list[str]()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        master.lookout.watch()
        master.lookout.read(listens(tmp_path, "a"), pytest.fail, failed.append)
        assert failed
    write(tmp_path, "a", "a.example")
    master.turn_until(lambda: master.told)
    assert "taken up" in master.told[0][1]
    assert repr(Errand(lambda: Sighting(()))).startswith("<Errand ")
    master.loop.close()
