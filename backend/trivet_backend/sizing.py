"""How many workers a pool should have, between `min` and `max`: grows on need, shrinks after a time without.

Decides only: it is told what was seen at each tick. Knows no process and no board.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from trivet_common.config.settings import Workers
from trivet_common.pool.queue_board import QueueView

# What "over some seconds" is: of the claims in so long (s) …
WINDOW = 3.0
# … a twentieth may have waited longer than `wait`: that is the 95th percentile. One look is no evidence.
_LATE = 0.05
_EVIDENCE = 1.0
# Somebody who has waited so long (s) is need enough, even where nobody is served at all.
_LONG_WAIT = 1.0


class Sample(NamedTuple):
    """Seen at one tick. `now` and `oldest_wait` in seconds, memory in bytes.

    `claims` and `late` were counted since the tick before; `busy` of `slots` have a request.
    """

    now: float
    claims: int
    late: int
    oldest_wait: float
    busy: int
    slots: int


class Sizing:
    """`decide` says by how many workers the pool should change now: 1, 0 or -1."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._window: deque[Sample] = deque()
        self._needed_at = 0.0

    def __repr__(self) -> str:
        return f"<Sizing {self._workers} window={len(self._window)} needed_at={self._needed_at:.1f}>"

    def decide(self, sample: Sample, size: int, *, is_settled: bool) -> int:
        """`is_settled`: nobody starts or leaves; one change at a time, and its effect is seen first."""
        self._note(sample)
        needs_more = self._needs_more(sample)
        # All of the last worker's slots could have stayed idle: that much less would have been enough.
        if needs_more or sample.busy > sample.slots * (size - 1) / max(size, 1) or not self._needed_at:
            self._needed_at = sample.now
        if not is_settled:
            return 0
        if needs_more and size < self._workers.max:
            self._window.clear()
            return 1
        if size > self._workers.min and sample.now - self._needed_at >= self._workers.idle:
            self._needed_at = sample.now
            return -1
        return 0

    def has_room(self, memory: int, size: int) -> bool:
        """Would one more worker like the others stay within `memory`? They take so much together (bytes)."""
        limit = self._workers.memory
        return limit is None or memory + memory // max(size, 1) <= limit

    def _note(self, sample: Sample) -> None:
        self._window.append(sample)
        while self._window[0].now < sample.now - WINDOW:
            self._window.popleft()

    def _needs_more(self, sample: Sample) -> bool:
        claims = sum(each.claims for each in self._window)
        late = sum(each.late for each in self._window)
        is_late = late > claims * _LATE and sample.now - self._window[0].now >= _EVIDENCE
        return is_late or sample.oldest_wait > max(self._workers.wait, _LONG_WAIT)


class Flow:
    """What the proxies' queues counted between two looks. A process that is new begins at 0."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], tuple[int, int]] | None = None

    def __repr__(self) -> str:
        return f"<Flow from {len(self._seen or ())} processes>"

    def since_last(self, views: Iterable[QueueView], now: int) -> tuple[int, int, float]:
        """Claims, late ones, and the oldest wait (s). `now`: CLOCK_MONOTONIC in nanoseconds."""
        claims = late = 0
        oldest = 0.0
        views = list(views)
        if not views:
            return 0, 0, 0.0  # no proxy; or the board could not be read, and its counts are no new ones then
        seen = {}
        for view in views:
            key = (view.process, view.pid)
            seen[key] = (view.counts.claims, view.counts.late)
            # What was counted before we first looked is somebody else's past.
            before = seen[key] if self._seen is None else self._seen.get(key, (0, 0))
            claims += max(view.counts.claims - before[0], 0)
            late += max(view.counts.late - before[1], 0)
            if view.waiting and view.oldest_since:
                oldest = max(oldest, (now - view.oldest_since) / 1e9)
        self._seen = seen
        return claims, late, oldest
