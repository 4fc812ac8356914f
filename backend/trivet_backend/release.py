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

    @property
    def has_template(self) -> bool:
        """While it is developed each worker loads the application: one that is broken becomes a page."""
        return self.pool.preload is not None and not self.pool.is_development
