"""What a slot puts up with, and whom it believes; and which settings say so."""

import os
from collections.abc import Callable
from typing import NamedTuple

from trivet_common.config import Pool, Settings
from trivet_common.http1.collector import HeadLimits

# Our proxy adds fields of its own (claim, forwarding) to a head that just fits its limits.
_ROOM_BYTES, _ROOM_FIELDS = 16 * 1024, 32


class SlotLimits(NamedTuple):
    """Times in seconds, sizes in bytes; `body_rate` in bytes a second, None for none.

    `timeout`: of the application, to its head and between pieces. `is_spent_by_timeout`: a slot whose request
    was interrupted takes no other.
    """

    head: HeadLimits
    body: int
    header_timeout: float
    body_timeout: float
    body_rate: float | None
    write_timeout: float
    spool_memory: int
    spool_directory: str | os.PathLike[str] | None
    timeout: float | None = None
    is_spent_by_timeout: bool = True


class Trust(NamedTuple):
    """`uids` are believed on Unix sockets, `is_proxy(address)` on the shared ones (None: a Unix peer)."""

    uids: frozenset[int]
    is_proxy: Callable[[str | None], bool]


def slot_limits(settings: Settings, pool: Pool) -> SlotLimits:
    limits = settings.limits
    return SlotLimits(
        head=HeadLimits(limits.header_bytes + _ROOM_BYTES, limits.headers + _ROOM_FIELDS),
        body=limits.body,
        header_timeout=limits.header_timeout,
        body_timeout=limits.body_timeout,
        body_rate=limits.body_rate,
        write_timeout=limits.write_timeout,
        spool_memory=settings.spool.memory,
        spool_directory=settings.spool.dir,
        timeout=pool.timeout,
        is_spent_by_timeout=pool.after_timeout == "replace",
    )
