"""When a worker asks for its successor, and when it can serve nobody any more."""

from typing import Any

import pytest

from trivet_backend import wear
from trivet_backend.wear import MemoryWear, RequestWear, wears

MIB = 1 << 20


class Memory:
    """What a process holds, as the test says; counts how often it is measured."""

    def __init__(self) -> None:
        self.size = 100 * MIB
        self.hidden = 0  # what a guess does not see
        self.measured = 0

    def measure(self) -> int:
        self.measured += 1
        return self.size

    def guess(self) -> int:
        return self.size - self.hidden

    def close(self) -> None: ...


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory()
    monkeypatch.setattr(wear, "PrivateMemory", lambda: memory)
    return memory


def memory_wear(most: int) -> tuple[MemoryWear, list[bytes], list[str]]:
    said: list[bytes] = []
    warned: list[str] = []
    return MemoryWear(most, said.append, warned.append), said, warned


def test_requests_are_counted_and_workers_do_not_tire_together() -> None:
    limits = set()
    for _ in range(50):
        said: list[Any] = []
        worn = RequestWear(100, said.append)
        served = 0
        while not said:
            assert not worn()
            served += 1
        assert 90 <= served <= 100
        limits.add(served)
        assert not worn()
        assert said == [b"requests"]
    assert len(limits) > 3


def test_of_one_request_there_is_no_tenth() -> None:
    said: list[Any] = []
    assert not RequestWear(1, said.append)()
    assert said == [b"requests"]


def test_a_successor_is_asked_for_before_the_limit_and_none_is_served_beyond_it(memory: Memory) -> None:
    worn, said, warned = memory_wear(200 * MIB)
    memory.size = 179 * MIB
    assert not worn()
    assert said == []
    memory.size = 181 * MIB  # 80 % of the way from 100 to 200
    assert not worn()
    assert set(said) == {b"memory"}
    memory.size = 200 * MIB
    assert worn()
    memory.size = 150 * MIB  # given back
    assert not worn()
    assert warned == []


def test_far_from_the_limit_nothing_is_measured(memory: Memory) -> None:
    worn, _, _ = memory_wear(200 * MIB)
    before = memory.measured
    for _ in range(1000):
        worn()
    assert memory.measured == before


def test_what_no_guess_sees_is_measured_now_and_then(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    worn, said, _ = memory_wear(200 * MIB)
    memory.size, memory.hidden = 190 * MIB, 60 * MIB
    monkeypatch.setattr(wear, "_STALE", 0.0)
    assert not worn()
    assert said == [b"memory"]


def test_a_limit_below_the_application_itself_is_said_and_not_enforced(memory: Memory) -> None:
    worn, said, warned = memory_wear(90 * MIB)
    memory.size = 300 * MIB
    assert not worn()
    assert said == []
    assert warned == ["max_memory is 90 MiB, and 100 MiB are held before the first request"]


def test_without_limits_nothing_is_asked(memory: Memory) -> None:
    assert wears(None, None, tire=lambda why: None, warn=lambda text: None) == []
    assert len(wears(10, 10**9, tire=lambda why: None, warn=lambda text: None)) == 2
