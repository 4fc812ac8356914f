"""What one proxy process has beside its routes: handed to handlers and connections, outliving every reload.

Only holds them; knows nothing of what is done with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from trivet_common.config.settings import Settings
from trivet_common.http1.collector import HeadLimits
from trivet_common.logs import ErrorLog

from .access_logs import AccessLogs
from .deadlines import Deadlines
from .request import RequestIds
from .spool import Account, Spool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .buckets import Buckets
    from .dispatch.pool import PoolDispatch
    from .keeper import Keeper
    from .upstreams.roster import Key
    from .upstreams.servers import Servers


class Resources:
    """One a process. `take_over(settings)` is the switch of a reload."""

    def __init__(
        self,
        settings: Settings,
        *,
        index: int,
        count: int,
        nursery: trio.Nursery,
        access_logs: AccessLogs,
        error_log: ErrorLog,
        account: Account | None = None,
    ) -> None:
        """Process `index` of `count`. `nursery` is for tasks that live as long as the process.

        `account`: where all processes count what they spool; without one this process is alone.
        """
        # for the process
        self.index = index
        self.count = count
        self.nursery = nursery
        self.deadlines = Deadlines()
        self.request_ids = RequestIds()
        self.access_logs = access_logs
        self.access_log = access_logs.main  # what most requests are noted in
        self.error_log = error_log
        self.dispatches: dict[str, PoolDispatch] = {}
        self.upstreams: dict[Key, Servers] = {}
        self.buckets: Buckets | None = None  # where a route has a rate_limit
        self.is_draining = False
        self._keepers: Sequence[Keeper] = ()
        # for the settings
        self.spool = Spool(settings.spool.dir, settings.spool.memory, settings.spool.limit, account)
        self.take_over(settings)

    def __repr__(self) -> str:
        return f"<Resources of process {self.index} of {self.count}, {self.settings!r}>"

    def take_over(self, settings: Settings) -> None:
        """New settings. What requests in flight hold of the old ones they keep until they end."""
        self.settings = settings
        limits = settings.limits
        self.head_limits = HeadLimits(limits.header_bytes, limits.headers)
        self.write_timeout: float = limits.write_timeout
        self.write_rate: int | None = limits.write_rate
        self.connections: int = max(limits.connections // self.count, 1)
        # The kernel deals out one client's connections by chance: rounded up, or few could mean none.
        per_client = limits.connections_per_client
        self.per_client = per_client and -(-per_client // self.count)
        self.spool.dir = settings.spool.dir
        self.spool.memory = settings.spool.memory
        self.spool.limit = settings.spool.limit

    def log_with(self, logs: AccessLogs) -> None:
        """From now on in these; those before are closed."""
        old, self.access_logs = self.access_logs, logs
        self.access_log = logs.main
        old.close()

    def keep_with(self, keepers: Sequence[Keeper]) -> None:
        """From now on these, in the place of the site's before; one process does it for all."""
        for keeper in self._keepers:
            keeper.stop()
        self._keepers = keepers if self.index == 0 else ()
        for keeper in self._keepers:
            self.nursery.start_soon(keeper.run)

    def statistics(self) -> dict[str, Any]:
        """For the status page and tests."""
        return {
            "spool_bytes": self.spool.used,
            "spool_files": self.spool.files,
            "access_lines_lost": self.access_logs.lost,
        }
