"""Workers that stand still: one of their slots let a request lie until it was taken back.

Owns which they are, and the tokens of theirs that are put aside until they go on. Knows no connection, and
kills nobody: that is the pool's master's.
"""

import time

from trivet_common.pool.board import NUMBER
from trivet_common.pool.idle import Token

# A slot that stood still takes another number when it goes on and sees the request that was taken back.
# Should it never see it, its worker is tried again after this long (s).
_SHUNNED = 5.0


class Standstill:
    """While there are `workers`, `has_put_aside` is to be asked of every token."""

    __slots__ = ("_aside", "workers")

    def __init__(self) -> None:
        # By incarnation: the words of the slot, its number then, and until when (time.monotonic) it counts.
        self.workers: dict[int, tuple[memoryview, int, float]] = {}
        self._aside: dict[tuple[int, int], Token] = {}  # of each slot the last: others are stale

    def __repr__(self) -> str:
        return f"<Standstill {', '.join(f'w{number}' for number in self.workers)} aside={len(self._aside)}>"

    def note(self, incarnation: int, words: memoryview, number: int) -> None:
        """The slot of these words, claimed with this number, does not begin; its process cannot."""
        self.workers[incarnation] = words, number, time.monotonic() + _SHUNNED

    def has_put_aside(self, token: Token) -> bool:
        if not self._stands(token.incarnation):
            return False
        self._aside[token.incarnation, token.slot] = token
        return True

    def give_back(self) -> list[Token]:
        """What was put aside of workers that go on. Some of it is stale by then; whoever claims sees that."""
        for incarnation in list(self.workers):
            self._stands(incarnation)  # one that was killed writes no token, and its board would stay mapped
        back = [key for key in self._aside if key[0] not in self.workers]
        return sorted(self._aside.pop(key) for key in back)

    def _stands(self, incarnation: int) -> bool:
        if incarnation not in self.workers:
            return False
        words, number, until = self.workers[incarnation]
        if words[NUMBER] == number and time.monotonic() < until:
            return True
        del self.workers[incarnation]
        return False
