"""Who may come in by a route: what `allow`, `deny`, `basic_auth`, `forward_auth` and `rate_limit` mean.

Plain frozen data, as in settings.py.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .addresses import Network

if TYPE_CHECKING:
    from .settings import Upstream


@dataclass(frozen=True, slots=True)
class Doorkeeping:
    """`allow` and `deny`: the most specific network that a client is in decides, `deny` where both name it.

    `rules` are in that order: a network, or None for clients on a Unix socket, and whether it may come in.
    `otherwise`: may a client that is in none of them?
    """

    rules: tuple[tuple[Network | None, bool], ...]
    otherwise: bool


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """`forward`: the Authorization field goes on to the application as well."""

    file: Path
    realm: str
    forward: bool = False


@dataclass(frozen=True, slots=True)
class ForwardAuth:
    """Who is asked: an upstream under the name `host`, or a pool. `copy`: header names in lower case.

    `redirect` is a template of PLACEHOLDERS; None passes a 401 on. `timeout` in seconds, for all of it.
    """

    target: str
    upstream: "Upstream | None" = None
    host: str | None = None
    pool: str | None = None
    copy: tuple[str, ...] = ()
    redirect: str | None = None
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`count` requests in `period` seconds, and `burst` more at once.

    `scope` tells its buckets from those of others: a route's id, or `defaults`, and its place in the list.
    `header`: whose value has a bucket of its own; None: each client has one.
    """

    scope: str
    count: int
    period: float
    burst: int
    header: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """All of it for one route; what is off is None, or empty."""

    doorkeeping: Doorkeeping | None = None
    rate_limits: tuple[RateLimit, ...] = ()
    basic_auth: BasicAuth | None = None
    forward_auth: ForwardAuth | None = None

    def __bool__(self) -> bool:
        return bool(self.doorkeeping or self.rate_limits or self.basic_auth or self.forward_auth)
