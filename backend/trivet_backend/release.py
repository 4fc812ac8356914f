"""A release: the settings a worker is started with, numbered since the master began.

Knows nothing of how one follows another.
"""

from typing import NamedTuple

from trivet_common.config import Pool, Settings


class Release(NamedTuple):
    """The first is number 1; one that did not come to serve had a number too.

    Code is whatever lies on the disk when a worker, or its template, imports it.
    """

    number: int
    pool: Pool
    settings: Settings
