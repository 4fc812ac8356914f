"""Whether a client takes its answer at all: the deadline of whoever owes it bytes.

Knows one wire and no HTTP. Progress is what the peer's kernel has acknowledged. That a socket is not writable
says little: with megabytes queued Linux wants a third of them gone first, which is minutes at 10 KiB/s.
"""

from .deadlines import Deadlines
from .wire import Wire


class Stall:
    """Closes the wire when its peer has taken nothing for so many seconds."""

    __slots__ = ("_deadline", "_owed", "_seconds", "_wire")

    def __init__(self, wire: Wire, deadlines: Deadlines) -> None:
        self._wire = wire
        self._deadline = deadlines.start(None, self, "write_timeout")
        self._seconds = 0.0
        self._owed = 0  # bytes the kernel had to send when the time began

    def __repr__(self) -> str:
        return f"<Stall {self._deadline!r}>"

    def start(self, seconds: float) -> None:
        """We cannot go on sending: from now on the peer must take something within so many seconds."""
        self._seconds = seconds
        self._owed = self._wire.unsent()
        self._deadline.move(seconds, "write_timeout")

    def stop(self) -> None:
        self._deadline.stop()

    def expire(self, why: str) -> None:
        if self._wire.unsent() < self._owed:
            self.start(self._seconds)
        else:
            self._wire.close(why)
