"""One connection to a slot or a server: a wire, the reader of its answers, the clock of the request on it.

Knows neither claim nor address; who made it says where it goes when it is let go.
"""

from trivet_common.http1.response import ResponseReader

from ..deadlines import Deadlines
from ..wire import Wire


class Link:
    """Carries one request at a time. Whoever holds it ends with exactly one of `release` and `discard`."""

    __slots__ = ("_clock", "_pauses", "is_sending", "reader", "title", "wire")

    # What is said when it is cut short, and when it takes too long.
    why_cut = "upstream_bad"
    why_late = "upstream_timeout"

    def __init__(self, wire: Wire, deadlines: Deadlines, title: str) -> None:
        self.wire = wire
        self.reader = ResponseReader()
        self.title = title  # for the log: which slot or server it is
        self.is_sending = False  # part of the request has not gone out yet
        self._clock = deadlines.start(None, wire, self.why_late)
        self._pauses = 0  # directions in which the client is the slow one now

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.title} {self.wire!r}>"

    def start_clock(self, seconds: float | None) -> None:
        """The other side has so long from now; then the wire is closed, which wakes whoever waits for it."""
        if self.wire.fd >= 0 and not self._pauses:
            self._clock.move(seconds, self.why_late)

    def pause_clock(self) -> None:
        """We wait for the client, with its request or its answer. Each pause is ended by `resume_clock`."""
        self._pauses += 1
        self._clock.stop()

    def resume_clock(self, seconds: float | None) -> None:
        """So long from now, unless the client is slow in the other direction as well."""
        self._pauses -= 1
        self.start_clock(seconds)

    def release(self) -> None:
        """The exchange is over and nothing is left on the wire: it may carry another one."""
        raise NotImplementedError

    def discard(self, why: str = "discarded") -> None:
        """What is on the wire cannot be trusted to begin anew: the next request would get its answer."""
        self._clock.stop()
        self.wire.close(why)
