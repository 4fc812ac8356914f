"""What a process forked by the application is told: that it is a copy, and with what status it leaves."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trivet_backend import offspring


def in_a_child(body: Callable[[], None]) -> int:
    """The exit status of a forked child that runs `body`: a hook after fork cannot be taken back."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_copy_knows_that_it_is_one_and_closes_what_is_the_workers(tmp_path: Path) -> None:
    held = os.open(tmp_path / "held", os.O_CREAT)

    def worker() -> None:
        offspring.watch(lambda: os.close(held))
        if offspring.is_copy:
            os._exit(1)
        status = in_a_child(lambda: os._exit(7 if offspring.is_copy and not is_open(held) else 8))
        os._exit(status if is_open(held) and not offspring.is_copy else 9)

    assert in_a_child(worker) == 7
    assert is_open(held)
    os.close(held)


def test_one_thread_that_has_forked_does_not_speak_for_the_others() -> None:
    def worker() -> None:
        offspring.watch(lambda: None)
        offspring.forks.append(None)  # another thread is about to
        in_a_child(lambda: os._exit(0))
        left = len(offspring.forks)
        offspring.forks.pop()
        copy = in_a_child(lambda: os._exit(len(offspring.forks)))
        os._exit(10 * left + copy)

    assert in_a_child(worker) == 11


def test_a_copy_of_a_copy_has_nothing_to_let_go_of() -> None:
    times: list[int] = []

    def worker() -> None:
        offspring.watch(lambda: times.append(1))
        os._exit(in_a_child(lambda: os._exit(in_a_child(lambda: os._exit(len(times))))))

    assert in_a_child(worker) == 1


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("arguments", "status"), [((), 0), ((3,), 3), (("a text",), 1), ((None,), 0), ((256 + 4,), 4)]
)
def test_sys_exit_means_what_it_says(arguments: tuple[object, ...], status: int) -> None:
    def leave() -> None:
        try:
            sys.exit(*arguments)  # type: ignore[arg-type]
        except SystemExit as leaving:
            offspring.leave(leaving)

    assert in_a_child(leave) == status


def test_a_copy_whose_view_returns_or_raises_leaves_too() -> None:
    assert in_a_child(lambda: offspring.leave()) == 0
    assert in_a_child(lambda: offspring.leave(ValueError())) == 1
