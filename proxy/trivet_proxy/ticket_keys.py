"""The keys session tickets are sealed with: the same in all processes of a run, new ones every day.

A context makes its own at random and Python can set none, so contexts for many days are made before the
processes are forked, and each is dropped when its day is over. Knows no certificate.
"""

import ssl
import time
from collections.abc import Callable

PERIOD = 24 * 3600.0  # seconds; a ticket is good for two hours at most (OpenSSL's default)
# At 5 KiB and 0.2 ms each. A run that lasts longer goes on with keys of each process's own.
DAYS = 128


class TicketKeys:
    """`context()` is the one to accept with now; until the next period it stays the same."""

    def __init__(
        self,
        make: Callable[[], ssl.SSLContext],
        days: int = DAYS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._clock = clock
        self._began = clock()
        self._made: list[ssl.SSLContext | None] = [make() for _ in range(days)]
        self._own: tuple[int, ssl.SSLContext] | None = None

    def __repr__(self) -> str:
        return f"<TicketKeys day {self._today()} of {len(self._made)}>"

    def context(self) -> ssl.SSLContext:
        today = self._today()
        if self._own is not None and self._own[0] == today:
            return self._own[1]
        self._own = None
        shared = self._made[today] if today < len(self._made) else None
        # What was sealed with yesterday's key can be opened by nobody any more.
        self._made[: min(today, len(self._made))] = [None] * min(today, len(self._made))
        if shared is None:
            return self.forget()
        return shared

    def forget(self) -> ssl.SSLContext:
        """Sessions so far are not to be resumed: a key of this process's own, until tomorrow."""
        self._own = self._today(), self._make()
        return self._own[1]

    def _today(self) -> int:
        return int((self._clock() - self._began) // PERIOD)
