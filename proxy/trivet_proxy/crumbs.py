"""How long to leave a peer alone that sends crumbs, so that the next read finds many of them.

A wake-up costs the same for one byte as for 64 KiB, and a peer that sends single bytes decides how many there
are: a head of 16 KiB cost 45 times as much in single bytes. Knows no socket and no HTTP.
"""

# A piece of this size is worth a wake-up (an ordinary segment holds more); after a pause it must be larger,
# or the pauses would begin anew as soon as they have an effect.
_WORTH = 1024
_WORTH_A_PAUSE = 16 * 1024
_SHORTEST = 0.01
# Short enough for somebody who types a request by hand.
_LONGEST = 0.25


class Crumbs:
    """Of one thing that comes in pieces: say how large each was that did not complete it."""

    __slots__ = ("_since", "_worth")

    def __init__(self) -> None:
        self._since: float | None = None  # when the first crumb in a row came
        self._worth = _WORTH

    def __repr__(self) -> str:
        return f"<Crumbs since {self._since}>"

    def pause_after(self, size: int, now: float) -> float:
        """Seconds to sleep before the next read; 0.0 after the first piece: an honest head may be in two.

        From then on what took T to come is left alone for 2 T: so many wake-ups as T has treblings, and the
        whole is late by no more than twice the time it took to send.
        """
        if size >= self._worth:
            self._since, self._worth = None, _WORTH  # a fast sender's remainders are no crumbs
            return 0.0
        if self._since is None:
            self._since = now
            return 0.0
        self._worth = _WORTH_A_PAUSE
        return min(max(2 * (now - self._since), _SHORTEST), _LONGEST)
