"""The thread of a worker that waits while the others work: for a deadline to pass, and for the master.

Owns when it looks. Interrupts what is late after it has logged where that was. Knows no HTTP; what a message
of the master means is the worker's to say.
"""

from __future__ import annotations

import os
import select
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from time import monotonic_ns
from traceback import StackSummary
from typing import NamedTuple, Protocol

from trivet_backend.interrupt import FOR_EVER, Alarm
from trivet_backend.stacks import capture, text_of
from trivet_common.channel import Channel, ChannelClosed
from trivet_common.pool.board import TIMEOUTS

# A strike that did not arrive is repeated after this long, and a look at one that just rested (ns).
_AGAIN = 20_000_000
_SOON = 1_000_000


class Log(Protocol):
    def error(self, text: str) -> None: ...


class Duties(NamedTuple):
    """What the worker does when told, in the watchdog's thread.

    `hear`: a message of the master and its descriptors, None when there is no master any more. `late`: this
    request is interrupted. `stuck`: it has not ended kill_grace later. `die`: orphan_grace is over, too.
    """

    hear: Callable[[bytes | None, list[int]], None]
    late: Callable[[str], None]
    stuck: Callable[[Alarm], None]
    die: Callable[[], None]


class Watchdog:
    """`start` it as early as the channel is there; `watch` once there are slots."""

    def __init__(
        self, channel: Channel, log: Log, duties: Duties, *, kill_grace: float, orphan_grace: float
    ) -> None:
        self.looks_at = FOR_EVER
        self._channel = channel
        self._log = log
        self._duties = duties
        self._kill_grace = int(kill_grace * 1e9)
        self._orphan_grace = int(orphan_grace * 1e9)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread: threading.Thread | None = None
        self._is_over = False
        self._alarms: Sequence[Alarm] = ()
        self._stuck: set[str] = set()
        self._shortest = FOR_EVER
        self._dies_at = FOR_EVER

    def __repr__(self) -> str:
        return f"<Watchdog of {len(self._alarms)}, stuck {sorted(self._stuck)}>"

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look and listen no more: the numbers of its descriptors may soon be other files'."""
        self._is_over = True
        os.eventfd_write(self._wake, 1)
        if self._thread is not None:
            self._thread.join()
        os.close(self._wake)

    def watch(self, alarms: Sequence[Alarm]) -> None:
        self._alarms = alarms

    def wake(self, timeout: int) -> None:
        """A deadline was set that comes before the next look. From now on such a timeout (ns) is expected.

        Whoever sets a longer one later need not wake us: we look at least so often.
        """
        self._shortest = min(self._shortest, timeout)
        os.eventfd_write(self._wake, 1)

    def is_stuck(self, alarm: Alarm) -> bool:
        """Its request was interrupted and has not ended within kill_grace."""
        return alarm.is_late and alarm.name in self._stuck

    def let_go(self) -> None:
        """In a process that the application forked."""
        os.close(self._wake)

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._channel.fileno(), select.POLLIN)
        while not self._is_over:
            try:
                self._look()
                self._wait(poll)
            except Exception:  # ours; without us no deadline and no master would be heard
                self._log.error(f"watchdog: {traceback.format_exc()}")
                time.sleep(0.1)

    def _wait(self, poll: select.poll) -> None:
        left = self.looks_at - monotonic_ns()
        seconds = None if self.looks_at == FOR_EVER else max(left / 1e6, 0)
        for fd, _ in poll.poll(seconds):
            if fd == self._wake:
                os.eventfd_read(fd)
            elif not self._hear():
                poll.unregister(fd)

    def _hear(self) -> bool:
        """What the master says; False when it will say nothing more."""
        try:
            message, fds = self._channel.receive_fds()
        except ChannelClosed:
            self._dies_at = monotonic_ns() + self._orphan_grace
            self._duties.hear(None, [])
            return False
        self._duties.hear(message, fds)
        return True

    def _look(self) -> None:
        # Whoever sets a deadline while we look must wake us: we may have passed it by already.
        self.looks_at = FOR_EVER
        now = monotonic_ns()
        if now >= self._dies_at:
            self._dies_at = FOR_EVER
            self._duties.die()
        at = min(now + self._shortest, self._dies_at)
        for alarm in self._alarms:
            at = min(at, self._attend(alarm, now))
        self.looks_at = min(at, FOR_EVER)

    def _attend(self, alarm: Alarm, now: int) -> int:
        """See to one slot; when to do so again."""
        if not alarm.is_late:
            self._stuck.discard(alarm.name)
            deadline = alarm.deadline
            if not deadline or deadline > now:
                return deadline or FOR_EVER
            # Looked at before the sentence: afterwards it may end at any moment, and be another's.
            request, stack = alarm.row.shown(), capture(alarm.thread)
            if not alarm.judge():
                return now + _SOON
            self._report(alarm, request, stack)
        if alarm.strike():
            return min(monotonic_ns() + _AGAIN, self._see_to_its_end(alarm))
        return self._see_to_its_end(alarm)

    def _see_to_its_end(self, alarm: Alarm) -> int:
        deadline, now = alarm.deadline, monotonic_ns()
        if not deadline:
            return now + _SOON  # it has just ended, and its slot is about to say so
        if now < deadline + self._kill_grace:
            return deadline + self._kill_grace
        if alarm.is_late and alarm.name not in self._stuck:
            self._stuck.add(alarm.name)
            self._duties.stuck(alarm)
        return FOR_EVER

    def _report(self, alarm: Alarm, request: str, stack: StackSummary | None) -> None:
        alarm.row.words[TIMEOUTS] += 1
        # Before the exception: afterwards nobody knows which line it was.
        self._log.error(f"{request}: deadline: it is interrupted; it was here:\n{text_of(stack)}")
        self._duties.late(request)
