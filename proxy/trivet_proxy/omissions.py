"""What was left out of a request and may puzzle its operator, said seldom.

Owns when it is said. Knows no rule of what is dropped: the gate and forwarded.py have those.
"""

from trivet_common.http1.request import RequestHead

from .complaints import Complaints

_HOUR = 3600.0
_MINUTE = 60.0
# Clients choose the names: so many an hour are said, whatever they make up.
_MOST_NAMES = 32
_FORWARDED = (b"x-forwarded-for", b"forwarded", b"x-real-ip")


class Omissions:
    """Of one proxy process."""

    __slots__ = ("_complaints", "_names", "_names_until")

    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints
        self._names: set[bytes] = set()
        self._names_until = 0.0

    def __repr__(self) -> str:
        return f"<Omissions of {len(self._names)} names>"

    def tell_names(self, head: RequestHead, now: float) -> None:
        """Header names that two programs could read as one (an underscore), once an hour and name.

        `now`: monotonic seconds.
        """
        if now >= self._names_until:
            self._names.clear()
            self._names_until = now + _HOUR
        for name in head.dropped:
            if len(self._names) < _MOST_NAMES and name not in self._names:
                self._names.add(name)
                shown = name.decode("latin-1")[:64]
                self._complaints.say(
                    f"dropped {shown}",
                    f"the request header {shown} was dropped: in the application it could not be told from "
                    f"{shown.replace('_', '-')}",
                    every=_HOUR,
                )

    def tell_unbelieved(self, head: RequestHead, peer: str | None) -> None:
        """Somebody in front of us names a client, and nobody told us to believe it; once a minute."""
        if any(head.get(name) is not None for name in _FORWARDED):
            who = peer or "unix"
            self._complaints.say(
                "unbelieved",
                f"{who} sent X-Forwarded-* and was not believed; if that is your own proxy, write "
                f"trusted_proxies: [{who}]",
                every=_MINUTE,
            )
