"""What was found out about byte strings lately: most heads of one client, and of one application, come again.

Owns how many are remembered. A flood of strings that differ makes it useless, never larger. Knows no HTTP.
"""

from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Two generations of so many: what is asked for moves to the young one; when that is full, the old one is
    forgotten. Cheaper than a list in order of use, and as good. What is given to `keep` must never change."""

    __slots__ = ("_old", "_size", "_young")

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: dict[bytes, Value] = {}
        self._old: dict[bytes, Value] = {}

    def __repr__(self) -> str:
        return f"<Recent {len(self)} of {2 * self._size}>"

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, key: bytes) -> Value | None:
        found = self._young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self.keep(key, found)
        return found

    def keep(self, key: bytes, value: Value) -> None:
        if len(self._young) >= self._size:
            self._old, self._young = self._young, {}
        self._young[key] = value
