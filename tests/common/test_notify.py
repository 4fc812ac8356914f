"""What a service manager hears: each message, nothing where nobody asked, a pulse only while all turn."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trivet_common.notify import STATUS_EVERY, Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        yield receiver


def heard(manager: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(manager.recv(4096).decode())
        except BlockingIOError:
            return found


class Timers:
    """`call_later` of a loop that the test turns by hand."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.waiting.append((seconds, callback))

    def run(self, seconds: float) -> None:
        due = [entry for entry in self.waiting if entry[0] == seconds]
        self.waiting = [entry for entry in self.waiting if entry[0] != seconds]
        for _, callback in due:
            callback()


@pytest.fixture
def taken(manager: socket.socket) -> Iterator[Callable[..., Notifier]]:
    made: list[Notifier] = []

    def take(**more: str) -> Notifier:
        made.append(Notifier.take({"NOTIFY_SOCKET": manager.getsockname(), **more}, pid=7))
        return made[-1]

    yield take
    for one in made:
        one.close()


def test_nobody_is_told_anything_without_a_manager() -> None:
    environ: dict[str, str] = {"WATCHDOG_USEC": "4000000"}
    mute = Notifier.take(environ)
    timers = Timers()
    mute.begin(timers.later, lambda: "running", lambda: True)
    mute.ready()
    mute.stopping()
    assert timers.waiting == []
    assert mute.pulse_every is None


def test_the_variables_are_taken_away_from_applications(manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "7", "HOME": "/"}
    Notifier.take(environ, pid=7).close()
    assert environ == {"HOME": "/"}


def test_ready_reloading_stopping(manager: socket.socket, taken: Callable[..., Notifier]) -> None:
    told = taken()
    told.begin(Timers().later, lambda: "running;\n4 slots", lambda: True)
    told.ready()
    told.reloading()
    told.ready()
    told.stopping()
    told.main_pid(12)
    lines = heard(manager)
    assert lines[:2] == ["STATUS=running; 4 slots", "READY=1"]
    assert lines[2].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert lines[2].rpartition("=")[2].isdecimal()
    assert lines[3:] == ["READY=1", "STOPPING=1", "MAINPID=12"]


def test_figures_are_shown_again_when_they_have_changed(
    manager: socket.socket, taken: Callable[..., Notifier]
) -> None:
    told, timers, figures = taken(), Timers(), ["one", "one", "two"]
    told.begin(timers.later, lambda: figures.pop(0), lambda: True)
    timers.run(STATUS_EVERY)
    timers.run(STATUS_EVERY)
    assert heard(manager) == ["STATUS=one", "STATUS=two"]


def test_the_pulse_stops_when_a_loop_below_does(
    manager: socket.socket, taken: Callable[..., Notifier]
) -> None:
    told, timers, turning = taken(WATCHDOG_USEC="8000000", WATCHDOG_PID="7"), Timers(), [True]
    told.begin(timers.later, lambda: "", lambda: turning[0])
    assert heard(manager) == ["WATCHDOG=1"]
    turning[0] = False
    timers.run(2.0)
    assert heard(manager) == []
    turning[0] = True
    timers.run(2.0)
    assert heard(manager) == ["WATCHDOG=1"]


def test_a_watchdog_of_another_process_is_not_ours(taken: Callable[..., Notifier]) -> None:
    assert taken(WATCHDOG_USEC="8000000", WATCHDOG_PID="8").pulse_every is None


@pytest.mark.parametrize("address", ["relative", "vsock:2:1", "/" + "x" * 200, ""])
def test_an_address_that_is_none_makes_it_mute(address: str) -> None:
    told = Notifier.take({"NOTIFY_SOCKET": address})
    told.ready()
    assert told.pulse_every is None


def test_a_manager_that_is_gone_or_does_not_read_disturbs_nobody(
    taken: Callable[..., Notifier], tmp_path: Path
) -> None:
    told = taken()
    for _ in range(3000):
        told.stopping()
    (tmp_path / "notify").unlink()
    told.stopping()


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("")  # the kernel chooses an abstract name
        name = receiver.getsockname().decode()
        receiver.setblocking(False)
        told = Notifier.take({"NOTIFY_SOCKET": "@" + name[1:]})
        told.stopping()
        told.close()
        assert heard(receiver) == ["STOPPING=1"]
