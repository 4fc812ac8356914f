"""Whether a server may be asked, by what became of the requests before: out after some failures in a row.

Pure: whoever asks says what time it is. Knows no server and no kind of failure.
"""

from enum import Enum

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds; each is twice the last


class Standing(Enum):
    IN = "is asked"
    TRIAL = "its pause is over: one request may try it"
    OUT = "is left out"


class Ejection:
    """`fall` failures in a row and it is out; None: never. Then one tries it each pause until it answers.

    Failures while it is out say nothing new: they are of requests that were under way before.
    """

    __slots__ = ("_failures", "_fall", "_until", "pauses", "successes")

    def __init__(self, fall: int | None) -> None:
        self._fall = fall
        self._failures = 0
        self.pauses = 0  # without a success between them; 0: it is in
        self._until = 0.0
        self.successes = 0  # ever

    def __repr__(self) -> str:
        state = f"out, pause {self.pauses}, until {self._until:.1f}" if self.pauses else "in"
        return f"<Ejection {state}, {self._failures} failures>"

    def standing(self, now: float) -> Standing:
        if not self.pauses:
            return Standing.IN
        return Standing.OUT if now < self._until else Standing.TRIAL

    def begin(self, now: float) -> None:
        """A request is on its way to it. Of one on trial the next pause begins: others do not follow."""
        if self.pauses and now >= self._until:
            self._leave_out(now)

    def note_success(self) -> bool:
        """Whether it is back by that."""
        self.successes += 1
        was_out = self.pauses > 0
        self._failures = self.pauses = 0
        return was_out

    def note_failure(self, now: float) -> bool:
        """Whether it is out from now on."""
        if self._fall is None or self.pauses:
            return False
        self._failures += 1
        if self._failures < self._fall:
            return False
        self._leave_out(now)
        return True

    def _leave_out(self, now: float) -> None:
        self._until = now + min(_FIRST_PAUSE * 2**self.pauses, _LONGEST_PAUSE)
        self.pauses = min(self.pauses + 1, 16)
