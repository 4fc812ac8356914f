"""Which route answers a request: the first in file order whose host and path match.

Compiled at load into dictionaries, so that a thousand routes cost what two do; the result is that of
reading the list from the top. Knows routes and request heads, not what a handler does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from trivet_common.config import Limits

    from .request import Request
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
    listeners: tuple[str, ...] = ()  # addresses
    to_slash: CompiledRoute | None = None
    # what happens
    handler: Handler
    limits: Limits | None  # None: those of whoever answers in the end
    stream: bool = False
    timeout: float | None = None  # seconds
    slot_lines: bytes = b""  # what only slots of ours are told: whole lines that begin with CRLF
    shape: Shape | None = None
    secure_shape: Shape | None = None  # over https
    obeys: bool = False  # an application's order to send a file
    rest: Router | None = None  # the routes behind it, where it may leave a request to them
    # what is said about it
    id: str = ""
    where: str = ""
    log: bool = True

    def __repr__(self) -> str:
        hosts = ",".join(self.hosts)
        return (
            f"<CompiledRoute {self.order} {self.id} {hosts}{(self.path or b'*').decode('utf-8', 'replace')}>"
        )


class Router:
    """Exact hosts are looked up, `*.example.com` by the ends of the host's name.

    `find` is for requests over http, `find_secure` for those over https. `by_listener` has another router for
    each listener that a route names; all others are served by this one.
    """

    __slots__ = ("_anywhere", "_by_host", "_by_suffix", "_secure", "by_listener", "routes")

    def __init__(
        self, routes: Iterable[CompiledRoute], scheme: str = "http", listener: str | None = None
    ) -> None:
        every = sorted(routes, key=lambda route: route.order)
        named = {address for route in every for address in route.listeners} if listener is None else ()
        self.by_listener = {address: Router(every, scheme, address) for address in named}
        self.routes = [route for route in every if not route.listeners or listener in route.listeners]
        # No bound method of its own is kept here: a cycle would hold what the routes have open.
        self._secure: Router | None = None
        if scheme == "http" and any(route.scheme for route in self.routes):
            self._secure = Router(self.routes, "https", listener or "")
        self._anywhere = _PathTable()
        self._by_host: dict[str, _PathTable] = {}
        self._by_suffix: dict[str, _PathTable] = {}
        for route in self.routes:
            for table in self._tables_of(route) if route.scheme in (None, scheme) else ():
                table.add(route)

    def __repr__(self) -> str:
        return f"<Router {len(self.routes)} routes, {len(self._by_host) + len(self._by_suffix)} hosts>"

    @property
    def find_secure(self) -> Callable[[RoutableHead], CompiledRoute | None]:
        return self.find if self._secure is None else self._secure.find

    def find(self, head: RoutableHead) -> CompiledRoute | None:
        """The route for this request, which may be one that only sends it to `/x/`; None if there is none."""
        path = head.path
        best = _NOTHING
        for table in self._tables_for(head.host):
            best = table.better(path, best)
        match, slash = best
        if match is None:
            return slash.to_slash if slash is not None else None
        # A route written for exactly `/x` is meant, wherever `/x/` stands; a wider one behind `/x/` is not.
        if slash is not None and slash.order < match.order and match.path != path:
            return slash.to_slash
        return match

    def _tables_of(self, route: CompiledRoute) -> list[_PathTable]:
        if not route.hosts:
            return [self._anywhere]
        tables = []
        for host in route.hosts:
            if host.startswith("*."):
                tables.append(self._by_suffix.setdefault(host[1:].lower(), _PathTable()))
            else:
                tables.append(self._by_host.setdefault(host.lower(), _PathTable()))
        return tables

    def _tables_for(self, host: str) -> list[_PathTable]:
        tables = [self._anywhere]
        named = self._by_host.get(host)
        if named is not None:
            tables.append(named)
        if self._by_suffix:
            # `*` is one or more labels, so the dot may not be the first character. A host has at most 253
            # characters (the gate saw to that), so this is bounded.
            dot = host.find(".", 1)
            while dot != -1:
                table = self._by_suffix.get(host[dot:])
                if table is not None:
                    tables.append(table)
                dot = host.find(".", dot + 1)
        return tables


_Best = tuple[
    CompiledRoute | None, CompiledRoute | None
]  # the earliest match, the earliest `/x/` for a path `/x`
_NOTHING: _Best = (None, None)


class _PathTable:
    """The earliest route for every exact path and every prefix, among routes with one host."""

    __slots__ = ("_depth", "_everything", "_exact", "_prefixes", "_slash")

    def __init__(self) -> None:
        self._exact: dict[bytes, CompiledRoute] = {}
        self._prefixes: dict[bytes, CompiledRoute] = {}
        self._slash: dict[bytes, CompiledRoute] = {}
        self._everything: CompiledRoute | None = None
        self._depth = (
            0  # slashes in the deepest prefix: a path of 10,000 segments is not looked up 10,000 times
        )

    def add(self, route: CompiledRoute) -> None:
        """Routes come in file order, so the first of a path stays."""
        path = route.path
        if path is None:
            self._everything = self._everything or route
        elif path.endswith(b"/"):
            self._prefixes.setdefault(path, route)
            self._depth = max(self._depth, path.count(b"/"))
            if route.to_slash is not None and len(path) > 1:
                self._slash.setdefault(path[:-1], route)
        else:
            self._exact.setdefault(path, route)

    def better(self, path: bytes, best: _Best) -> _Best:
        """The earlier of `best` and what is here, for both members."""
        match, slash = best
        match = _earlier(match, self._exact.get(path))
        match = _earlier(match, self._everything)
        end = 0
        for _ in range(self._depth):
            end = path.find(b"/", end) + 1
            if not end:
                break
            match = _earlier(match, self._prefixes.get(path[:end]))
        return match, _earlier(slash, self._slash.get(path))


def _earlier(one: CompiledRoute | None, other: CompiledRoute | None) -> CompiledRoute | None:
    if other is None or (one is not None and one.order < other.order):
        return one
    return other
