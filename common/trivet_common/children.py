"""The forked children of a master: how they begin, what they say, how they end, when one is tried again.

Knows no verb, and not what a child is for.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import count

from trivet_common.channel import Channel, ChannelClosed
from trivet_common.forking import fork
from trivet_common.logs import ErrorLog
from trivet_common.loop import Loop

# A child that lived for less than this (s) died "at once".
AT_ONCE = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
# What a child has to say is a word now and then; one that floods us must not keep us from the others. More
# than this does not fit its socket's buffer, so that nothing of a dead child's last words is left out.
_MOST_AT_ONCE = 1000
# In bytes: the longest word (the stacks of some hundred threads), and how much of long ones at once.
_LONGEST, _MUCH_AT_ONCE = 4 * 1024 * 1024, 16 * 1024 * 1024
# EX_OSERR of sysexits.h: the exit status of a child that could not be forked.
_NOT_FORKED = 71


_BORN = b"born "


class Child:
    """One child, by the pid we forked ourselves, or that was forked for us.

    pid 0: not born yet, or, without a channel, never to be.
    """

    __slots__ = ("channel", "doom", "index", "is_ours", "kind", "pid", "started")

    def __init__(self, kind: str, index: int, pid: int, channel: Channel | None) -> None:
        self.kind = kind
        self.index = index
        self.pid = pid
        self.channel = channel
        self.started = time.monotonic()
        self.is_ours: Callable[[int], bool] | None = None  # what its pid must prove, while it is not born
        self.doom = 0  # the signal it was sent before it was born

    def __repr__(self) -> str:
        return f"<Child {self.kind} {self.index} pid={self.pid}>"

    def tell(self, message: bytes) -> None:
        """Send a message. One that is dying cannot be told; one that has left hundreds unread is stuck.

        Neither is waited for: the exit of the former and a deadline of the latter end it.
        """
        if self.channel is not None:
            try:
                self.channel.send(message)
            except ChannelClosed:
                pass

    def hand(self, message: bytes, fd: int) -> None:
        """Send a message with a copy of a descriptor."""
        if self.channel is not None:
            try:
                self.channel.send_fds(message, [fd])
            except ChannelClosed:
                pass

    def kill(self, signum: int = signal.SIGKILL) -> None:
        # Not reaped yet (reaping removes the Child), so the pid is still ours and cannot be somebody else's.
        # kill(2) of 0 would be our whole group.
        if self.pid > 0:
            try:
                os.kill(self.pid, signum)
            except ProcessLookupError:
                pass
        else:
            self.doom = signum


class Children:
    """Those that were forked and not yet reaped. `said` and `exited` are called from the loop only."""

    def __init__(
        self,
        loop: Loop,
        log: ErrorLog,
        said: Callable[[Child, bytes], None],
        exited: Callable[[Child, int], None],
    ) -> None:
        self._loop = loop
        self._log = log
        self._said = said
        self._exited = exited
        self._by_pid: dict[int, Child] = {}
        self._unforked = count(-1, -1)  # keys of those without a pid

    def __repr__(self) -> str:
        return f"<Children {list(self._by_pid.values())}>"

    def __len__(self) -> int:
        return len(self._by_pid)

    def __iter__(self) -> Iterator[Child]:
        """A copy: one may end while others are told something."""
        return iter(list(self._by_pid.values()))

    def spawn(self, kind: str, index: int, target: Callable[[Channel], int]) -> Child:
        """Fork a child that runs `target(channel)` and exits with what it returns.

        Where no process or descriptor is left, the child is one that dies at once: `exited` hears of it.
        """
        try:
            ours, theirs = Channel.pair()
        except OSError as error:
            return self.not_forked(kind, index, error)
        try:
            pid = fork(lambda: self._be_child(ours, theirs, target), self._log.error)
        except OSError as error:
            ours.close()
            return self.not_forked(kind, index, error)
        finally:
            theirs.close()
        child = self._by_pid[pid] = Child(kind, index, pid, ours)
        self._loop.watch(ours, lambda: self._hear(child))
        return child

    def not_forked(self, kind: str, index: int, error: OSError) -> Child:
        """A child there is no process for: one that dies at once."""
        self._log.error(f"{kind} {index} could not be forked: {error.strerror}")
        child = Child(kind, index, 0, None)
        key = next(self._unforked)
        self._by_pid[key] = child

        def gone() -> None:
            del self._by_pid[key]
            self._exited(child, _NOT_FORKED)

        # Not from within spawn: its caller does not know the child yet.
        self._loop.call_later(0.0, gone)
        return child

    def expect(self, kind: str, index: int, channel: Channel, is_ours: Callable[[int], bool]) -> Child:
        """A child that another process forks for us and that becomes ours: it says `born PID` first.

        `is_ours` must find that this pid is a child of this process. One that ends before dies at once.
        """
        child = Child(kind, index, 0, channel)
        child.is_ours = is_ours
        self._by_pid[next(self._unforked)] = child
        self._loop.watch(channel, lambda: self._hear(child))
        return child

    def tell_all(self, message: bytes) -> None:
        for child in self:
            child.tell(message)

    def kill_all(self) -> None:
        for child in self:
            child.kill()

    def reap(self) -> None:
        """Hear the last words of those that have ended, and say so."""
        # All of them: as process 1 of a container we inherit strangers, who are reaped silently
        # (gunicorn stopped on a stranger's exit status 3).
        while True:
            try:
                # Looked at first: one that was forked for us can prove whose it is until it is reaped.
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            if pid not in self._by_pid:
                self._hear_unborn()
            _, raw = os.waitpid(pid, 0)
            child = self._by_pid.pop(pid, None)
            if child is not None:
                self._hear(child)
                self._forget(child)
                self._exited(child, os.waitstatus_to_exitcode(raw))

    def _be_child(self, ours: Channel, theirs: Channel, target: Callable[[Channel], int]) -> int:
        ours.close()
        for sibling in self:
            if sibling.channel is not None:
                sibling.channel.close()
        return target(theirs)

    def _hear(self, child: Child) -> None:
        left = _MUCH_AT_ONCE
        for _ in range(_MOST_AT_ONCE):
            if left < 0 or child.channel is None or child.channel.fileno() < 0:
                return
            try:
                message = child.channel.receive(_LONGEST)
            except ChannelClosed:
                self._loop.unwatch(child.channel)
                if child.is_ours is not None:
                    self._miscarry(child)
                return
            if message is None:
                return
            left -= len(message)
            if child.is_ours is None:
                self._said(child, message)
            else:
                self._be_born(child, message)

    def _hear_unborn(self) -> None:
        for child in self:
            if child.is_ours is not None:
                self._hear(child)

    def _be_born(self, child: Child, message: bytes) -> None:
        digits = message.removeprefix(_BORN)
        pid = int(digits) if message.startswith(_BORN) and digits.isdigit() and len(digits) < 10 else 0
        is_ours, child.is_ours = child.is_ours, None
        if not pid or pid in self._by_pid or is_ours is None or not is_ours(pid):
            self._miscarry(child)
            return
        del self._by_pid[self._key(child)]
        self._by_pid[pid] = child
        child.pid = pid
        if child.doom:
            child.kill(child.doom)

    def _miscarry(self, child: Child) -> None:
        """It ended before it was born, or is not what it says it is: its channel is closed."""
        self._log.error(f"{child.kind} {child.index} ended before it was born")
        child.is_ours = None
        del self._by_pid[self._key(child)]
        self._forget(child)
        self._exited(child, _NOT_FORKED)

    def _key(self, child: Child) -> int:
        return next(key for key, found in self._by_pid.items() if found is child)

    def _forget(self, child: Child) -> None:
        if child.channel is not None:
            self._loop.unwatch(child.channel)
            child.channel.end()


class Pause:
    """The pause before one that died at once is started again; it grows only while none comes to serve."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0

    def __repr__(self) -> str:
        return f"<Pause {self.seconds:g} s>"

    def after(self, lived: float, has_served: bool = False) -> float:
        """The pause (s) after a child that lived so long (s): 0 if it was a while, else 0.1 doubling to 5.

        Of one that has served, what killed it came from outside, and may come as fast as it likes: a pause
        that grew with it would empty the pool (30 s of kill -9 every 70 ms left no worker and no proxy).
        """
        if lived >= AT_ONCE:
            self.seconds = 0.0
        elif has_served:
            self.seconds = _FIRST_PAUSE
        else:
            self.seconds = min(max(self.seconds * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        return self.seconds
