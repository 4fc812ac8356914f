"""What stands before a route's handler: its gates, from outside in, each made once a load.

Owns their order and what several routes share. A gate that is off is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from trivet_common.config.settings_access import Access, BasicAuth, ForwardAuth

from .buckets import Buckets
from .gates.basic_auth import basic_auth_gate
from .gates.doorkeeping import doorkeeping_gate
from .gates.forward_auth import forward_auth_gate
from .gates.maintenance import Flag, maintenance_gate
from .gates.rate_limit import rate_gate
from .gates.vouching import vouching_gate
from .passwords import Passwords
from .route import Handler

if TYPE_CHECKING:
    from trivet_common.config import Route, Upstream

    from .resources import Resources


def is_private(access: Access | None) -> bool:
    """Whether what is behind it is not for everybody. A rate turns away nobody for good."""
    return access is not None and bool(access.doorkeeping or access.basic_auth or access.forward_auth)


class Gating:
    """For one build of a site."""

    def __init__(
        self,
        resources: Resources,
        buckets: Path,
        ask_pool: Callable[[str], Handler],
        ask_upstream: Callable[[Upstream, float], Handler],
        vouched: frozenset[bytes] = frozenset(),
    ) -> None:
        """`buckets`: where all processes count. `ask_*` make who answers for them, in so many seconds.

        `vouched`: headers that some route of the site has of a service, and none of a client.
        """
        self._resources = resources
        self._buckets = buckets
        self._ask_pool = ask_pool
        self._ask_upstream = ask_upstream
        self._vouched = vouched
        self._passwords: dict[Path, Passwords] = {}
        self._flags: dict[Path, Flag] = {}

    def __repr__(self) -> str:
        return f"<Gating {len(self._passwords)} files of passwords, flags {list(self._flags.values())}>"

    def guarded(self, route: Route, handler: Handler) -> Handler:
        """Raises OSError where there is no place to count."""
        if route.access is not None:
            handler = self._asking_who(route.access, handler)
        if self._vouched and (route.pool is not None or route.upstream is not None):
            handler = vouching_gate(self._vouched, handler)
        if route.maintenance is not None:
            handler = maintenance_gate(route.maintenance, self._flag(route.maintenance.when), handler)
        return handler

    def _asking_who(self, access: Access, handler: Handler) -> Handler:
        # The innermost first; what is cheap stands before what is dear.
        if access.forward_auth is not None:
            asks = self._asks(access.forward_auth)
            handler = forward_auth_gate(access.forward_auth, asks, handler)
        if access.basic_auth is not None:
            handler = basic_auth_gate(access.basic_auth, self._passwords_of(access.basic_auth), handler)
        if access.rate_limits:
            handler = rate_gate(access.rate_limits, self._shared_buckets(), handler)
        if access.doorkeeping is not None:
            handler = doorkeeping_gate(access.doorkeeping, handler)
        return handler

    def _asks(self, settings: ForwardAuth) -> Handler:
        if settings.upstream is not None:
            return self._ask_upstream(settings.upstream, settings.timeout)
        assert settings.pool is not None, "the configuration saw to it"
        return self._ask_pool(settings.pool)

    def _passwords_of(self, settings: BasicAuth) -> Passwords:
        found = self._passwords.get(settings.file)
        if found is None:
            found = self._passwords[settings.file] = Passwords(
                settings.file, self._resources.error_log.warning
            )
        return found

    def _flag(self, when: Path) -> Flag:
        found = self._flags.get(when)
        if found is None:
            found = self._flags[when] = Flag(when, self._resources.error_log.warning)
        return found

    def _shared_buckets(self) -> Buckets:
        """Those of the process: a reload forgets no rate."""
        if self._resources.buckets is None:
            self._resources.buckets = Buckets(self._buckets)
        return self._resources.buckets
