"""What happens often, said seldom: one line a kind and interval, with the number of those left out.

An attacker or a broken upstream decides how often something happens, not how much is written about it.
"""

import time
import traceback
from collections.abc import Callable

_MOST_KINDS = 256


class Complaints:
    """Speaks through one method of the error log."""

    __slots__ = ("_clock", "_silent", "_tell")

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._silent: dict[str, tuple[float, int]] = {}  # kind -> until when, and how many were left out

    def __repr__(self) -> str:
        return f"<Complaints of {len(self._silent)} kinds>"

    def say(self, kind: str, text: str, every: float = 10.0) -> None:
        """At most one of a kind in `every` seconds."""
        now = self._clock()
        until, left_out = self._silent.get(kind, (0.0, 0))
        if now < until:
            self._silent[kind] = until, left_out + 1
            return
        if len(self._silent) >= _MOST_KINDS:
            self._silent.clear()
        self._silent[kind] = now + every, 0
        self._tell(f"{text} (and {left_out} more before)" if left_out else text)

    def say_error(self, error: Exception, what: str) -> None:
        """The whole traceback, once; the same one again a second later at the earliest."""
        where = traceback.extract_tb(error.__traceback__)[-1:]
        text = "".join(traceback.format_exception(error))
        self.say(f"{type(error).__name__} {where}", f"{what}: {text}", every=1.0)
