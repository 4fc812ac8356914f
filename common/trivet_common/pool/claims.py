"""The rules of a claim, without I/O: who may run what, and what a broken connection means.

The slot is the judge. Its claim number moves on with every request it begins, so each number runs at most
one request whatever happens to tokens. A proxy only asks; a master only announces again.
Each rule was found by breaking a prototype: see docs/architecture.md, "The claim".
"""

from collections.abc import Iterable, MutableSequence, Sequence
from typing import NamedTuple

from trivet_common.pool.board import ENTERED, IDLE_AT, NONCE, NUMBER, STATE, USED_AT, SlotState
from trivet_common.pool.idle import Token

# How much older than the youngest claim an idle slot's announcement may be before its token counts as
# overtaken in the first-in-first-out pipe, in nanoseconds.
OVERTAKEN = 50_000_000
# After so many announcements in vain a slot is deaf (3 s of ticks), and announced only every so many ticks.
IN_VAIN = 3
SELDOM = 32
# A request that its slot has not begun with for so long is taken back by its proxy; in nanoseconds.
UNREAD = 1_000_000_000


class Claim(NamedTuple):
    """What a request says of itself in Trivet-Claim. `sent`: CLOCK_MONOTONIC in nanoseconds, 0: not said."""

    number: int
    nonce: int
    sent: int = 0

    @classmethod
    def parse(cls, value: bytes) -> "Claim":
        """`NUMBER NONCE [SENT]`; what is not that is a claim nobody has (numbers begin with 1)."""
        number, _, rest = value.partition(b" ")
        nonce, _, sent = rest.partition(b" ")
        if len(value) < 64 and number.isdigit() and nonce.isdigit() and (sent.isdigit() or not sent):
            return cls(int(number), int(nonce) & 0xFFFFFFFFFFFFFFFF, int(sent or 0))
        return cls(0, 0)

    def is_old(self, now: int) -> bool:
        """Asked right after `commit`: may it have been taken back as unread? (See `is_unread`.)"""
        return 0 < self.sent < now - UNREAD // 2


class SlotClaims:
    """The slot's side: the only writer of its words. Not thread-safe, used by the slot's own thread."""

    __slots__ = ("_words",)

    def __init__(self, words: "MutableSequence[int] | memoryview") -> None:
        self._words = words

    def __repr__(self) -> str:
        return f"<SlotClaims number={self._words[NUMBER]} {SlotState(self._words[STATE]).name}>"

    @property
    def number(self) -> int:
        return self._words[NUMBER]

    @property
    def state(self) -> SlotState:
        return SlotState(self._words[STATE])

    def become_idle(self, now: int) -> int:
        """Idle since `now` (ns). Returns the number for the token; once that is written, others may claim."""
        words = self._words
        words[IDLE_AT] = now
        words[STATE] = SlotState.IDLE
        return words[NUMBER]

    def accepts(self, number: int) -> bool:
        """Is this request's claim the current one? Any other is answered 409 and changes nothing."""
        return self._words[NUMBER] == number and self._words[STATE] == SlotState.IDLE

    def commit(self, nonce: int) -> None:
        """Begin the request that carries `nonce`: from here every copy of its token is void.

        The nonce stands before the number moves: a proxy that sees the number of its claim passed must find
        there whether it was its own request that passed it.
        """
        words = self._words
        words[NONCE] = nonce
        words[USED_AT] = words[IDLE_AT]
        words[STATE] = SlotState.READING
        words[NUMBER] += 1

    def enter(self) -> None:
        """The whole request was read; the application is called next. Not to be taken back any more."""
        words = self._words
        words[ENTERED] = words[NUMBER]
        words[STATE] = SlotState.RUNNING

    def leave(self) -> None:
        """The application is done with the request. Said before its answer is cut off, so that nobody takes
        the cut for a death of the worker."""
        self._words[STATE] = SlotState.READING

    def retire(self) -> None:
        """Void the token that may be out, so that whoever holds it is told 409 and goes elsewhere."""
        words = self._words
        words[NUMBER] += 1
        words[STATE] = SlotState.RETIRING


