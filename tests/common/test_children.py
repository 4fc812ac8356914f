"""Children that speak, die, flood, or cannot be forked at all; how long a master waits for the next try."""

import errno
import os
import signal
from collections.abc import Iterator

import pytest

from trivet_common import children as room
from trivet_common.channel import Channel, wait_readable
from trivet_common.children import Child, Children, Pause
from trivet_common.logs import ErrorLog
from trivet_common.loop import Loop


class Family:
    def __init__(self) -> None:
        self.loop = Loop()
        self.said: list[bytes] = []
        self.ended: list[tuple[str, int]] = []
        self.children = Children(
            self.loop,
            ErrorLog(None, "test"),
            lambda child, message: self.said.append(message),
            lambda child, status: self.ended.append((child.kind, status)),
        )

    def wait(self) -> None:
        for _ in range(500):
            if not len(self.children):
                return
            self.children.reap()
            self.loop.call_later(0.01, lambda: None)
            self.loop.turn()
        raise AssertionError(f"still there: {self.children!r}")


@pytest.fixture
def family() -> Iterator[Family]:
    family = Family()
    yield family
    family.children.kill_all()
    family.wait()
    family.loop.close()


def test_last_words_come_before_the_end(family: Family) -> None:
    def speak(channel: Channel) -> int:
        for word in (b"one", b"two", b"failed " + bytes(100_000)):
            channel.send(word)
        return 3

    family.children.spawn("worker", 0, speak)
    family.wait()
    assert family.said == [b"one", b"two", b"failed " + bytes(100_000)]
    assert family.ended == [("worker", 3)]


def test_a_child_is_told_and_holds_no_siblings_line(family: Family) -> None:
    def obey(channel: Channel) -> int:
        wait_readable(channel, 5)
        return 0 if channel.receive() == b"drain" else 1

    first = family.children.spawn("first", 0, obey)
    family.children.spawn("second", 0, obey)
    assert first.channel is not None
    first.channel.close()  # its end of file must be seen although the second was forked after it
    family.loop.unwatch(first.channel)
    while not family.ended:
        family.children.reap()
    assert family.ended == [("first", 70)]
    family.children.tell_all(b"drain")
    family.wait()
    assert family.ended == [("first", 70), ("second", 0)]


def test_a_killed_child_is_named_by_its_signal_and_not_told_any_more(family: Family) -> None:
    child = family.children.spawn("worker", 0, lambda channel: int(wait_readable(channel, 10)))
    child.kill(signal.SIGKILL)
    family.wait()
    assert family.ended == [("worker", -signal.SIGKILL)]
    child.tell(b"drain")


def test_a_stopped_child_whose_line_is_full_keeps_nobody(family: Family) -> None:
    child = family.children.spawn("worker", 0, lambda channel: int(wait_readable(channel, 10)))
    child.kill(signal.SIGSTOP)
    for _ in range(2000):
        child.tell(b"reload")
    child.kill()
    family.wait()


