"""What a pool's configuration asks of its dispatch: how many may wait, what may be run again, what is late.

Made once a load; a reload puts another one in its place. Knows no request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from trivet_common.config import Pool

# RFC 9110, 9.2.1: running one of these twice is what its client allows anyway; of 9.2.2, twice is as once.
SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
RETRIED = {"off": frozenset[bytes](), "safe": SAFE, "idempotent": SAFE | {b"PUT", b"DELETE"}}


class QueueLimits(NamedTuple):
    """`limit`: how many may wait in this process; `timeout` in seconds, None for ever."""

    limit: int
    timeout: float | None

    @classmethod
    def share(cls, limit: int, timeout: float | None, index: int, processes: int) -> QueueLimits:
        """Process `index`'s part of the whole; at least one, unless nobody is to wait at all."""
        part = limit // processes + (index < limit % processes)
        return cls(max(part, 1) if limit else 0, timeout)


class Terms(NamedTuple):
    """`retried`: methods that are run again when a worker died in them. `late`: seconds of waiting above
    which a pool that can grow wants another worker."""

    limits: QueueLimits
    retried: frozenset[bytes] = SAFE
    late: float = 0.05

    @classmethod
    def of(cls, pool: Pool, index: int, processes: int) -> Terms:
        """Those of process `index`."""
        limits = QueueLimits.share(pool.queue.limit, pool.queue.timeout, index, processes)
        return cls(limits, RETRIED[pool.retry], pool.workers.wait)
