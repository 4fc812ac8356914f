"""What a slot puts up with, and whom it believes. Knows nothing of where these values come from."""

import os
from collections.abc import Callable
from typing import NamedTuple

from trivet_common.http1.collector import HeadLimits


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
