"""Routes that ask more of a request than its host and path: all that may answer it, in file order.

The same ways to find them as the router's tables have, but each leads to several: which of them it is, is
known only when they have been asked. A site without such routes has none of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .route import CompiledRoute


class PathCandidates:
    """Of one host."""

    __slots__ = ("_depth", "_everything", "_exact", "_prefixes", "_slash")

    def __init__(self) -> None:
        self._exact: dict[bytes, list[CompiledRoute]] = {}
        self._prefixes: dict[bytes, list[CompiledRoute]] = {}
        self._slash: dict[bytes, list[CompiledRoute]] = {}
        self._everything: list[CompiledRoute] = []
        self._depth = 0

    def add(self, route: CompiledRoute) -> None:
        path = route.path
        if path is None:
            self._everything.append(route)
        elif path.endswith(b"/"):
            self._prefixes.setdefault(path, []).append(route)
            self._depth = max(self._depth, path.count(b"/"))
            if route.to_slash is not None and len(path) > 1:
                self._slash.setdefault(path[:-1], []).append(route)
        else:
            self._exact.setdefault(path, []).append(route)

    def gather(self, path: bytes, matches: list[CompiledRoute], slashes: list[CompiledRoute]) -> None:
        """Add to `matches` those for this path, to `slashes` those for all beneath it."""
        matches += self._everything
        matches += self._exact.get(path, ())
        end = 0
        for _ in range(self._depth):
            end = path.find(b"/", end) + 1
            if not end:
                break
            matches += self._prefixes.get(path[:end], ())
        slashes += self._slash.get(path, ())