def test_a_child_that_floods_is_heard_in_turns(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_MOST_AT_ONCE", 10)
    ours, theirs = Channel.pair()
    for _ in range(25):
        theirs.send(b"x")
    child = Child("worker", 0, 0, ours)
    family.children._hear(child)
    assert len(family.said) == 10
    ours.close(), theirs.close()


def test_one_that_says_too_much_is_too(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_MUCH_AT_ONCE", 1000)
    ours, theirs = Channel.pair()
    for _ in range(5):
        theirs.send(b"x" * 400)
    family.children._hear(Child("worker", 0, 0, ours))
    assert len(family.said) == 3
    ours.close(), theirs.close()


@pytest.mark.parametrize("what", ["pair", "fork"])
def test_one_that_cannot_be_forked_is_one_that_dies_at_once(
    family: Family, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(*((Channel, "pair", fail) if what == "pair" else (room, "fork", fail)))
    child = family.children.spawn("worker", 7, lambda channel: 0)
    other = family.children.spawn("worker", 8, lambda channel: 0)
    child.kill()  # nobody's group
    other.tell(b"drain")
    assert family.ended == []
    assert len(family.children) == 2
    family.wait()
    assert family.ended == [("worker", 71), ("worker", 71)]
    assert len(os.listdir("/proc/self/fd")) == before


def test_strangers_are_reaped_silently(family: Family) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(3)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    family.children.reap()
    assert family.ended == []
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def bear(channel: Channel, words: bytes, status: int) -> int:
    """Somebody else's fork that is ours none the less. Returns its pid; it ends when told."""
    pid = os.fork()
    if pid == 0:
        channel.send(words % os.getpid() if b"%d" in words else words)
        channel.send(b"ready")
        wait_readable(channel, 5)
        os._exit(status)
    channel.close()
    return pid


def test_a_child_that_was_forked_for_us_is_ours_once_it_is_born(family: Family) -> None:
    ours, theirs = Channel.pair()
    child = family.children.expect("worker", 7, ours, lambda pid: True)
    child.tell(b"retire")
    assert (child.pid, len(family.children)) == (0, 1)
    pid = bear(theirs, b"born %d", 5)
    family.wait()
    assert child.pid == pid
    assert family.said == [b"ready"]
    assert family.ended == [("worker", 5)]


def test_one_that_has_ended_before_we_heard_of_it_is_known_by_its_words(family: Family) -> None:
    ours, theirs = Channel.pair()
    asked = []
    family.children.expect("worker", 7, ours, lambda pid: not asked.append(pid))
    ours.send(b"leave")
    pid = bear(theirs, b"born %d", 6)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    family.children.reap()  # before the loop has turned
    assert asked == [pid]
    assert family.ended == [("worker", 6)]
    assert family.said == [b"ready"]


def test_a_signal_to_one_that_is_not_born_waits_for_it(family: Family) -> None:
    ours, theirs = Channel.pair()
    child = family.children.expect("worker", 7, ours, lambda pid: True)
    child.kill(signal.SIGKILL)
    bear(theirs, b"born %d", 5)
    family.wait()
    assert family.ended == [("worker", -signal.SIGKILL)]


def test_one_whose_channel_ends_before_it_is_born_dies_at_once(family: Family) -> None:
    ours, theirs = Channel.pair()
    family.children.expect("worker", 7, ours, lambda pid: True)
    theirs.close()
    family.wait()
    assert family.ended == [("worker", 71)]
    assert ours.fileno() == -1


@pytest.mark.parametrize("words", [b"ready", b"born", b"born x", b"born 1234567890123", b"born -1", b""])
def test_one_that_does_not_say_so_properly_is_not_born(family: Family, words: bytes) -> None:
    ours, theirs = Channel.pair()
    family.children.expect("worker", 7, ours, lambda pid: True)
    theirs.send(words)
    family.wait()
    assert family.ended == [("worker", 71)]
    theirs.close()


def test_nobody_is_born_as_somebody_else(family: Family) -> None:
    sibling = family.children.spawn("sibling", 0, lambda channel: int(wait_readable(channel, 10)))
    for index, is_ours in enumerate((True, False)):
        ours, theirs = Channel.pair()
        family.children.expect("worker", index, ours, lambda pid, is_ours=is_ours: is_ours)
        theirs.send(b"born %d" % (sibling.pid if is_ours else 1))
        while len(family.ended) <= index:
            family.loop.turn()
        theirs.close()
    assert family.ended == [("worker", 71)] * 2
    sibling.kill()
    family.wait()
    assert family.ended[-1] == ("sibling", -signal.SIGKILL)


def test_the_pause_grows_while_none_comes_to_serve() -> None:
    pause = Pause()
    assert [round(pause.after(0.0), 1) for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pause.after(1.0) == 0.0
    assert pause.after(0.5) == 0.1


def test_the_pause_does_not_grow_when_those_are_killed_that_serve() -> None:
    pause = Pause()
    pause.after(0.0)
    pause.after(0.0)
    assert [pause.after(0.3, has_served=True) for _ in range(3)] == [0.1, 0.1, 0.1]
