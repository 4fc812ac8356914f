"""What was found out about byte strings lately: most heads of one client, and of one application, come again.

Owns how many are remembered. A flood of strings that differ makes it useless, never larger. Knows no HTTP.
"""

from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(dict[bytes, "Value | None"], Generic[Value]):
    """`recent[key]`: what was kept; None, and no KeyError, for what is not known or not any more.

    The dict is the young one of two generations. What is asked for moves there; when it is full, the old one
    is forgotten: cheaper than a list in order of use, and as good. What is kept must never change. Threads
    may share it: where two find it full at once, a generation is forgotten early.
    """

    __slots__ = ("_old", "_seen", "_size")

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._old: dict[bytes, Value | None] = {}
        self._seen: set[int] = set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self)} and {len(self._old)} of {self._size}>"

    def __missing__(self, key: bytes) -> Value | None:
        found = self._old.get(key)
        if found is not None:
            self.keep(key, found)
        return found

    def wants(self, key: bytes) -> bool:
        """Whether it was asked for before: what comes once is not worth a place, and would push others out.

        To keep all of it took a third longer than judging heads that never came again.
        """
        mark, seen = hash(key), self._seen
        if mark in seen:
            return True
        if len(seen) >= 4 * self._size:
            seen.clear()
        seen.add(mark)
        return False

    def keep(self, key: bytes, value: Value) -> None:
        if len(self) >= self._size:
            self._old = dict(self)
            self.clear()
        self[key] = value
