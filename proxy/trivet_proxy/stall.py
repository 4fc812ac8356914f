"""Whether a client takes its answer, and fast enough: the deadline of whoever owes it bytes.

Knows one wire and no HTTP. Progress is what the peer's kernel has acknowledged. That a socket is not writable
says little: with megabytes queued Linux wants a third of them gone first, which is minutes at 10 KiB/s.
"""

from .deadlines import Deadlines
from .wire import Wire

# A client on the edge of the rate is looked at so often.
_LOOK_AGAIN = 1.0


class Stall:
    """Closes the wire when its peer takes nothing for so many seconds, or less than a rate over the debt.

    A debt lasts from the first byte the kernel did not take until it has them all: an event stream that has
    nothing to say owes nothing.
    """

    __slots__ = ("_deadline", "_rate", "_seconds", "_since", "_taken", "_taken_before", "_wire")

    def __init__(self, wire: Wire, deadlines: Deadlines) -> None:
        self._wire = wire
        self._deadline = deadlines.start(None, self, "write_timeout")
        self._seconds = 0.0
        self._rate: int | None = None
        # For this debt.
        self._since: float | None = None
        self._taken_before = 0  # of all the connection's bytes, when it began
        self._taken = 0  # and when the deadline was last set

    def __repr__(self) -> str:
        return f"<Stall {self._deadline!r}>"

    def start(self, seconds: float, rate: int | None) -> None:
        """We cannot go on sending: the peer must take something within so many seconds, `rate` bytes in each.

        Called again after every progress.
        """
        self._seconds, self._rate = seconds, rate
        self._taken = taken = self._wire.given - self._wire.unsent()
        if self._since is None:
            self._since, self._taken_before = self._deadline.now(), taken
        left = self._left()
        if left < seconds and taken > self._taken_before:
            self._deadline.move(max(left, _LOOK_AGAIN), "slow_read")
        else:
            self._deadline.move(seconds, "write_timeout")

    def stop(self) -> None:
        """Nothing is owed any more."""
        self._since = None
        self._deadline.stop()

    def end(self) -> None:
        self._deadline.end()

    def expire(self, why: str) -> None:
        taken, self._taken = self._taken, self._wire.given - self._wire.unsent()
        if self._taken == taken and why == "write_timeout":
            self._wire.close(why)
        elif self._left() <= 0:
            self._wire.close("slow_read")
        else:
            self.start(self._seconds, self._rate)

    def _left(self) -> float:
        """Seconds until what was taken is too little. The grace is the longest pause that is allowed."""
        if not self._rate or self._since is None:
            return self._seconds
        asked = self._deadline.now() - self._since
        return self._seconds + (self._taken - self._taken_before) / self._rate - asked
