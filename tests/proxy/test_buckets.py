"""buckets.py: rates that several processes keep together, whatever becomes of one of them."""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trivet_proxy.buckets import SETS, WAYS, Buckets, Draw

MS = 1_000_000


class Clock:
    """Nanoseconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 5_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rate.buckets"


@pytest.fixture
def buckets(path: Path, clock: Clock) -> Iterator[Buckets]:
    made = Buckets(path, clock)
    yield made
    made.close()


def take(buckets: Buckets, key: int = 7, interval: int = 10 * MS, burst: int = 0) -> int | None:
    return buckets.try_take([Draw(key, interval, interval * burst)])


@pytest.mark.parametrize("burst", [0, 1, 9])
def test_so_many_at_once_and_then_one_an_interval(buckets: Buckets, clock: Clock, burst: int) -> None:
    assert [take(buckets, burst=burst) for _ in range(burst + 1)] == [0] * (burst + 1)
    for _ in range(20):
        assert take(buckets, burst=burst) == 10 * MS
        clock.now += 9 * MS
        assert take(buckets, burst=burst) == MS
        clock.now += MS
        assert take(buckets, burst=burst) == 0


def test_what_was_not_used_is_not_saved_beyond_the_burst(buckets: Buckets, clock: Clock) -> None:
    assert take(buckets, burst=2) == 0
    clock.now += 3600 * 1000 * MS
    assert [take(buckets, burst=2) == 0 for _ in range(5)] == [True, True, True, False, False]


def test_each_key_has_its_own(buckets: Buckets) -> None:
    assert [take(buckets, key) for key in (1, 2, 3, 1)] == [0, 0, 0, 10 * MS]


def test_of_several_rates_all_count_or_none(buckets: Buckets, clock: Clock) -> None:
    fast, slow = Draw(1, MS, 9 * MS), Draw(2, 1000 * MS, 0)
    assert buckets.try_take([fast, slow]) == 0
    for _ in range(50):
        assert buckets.try_take([fast, slow]) == 1000 * MS
    assert [buckets.try_take([fast]) for _ in range(9)] == [0] * 9, "what was refused has cost nothing"
    assert buckets.try_take([fast]) == MS


def test_two_new_buckets_of_one_set_do_not_take_each_others_place(buckets: Buckets) -> None:
    draws = [Draw(5 + SETS * number, 10 * MS, 0) for number in range(WAYS)]
    assert buckets.try_take(draws) == 0
    assert [buckets.try_take([draw]) for draw in draws] == [10 * MS] * WAYS


def test_a_full_set_forgets_whose_time_is_the_earliest(buckets: Buckets, clock: Clock) -> None:
    keys = [5 + SETS * number for number in range(WAYS + 1)]
    for number, key in enumerate(keys[:-1]):
        assert take(buckets, key, interval=(100 + number) * MS) == 0
    assert buckets.forgotten == 0
    assert take(buckets, keys[-1], interval=500 * MS) == 0
    assert buckets.forgotten == 1
    assert take(buckets, keys[1], interval=101 * MS) == 101 * MS
    clock.now += 300 * MS  # nothing of it is worth remembering
    assert take(buckets, keys[0]) == 0
    assert buckets.forgotten == 1


def test_a_slower_rate_and_a_clock_that_began_anew_lock_nobody_out(buckets: Buckets, clock: Clock) -> None:
    assert take(buckets, interval=3_600_000 * MS) == 0
    assert take(buckets, interval=10 * MS) == 0
    clock.now = 1
    assert take(buckets, interval=10 * MS) == 0


def test_a_name_gives_a_key_that_only_this_file_knows(buckets: Buckets, path: Path, tmp_path: Path) -> None:
    again, other = Buckets(path), Buckets(tmp_path / "other")
    key = buckets.key_of(b"/ 0", b"192.0.2.7")
    assert key == again.key_of(b"/ 0", b"192.0.2.7") != other.key_of(b"/ 0", b"192.0.2.7")
    assert key != buckets.key_of(b"/ 01", b"92.0.2.7")


def test_it_stays_over_a_reopening_and_a_file_of_another_version_does_not(path: Path, clock: Clock) -> None:
    first = Buckets(path, clock)
    assert take(first) == 0
    first.close()
    second = Buckets(path, clock)
    assert take(second) == 10 * MS
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"something else")
    third = Buckets(path, clock)
    assert take(third) == 0


def test_a_file_that_a_killed_process_has_only_begun_is_made(path: Path) -> None:
    path.write_bytes(b"\0" * 100)
    assert take(Buckets(path)) == 0


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Buckets(path)


def child(work: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def test_who_is_stopped_with_a_lock_is_passed_by_and_who_is_killed_frees_it(
    buckets: Buckets, path: Path
) -> None:
    ready, told = os.pipe()

    def hold() -> None:
        fd = os.open(path, os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX, 1, 7 % SETS)
        os.write(told, b"x")
        time.sleep(30)

    pid = child(hold)
    try:
        assert os.read(ready, 1) == b"x"
        assert take(buckets, 8) == 0, "the others are not concerned"
        assert take(buckets) is None
        assert buckets.try_take([Draw(7, 10 * MS, 0)], is_forced=True) == 0
        assert take(buckets) == 10 * MS, "a refusal needs no lock"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert buckets.try_take([Draw(7, 10 * MS, 100 * MS)]) == 0


@pytest.mark.slow
def test_processes_that_are_killed_all_the_time_let_neither_more_nor_less_through(path: Path) -> None:
    """Eight at it, one killed every 20 ms: what came through is what the clock allows."""
    counted = path.with_suffix(".count")
    fd = os.open(counted, os.O_CREAT | os.O_RDWR | os.O_APPEND)
    interval, burst = 2 * MS, 20  # as long as a busy machine may keep all of them waiting
    Buckets(path).close()

    def hammer() -> None:
        mine = Buckets(path)
        while True:
            if take(mine, interval=interval, burst=burst) == 0:
                os.write(fd, b"x")
            else:
                time.sleep(0.0005)

    started = time.monotonic()
    pids = [child(hammer) for _ in range(8)]
    try:
        for turn in range(75):
            time.sleep(0.02)
            victim = pids[turn % 8]
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
            pids[turn % 8] = child(hammer)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    allowed = (time.monotonic() - started) * 1000 / 2 + burst + 1
    passed = os.fstat(fd).st_size
    os.close(fd)
    assert passed <= allowed + 1
    assert passed >= allowed * 0.9 - 75, "one taken and not counted for each that was killed"
