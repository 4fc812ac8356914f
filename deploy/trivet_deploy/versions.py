"""The versions of a site beside ours: the one that started us (USR2), and the one that we have started.

Owns which of them operators find, and whose the listening sockets are meanwhile. Knows no part of a site.
"""

import os
import signal
from collections.abc import Callable

from trivet_common.channel import Channel
from trivet_common.loop import Loop
from trivet_common.prefork import Master

from .premises import Premises
from .succession import LEAVING, READY, Predecessor, Stage, Succession
from .upgrade import start_successor


class Versions:
    """Of `master`. `tell_proxy` speaks to its proxy, `leave` has it finish what it has begun."""

    def __init__(
        self,
        master: Master,
        loop: Loop,
        premises: Premises,
        tell_proxy: Callable[[bytes], object],
        leave: Callable[[], None],
    ) -> None:
        self._master = master
        self._loop = loop
        self._premises = premises
        self._tell_proxy = tell_proxy
        self._leave = leave
        self._serves = False
        self._predecessor: Predecessor | None = None
        self._succession = Succession(
            loop,
            master.log,
            start=self._start_successor,
            lend=self._lend,
            hand_over=self._hand_over,
            resume=lambda: master.show_control(True),
        )

    def __repr__(self) -> str:
        return f"<Versions before={self._predecessor!r} after={self._succession!r}>"

    def begin(self) -> None:
        """We start: perhaps beside the version that has started us."""
        pid = self._premises.predecessor
        if pid:
            self._predecessor = Predecessor(pid, self._premises.line, self._loop, self._predecessor_gone)

    def ready(self) -> None:
        """We serve: from now on we are the site, and the version before us may leave."""
        self._serves = True
        self._master.show_control(True)
        if self._predecessor is not None:
            self._predecessor.say(READY)

    @property
    def is_upgrading(self) -> bool:
        return self._succession.stage is Stage.STARTING

    @property
    def holds(self) -> bool:
        """Whether leaving now would leave the site to nobody, or something of it behind."""
        return self._succession.holds or (self._predecessor is not None and self._serves)

    def upgrade(self) -> None:
        """Start a version beside us, if none is there."""
        if self._succession.stage is not Stage.NONE:
            problem = "one is going on"
        elif self._predecessor is not None:
            problem = "the version before this one has not finished yet"
        elif os.getpid() == 1:
            problem = "process 1 of a container cannot be succeeded; start another container"
        else:
            return self._succession.begin()
        self._master.log.warning(f"no upgrade now: {problem}")

    def stop(self) -> None:
        """The site is to stop: all that are beside us too, but not one that has taken over from us."""
        self._end(signal.SIGTERM, 0)

    def quit(self) -> None:
        """The same at once; by force where that takes longer than our own children are given."""
        self._end(signal.SIGINT, signal.SIGQUIT)
        self._master.call_later(self._master.quit_grace, lambda: self._end(signal.SIGKILL, signal.SIGKILL))

    def close_in_child(self) -> None:
        self._succession.close_in_child()
        if self._predecessor is not None:
            self._predecessor.close_in_child()

    def _end(self, after: int, before: int) -> None:
        self._succession.give_up(after)
        if self._predecessor is not None and self._serves:
            self._predecessor.say(LEAVING)  # or it would start another one in our place
            self._lend(False)
            if before:
                self._predecessor.send(before)

    def _start_successor(self) -> tuple[int, Channel]:
        listeners = [one for bound in self._premises.bound() for one in bound.every()]
        environ = os.environ | self._master.notifier.environment
        return start_successor(listeners, self._premises.run.path, environ, self._master.log.error)

    def _lend(self, is_lent: bool) -> None:
        """Nothing of what another version serves too is shut or removed by us."""
        self._premises.lend(is_lent)
        self._tell_proxy(b"succeeded" if is_lent else b"alone")

    def _hand_over(self, pid: int) -> None:
        self._master.log.info(f"upgrade: process {pid} serves; this one finishes what it has begun")
        self._master.notifier.main_pid(pid)
        self._master.show_control(False)  # from now on the successor is the site
        self._leave()

    def _predecessor_gone(self) -> None:
        self._predecessor = None
        self._lend(False)
        if not self._serves:
            self._master.log.warning("upgrade: the old version has ended already; this one goes on alone")
        if not self._master.is_leaving():
            self._master.show_control(True)
