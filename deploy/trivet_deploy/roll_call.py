"""Whether the loops of the masters below turn: each is asked, and must have answered by the next time.

Owns who was asked and who answered. Knows neither the service manager nor its watchdog.
"""

from collections.abc import Iterable

from trivet_common.children import Child

QUESTION = b"turning"


class RollCall:
    """By pid: a part's next master is another process, and starts without a debt."""

    __slots__ = ("_owing",)

    def __init__(self) -> None:
        self._owing: set[int] = set()

    def __repr__(self) -> str:
        return f"<RollCall owing={sorted(self._owing)}>"

    def heard(self, child: Child) -> None:
        self._owing.discard(child.pid)

    def call(self, children: Iterable[Child]) -> bool:
        """Ask everyone again; whether everyone who was asked the last time has answered since, or is gone."""
        here = {child.pid: child for child in children if child.pid > 0}
        silent = self._owing & here.keys()
        self._owing = set(here)
        for pid, child in here.items():
            if pid not in silent:  # it has that question still before it
                child.tell(QUESTION)
        return not silent
