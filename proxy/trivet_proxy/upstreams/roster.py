"""The upstreams of one site: those of the site before where nothing about them has changed, else new ones.

So a reload forgets neither a failure nor a connection. Knows no route.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .servers import Servers

if TYPE_CHECKING:
    from pathlib import Path

    from trivet_common.config import Upstream

    from ..resources import Resources

Key = tuple["Upstream", object]


class Roster:
    """One build. `begin` when its site takes over, `drop` when it will not."""

    __slots__ = ("_resources", "_servers")

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._servers: dict[Key, Servers] = {}

    def __repr__(self) -> str:
        return f"<Roster {', '.join(servers.name for servers in self) or 'none'}>"

    def __iter__(self) -> Iterator[Servers]:
        return iter(self._servers.values())

    def servers_of(self, upstream: Upstream) -> Servers:
        """One for all routes that name it. Raises OSError for authorities that cannot be read."""
        resources = self._resources
        # The same words may mean another file by now.
        key = upstream, _stamp(upstream.tls.ca)
        found = self._servers.get(key) or resources.upstreams.get(key)
        if found is None:
            found = Servers(
                upstream, resources.deadlines, resources.error_log.warning, resources.index, resources.count
            )
        self._servers[key] = found
        return found

    def begin(self) -> None:
        old, self._resources.upstreams = self._resources.upstreams, self._servers
        for key, servers in self._servers.items():
            if key not in old:
                self._resources.nursery.start_soon(servers.run)
        for key, servers in old.items():
            if key not in self._servers:
                servers.close()

    def drop(self) -> None:
        for key, servers in self._servers.items():
            if self._resources.upstreams.get(key) is not servers:
                servers.close()


def _stamp(path: Path | None) -> object:
    if path is None:
        return None
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns
