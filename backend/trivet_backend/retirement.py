"""How a slot ends: asked to, or spent; then quiet for a while; then gone.

Owns when that is. Knows no claim and no connection. What is asked from other threads is only noted.
"""

from __future__ import annotations

import time

# A retired slot leaves when nothing has come for so long (s), and after this much in any case.
QUIET = 0.2
LONGEST_RETIREMENT = 2.0


class Retirement:
    """`is_spent`: takes no request any more, and waits to be asked. `is_due`: one of the two."""

    __slots__ = ("_is_asked", "_leave_at", "_quiet_at", "is_begun", "is_due", "is_spent")

    def __init__(self) -> None:
        self._is_asked = False
        self.is_spent = False
        self.is_due = False
        self.is_begun = False  # asked, and nothing runs any more
        self._quiet_at = self._leave_at = 0.0

    def __repr__(self) -> str:
        state = "begun" if self.is_begun else "due" if self.is_due else "no"
        return f"<Retirement {state}{', spent' if self.is_spent else ''}>"

    def ask(self) -> None:
        self._is_asked = self.is_due = True

    def spend(self) -> None:
        self.is_spent = self.is_due = True

    def begin(self) -> None:
        """Nothing runs now."""
        if not self._is_asked:
            return
        now = time.monotonic()
        self._quiet_at = now + QUIET
        if not self.is_begun:
            self._leave_at = now + LONGEST_RETIREMENT
        self.is_begun = True

    def disturb(self) -> None:
        """Somebody still came."""
        self._quiet_at = time.monotonic() + QUIET

    def is_over(self, now: float, has_guests: bool) -> bool:
        return now >= self._leave_at or (now >= self._quiet_at and not has_guests)
