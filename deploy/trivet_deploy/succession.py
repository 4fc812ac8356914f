"""Two versions beside each other: what the old one knows of its successor, the new one of its predecessor.

Owns the line between them, and how far the hand-over is. Knows neither sockets nor what is served.
"""

import os
import signal
from collections.abc import Callable
from enum import Enum, auto

from trivet_common.channel import Channel, ChannelClosed
from trivet_common.children import Pause
from trivet_common.logs import ErrorLog
from trivet_common.loop import Loop

# What a successor says: it serves, and we may leave; it was told to stop, and we shall not start it again.
READY, LEAVING = b"ready", b"leaving"


class Stage(Enum):
    """Of an upgrade, as the old version sees it."""

    NONE = auto()  # we serve, alone
    STARTING = auto()  # it starts, we serve
    SERVING = auto()  # it serves; we leave once we have finished what we began
    OWED = auto()  # it has served and died: it is started again before we leave
    RETURNING = auto()  # it was started again
    GIVEN_UP = auto()  # the site is stopped: it was told so too, and we wait for its end


_TOGETHER = (Stage.STARTING, Stage.RETURNING)


class Succession:
    """The old version's side. `start` forks a successor, `lend` says whose the sockets are meanwhile.

    `hand_over` is called with its pid when it serves, `resume` when one that served has died.
    """

    def __init__(
        self,
        loop: Loop,
        log: ErrorLog,
        *,
        start: Callable[[], tuple[int, Channel]],
        lend: Callable[[bool], None],
        hand_over: Callable[[int], None],
        resume: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._log = log
        self._start = start
        self._lend = lend
        self._hand_over = hand_over
        self._resume = resume
        self._pause = Pause()
        self._successor: _Process | None = None
        self.stage = Stage.NONE

    def __repr__(self) -> str:
        return f"<Succession {self.stage.name} {self._successor!r}>"

    @property
    def holds(self) -> bool:
        """Whether leaving now would leave the site to nobody, or something of it behind."""
        return self.stage in (Stage.OWED, Stage.RETURNING, Stage.GIVEN_UP)

    def begin(self) -> None:
        """Lent first: killed from here on, we must not take the sockets along that it listens on."""
        self._lend(True)
        if self._try_start():
            self.stage = Stage.STARTING
        else:
            self._lend(False)

    def give_up(self, signum: int) -> None:
        """The site is to stop. A successor that serves already is on its own, and is told by others."""
        if self.stage is Stage.OWED:
            self.stage = Stage.NONE
            self._lend(False)
        elif self.stage in _TOGETHER:
            self.stage = Stage.GIVEN_UP
            self._lend(False)  # nobody may wait in the backlog of sockets that nobody will serve
        if self.stage is Stage.GIVEN_UP and self._successor is not None:
            self._successor.send(signum)

    def close_in_child(self) -> None:
        if self._successor is not None:
            self._successor.close()

    def _try_start(self) -> bool:
        try:
            pid, line = self._start()
            self._successor = _Process(pid, line, self._loop, self._heard, self._ended)
        except OSError as error:
            self._log.error(f"no successor could be started: {error.strerror}")
            return False
        self._log.info(f"upgrade: process {pid} was started on the same sockets")
        return True

    def _heard(self, word: bytes) -> None:
        assert self._successor is not None
        if word == READY and self.stage in _TOGETHER:
            self.stage = Stage.SERVING
            self._hand_over(self._successor.pid)
        elif word == LEAVING and self.stage is Stage.SERVING:
            self.stage = Stage.NONE

    def _ended(self) -> None:
        self._successor = None
        if self.stage is Stage.STARTING:
            self.stage = Stage.NONE
            self._lend(False)
            self._log.error("upgrade failed: the new version has ended, this one goes on")
        elif self.stage is Stage.GIVEN_UP:
            self.stage = Stage.NONE
        elif self.stage is not Stage.NONE:
            has_served = self.stage is Stage.SERVING
            self.stage = Stage.OWED
            if has_served:
                self._resume()
            self._log.error("the new version was ended before the old one had left: it is started again")
            self._loop.call_later(self._pause.after(0.0, has_served), self._start_again)

    def _start_again(self) -> None:
        if self.stage is not Stage.OWED:
            return
        if self._try_start():
            self.stage = Stage.RETURNING
        else:
            self._loop.call_later(self._pause.after(0.0), self._start_again)


class Predecessor:
    """The new version's side: the process that started us, which serves or finishes, until it is `gone`."""

    def __init__(self, pid: int, line: Channel | None, loop: Loop, gone: Callable[[], None]) -> None:
        self._loop = loop
        self._gone = gone
        self._process: _Process | None = None
        self._line = line
        try:
            self._process = _Process(pid, None, loop, lambda word: None, self._ended)
        except OSError:
            pass
        if os.getppid() != pid:  # it ended while we began, and the number may be another's by now
            self._forget()
            loop.call_later(0.0, gone)

    def __repr__(self) -> str:
        return f"<Predecessor {self._process!r}>"

    def say(self, word: bytes) -> None:
        if self._line is not None:
            try:
                self._line.send(word)
            except ChannelClosed:
                pass  # we shall hear of its end

    def send(self, signum: int) -> None:
        if self._process is not None:
            self._process.send(signum)

    def close_in_child(self) -> None:
        if self._process is not None:
            self._process.close()
        if self._line is not None:
            self._line.close()

    def _ended(self) -> None:
        self._process = None
        self._forget()
        self._gone()

    def _forget(self) -> None:
        if self._process is not None:
            self._process.forget()
        self._process = None
        if self._line is not None:
            self._line.close()
        self._line = None


class _Process:
    """One that is watched to its end by a descriptor: its number may be another's by the time we signal."""

    __slots__ = ("_end", "_ended", "_heard", "_line", "_loop", "pid")

    def __init__(
        self,
        pid: int,
        line: Channel | None,
        loop: Loop,
        heard: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> None:
        self.pid = pid
        self._loop = loop
        self._heard = heard
        self._ended = ended
        self._line = line
        self._end = os.pidfd_open(pid)
        loop.watch(self._end, self._at_end)
        if line is not None:
            loop.watch(line, self._hear)

    def __repr__(self) -> str:
        return f"<_Process {self.pid}>"

    def send(self, signum: int) -> None:
        try:
            signal.pidfd_send_signal(self._end, signum)
        except ProcessLookupError:
            pass  # its end is about to be heard of

    def forget(self) -> None:
        self._loop.unwatch(self._end)
        if self._line is not None:
            self._loop.unwatch(self._line)
        self.close()

    def close(self) -> None:
        os.close(self._end)
        if self._line is not None:
            self._line.close()

    def _hear(self) -> None:
        assert self._line is not None
        try:
            while (word := self._line.receive()) is not None:
                self._heard(word)
        except ChannelClosed:
            self._loop.unwatch(self._line)

    def _at_end(self) -> None:
        if self._line is not None and self._line.fileno() >= 0:
            self._hear()  # its last words
        self.forget()
        self._ended()
