"""Files that somebody looks at again and again: when to read them, and when to say what is wrong.

Knows neither what the files hold nor who needs it.
"""

from pathlib import Path

from trivet_common.config.sighting import fingerprint

# A new pair comes as two files: what is wrong for a shorter time than this (s) is the moment between them.
SETTLED = 1.0
# What was wrong may pass without a change of the files (no descriptors left, a certificate that is not yet
# valid): tried again after so many seconds, twice as many each time.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


class Vigil:
    """Over one set of files. Times are the caller's clock, in seconds."""

    __slots__ = ("_again_at", "_paths", "_pause", "_stamp", "_told", "_wrong_since", "problem")

    def __init__(self, *paths: Path | None) -> None:
        self._paths = paths
        self._stamp: object = None  # as they were when they were last read
        self.problem: str | None = None  # with what lies there now
        self._wrong_since = 0.0
        self._told = False
        self._again_at = 0.0
        self._pause = FIRST_PAUSE

    def __repr__(self) -> str:
        return f"<Vigil {' '.join(map(str, filter(None, self._paths)))} {self.problem or 'good'}>"

    def glance(self) -> object:
        """What changes with the files; taken before they are read, so that no change falls between."""
        return fingerprint(*self._paths)

    def has_news(self) -> bool:
        """Whether they have changed, or something is wrong: what `is_due` sooner or later."""
        return self.problem is not None or self.glance() != self._stamp

    def is_due(self, stamp: object, now: float) -> bool:
        """Whether they are to be read: they have changed, or failed and had their pause."""
        return stamp != self._stamp or (self.problem is not None and now >= self._again_at)

    def succeed(self, stamp: object) -> None:
        self._stamp, self.problem, self._pause = stamp, None, FIRST_PAUSE

    def fail(self, stamp: object, problem: str, now: float) -> None:
        if stamp != self._stamp:
            self._pause = FIRST_PAUSE
        if problem != self.problem:
            self._wrong_since, self._told = now, False
        self._stamp, self.problem = stamp, problem
        self._again_at = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def try_complaint(self, now: float) -> str | None:
        """What is wrong, once, and no sooner than it is settled."""
        if self.problem is None or self._told or now - self._wrong_since < SETTLED:
            return None
        self._told = True
        return self.problem