def was_entered(words: Sequence[int] | memoryview, number: int, nonce: int) -> bool:
    """Had the application been entered with this request, when its connection ended without an answer?

    `words` are those of the incarnation it was sent to, also after its death. False means: it may be sent
    again whatever its method. Anything impossible reads as True, the answer that runs nothing twice.
    """
    current, mine, entered = words[NUMBER], words[NONCE], words[ENTERED]
    if current == number:
        return False
    return not (current == number + 1 and (mine != nonce or entered < number + 1))


def is_inside(words: Sequence[int] | memoryview, number: int, nonce: int) -> bool:
    """Does the application run this request now, or was it running it when its worker died?"""
    return words[NUMBER] == number + 1 and words[NONCE] == nonce and words[STATE] == SlotState.RUNNING


def is_passed_over(words: Sequence[int] | memoryview, number: int, nonce: int) -> bool:
    """Did the slot's number move past this claim with somebody else's request?

    Then the slot will not run ours, and as long as nothing was answered (the caller looks) it is taken back.
    """
    return words[NUMBER] > number and words[NONCE] != nonce


def is_unread(words: Sequence[int] | memoryview, number: int, sent: int, now: int) -> bool:
    """Has the slot let this request lie for so long that it may stand still (stopped, or out of breath)?

    Then its proxy ends its side of the connection first and looks at the number again after that. If it has
    not moved, the slot will not run the request: it commits before it looks whether the connection was
    ended, and it does look, because the request is old by then. If it has moved, the answer is on its way.
    """
    return words[NUMBER] == number and now - sent > UNREAD


class Repair:
    """The master's side: finds slots whose token is gone and announces them again. Nobody else repairs.

    `deaf`: slots that were announced again and again and take no request: their process is stopped, or one of
    its threads holds the interpreter. Each new token of theirs is one more request that waits for nobody.
    """

    __slots__ = ("_announced", "_suspects", "deaf")

    def __init__(self) -> None:
        self._suspects: dict[Token, int] = {}  # for how many ticks running
        self._announced: dict[Token, int] = {}  # how often
        self.deaf: list[Token] = []

    def __repr__(self) -> str:
        return f"<Repair suspects={len(self._suspects)} deaf={len(self.deaf)}>"

    def tick(
        self, fifo_is_empty: bool, slots: Iterable[tuple[int, int, "Sequence[int] | memoryview"]]
    ) -> list[Token]:
        """The tokens to write now. `slots` gives (incarnation, slot, words) of every living slot.

        A token is gone if its slot is idle and the pipe is empty, or if a slot that became idle later has
        been claimed since (the pipe is first in, first out). Two ticks running with the same number: a token
        in a proxy's hand for a moment is not gone. A wrong guess costs one 409. After each announcement of
        the same number it is twice as many ticks: a slot that is deaf would take a request with each token.
        """
        rows = [
            (Token(slot, incarnation, words[NUMBER]), words[STATE], words[IDLE_AT], words[USED_AT])
            for incarnation, slot, words in slots
        ]
        youngest = max((used_at for _, _, _, used_at in rows), default=0)
        idle = {token: idle_at for token, state, idle_at, _ in rows if state == SlotState.IDLE}
        gone = [token for token, at in idle.items() if fifo_is_empty or at + OVERTAKEN < youngest]
        self._announced = {token: times for token, times in self._announced.items() if token in idle}
        ticks = {token: self._suspects.get(token, 0) + 1 for token in gone}
        often = self._announced
        again = sorted(token for token in gone if ticks[token] >= min(2 << often.get(token, 0), SELDOM))
        self.deaf = sorted(token for token in gone if ticks[token] > 1 and often.get(token, 0) >= IN_VAIN)
        for token in again:
            often[token] = often.get(token, 0) + 1
            del ticks[token]  # its new token deserves the same time
        self._suspects = ticks
        return again
