"""How worn a worker is: by requests served (max_requests), by memory grown (max_memory).

Owns when it asks for a successor and when it can serve nobody any more. Knows no slot and no master.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import count

from trivet_backend.memory import PrivateMemory

# A successor is asked for at this part of the way from a worker's size when it was ready to the limit.
_EARLY = 0.8
# max_requests comes up to so much sooner, or all workers of a pool would be replaced at the same time.
_JITTER = 0.1
# What a template shares becomes private page by page; how often (s) a low guess is looked into.
_STALE = 1.0


def wears(
    max_requests: int | None,
    max_memory: int | None,
    *,
    tire: Callable[[bytes], None],
    warn: Callable[[str], None],
) -> list[Callable[[], bool]]:
    """What is to be asked after each request: whether the worker must take no other. Empty without limits."""
    found: list[Callable[[], bool]] = []
    if max_requests is not None:
        found.append(RequestWear(max_requests, tire))
    if max_memory is not None:
        found.append(MemoryWear(max_memory, tire, warn))
    return found


class RequestWear:
    """Counts the requests of all slots."""

    __slots__ = ("_limit", "_served", "_tire")

    def __init__(self, most: int, tire: Callable[[bytes], None]) -> None:
        self._limit = max(most - random.randrange(int(most * _JITTER) + 1), 1)
        self._served = count(1)
        self._tire = tire

    def __repr__(self) -> str:
        return f"<RequestWear of {self._limit}>"

    def __call__(self) -> bool:
        """After a request. It goes on being served until the successor is there."""
        if next(self._served) == self._limit:
            self._tire(b"requests")
        return False


class MemoryWear:
    """Compares what the worker holds now with what it may; `warn` hears of a limit nobody could keep."""

    __slots__ = ("_early", "_measured_at", "_memory", "_most", "_tire")

    def __init__(self, most: int, tire: Callable[[bytes], None], warn: Callable[[str], None]) -> None:
        """When the worker is ready."""
        self._memory = PrivateMemory()
        self._tire = tire
        self._most = most
        self._measured_at = time.monotonic()
        size = self._memory.measure()
        self._early = int(size + (most - size) * _EARLY)
        if size >= most:
            # Enforced, it would be a pool that starts workers for ever and serves nobody.
            warn(f"max_memory is {most >> 20} MiB, and {size >> 20} MiB are held before the first request")
            self._early = self._most = 1 << 63

    def __repr__(self) -> str:
        return f"<MemoryWear {self._memory!r} of {self._most >> 20} MiB>"

    def __call__(self) -> bool:
        """After a request. True: no further one, the next might be too much."""
        if self._memory.guess() < self._early and time.monotonic() < self._measured_at + _STALE:
            return False
        self._measured_at = time.monotonic()
        size = self._memory.measure()
        if size >= self._early:
            self._tire(b"memory")
        return size >= self._most
