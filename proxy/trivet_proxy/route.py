"""One route of the file, compiled: what it matches and what happens then.

Only holds values; found by the router, filled by the site.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from trivet_common.config import Limits

    from .conditions import Condition, Holds
    from .error_choice import ErrorChoice
    from .request import Request
    from .router import Router
    from .shape import Shape
    from .writer import ResponseWriter

Handler: TypeAlias = "Callable[[Request, ResponseWriter], Awaitable[None]]"


class RoutableHead(Protocol):
    """What the router asks of a request's head (`http1.request.RequestHead` has it)."""

    @property
    def host(self) -> str: ...
    @property
    def path(self) -> bytes: ...


@dataclass(slots=True, eq=False, kw_only=True)
class CompiledRoute:
    """One route of the file with a live handler.

    `path` is decoded bytes: with a final / all beneath it matches, without one only itself; None matches
    everything. `to_slash` answers `/x` where this route is `/x/`.
    """

    # what matches
    order: int
    hosts: tuple[str, ...] = ()
    path: bytes | None = None
    scheme: str | None = None
    methods: frozenset[bytes] = frozenset()  # none: all
    conditions: list[Condition] = field(default_factory=list)  # what else is asked, one by one
    holds: Holds | None = None  # all of them in one
    to_slash: CompiledRoute | None = None
    # what happens
    handler: Handler
    limits: Limits | None  # None: those of whoever answers in the end
    stream: bool = False
    timeout: float | None = None  # seconds
    slot_lines: bytes = b""  # what only slots of ours are told: whole lines that begin with CRLF
    shape: Shape | None = None
    secure_shape: Shape | None = None  # over https
    errors: ErrorChoice | None = None  # None: Trivet's own pages
    obeys: bool = False  # an application's order to send a file
    rest: Router | None = None  # the routes behind it, where it may leave a request to them
    # what is said about it
    id: str = ""
    where: str = ""
    log_line: Callable[[Request, ResponseWriter], None] | None = None  # None: in the site's log

    @property
    def is_asking(self) -> bool:
        """Whether it is not for every request that comes to its hosts, path and scheme."""
        return bool(self.methods) or self.holds is not None

    def __repr__(self) -> str:
        hosts = ",".join(self.hosts)
        return (
            f"<CompiledRoute {self.order} {self.id} {hosts}{(self.path or b'*').decode('utf-8', 'replace')}>"
        )
