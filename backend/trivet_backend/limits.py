"""What a slot puts up with, and whom it believes; and which settings say so."""

import os
from collections.abc import Callable
from typing import NamedTuple

from trivet_common.config import Pool, Settings
from trivet_common.http1.collector import HeadLimits

# Our proxy adds fields of its own (claim, forwarding) to a head that just fits its limits.
_ROOM_BYTES, _ROOM_FIELDS = 16 * 1024, 32
_LONGEST_REWRITTEN = 64 * 1024
# What a placeholder may become: three bytes for one that has to be encoded.
_GROWS = 3


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
    size, fields = _room(settings, pool)
    return SlotLimits(
        head=HeadLimits(limits.header_bytes + size, limits.headers + fields),
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


def _room(settings: Settings, pool: Pool) -> tuple[int, int]:
    """Bytes and fields: what the proxy adds, and what routes to this pool make of a head that just fits."""
    most_bytes = most_fields = 0
    for route in settings.routes:
        if route.pool != pool.name:
            continue
        changes = route.request_headers
        fields = (*changes.set, *changes.add, *changes.default)
        size = sum(len(name) + len(value) + 4 for name, value in fields)
        size += sum(value.count("{") for _, value in fields) * _GROWS * settings.limits.header_bytes
        most_bytes = max(most_bytes, size + (_LONGEST_REWRITTEN if route.rewrite is not None else 0))
        most_fields = max(most_fields, len(fields))
    return _ROOM_BYTES + most_bytes, _ROOM_FIELDS + most_fields
