"""Which route answers a request: the first in file order that matches it.

Compiled at load into dictionaries by host and path, so that a thousand routes cost what two do; the result is
that of reading the list from the top. Knows routes and requests, not what a handler does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from trivet_common.http1.reasons import refuse

from .candidates import PathCandidates
from .route import CompiledRoute, Handler, RoutableHead

if TYPE_CHECKING:
    from .request import Request

__all__ = ["CompiledRoute", "Find", "Handler", "RoutableHead", "Router"]

Find = Callable[..., CompiledRoute | None]

_MOST_KNOWN = 1024
_LONGEST_KNOWN = 256
_MOST_ASKED = 64  # routes at once, that are remembered


class Router:
    """`find` is for requests over http, `find_secure` for those over https: head, and request or None.

    Where no route asks for more than host, path and scheme, the request is not looked at.
    """

    __slots__ = ("_asking", "_known", "_led", "_secure", "_sure", "routes")

    def __init__(self, routes: Iterable[CompiledRoute], scheme: str = "http") -> None:
        self.routes = sorted(routes, key=lambda route: route.order)
        # No bound method of its own is kept here: a cycle would hold what the routes have open.
        self._secure: Router | None = None
        if scheme == "http" and any(route.scheme for route in self.routes):
            self._secure = Router(self.routes, "https")
        mine = [route for route in self.routes if route.scheme in (None, scheme)]
        self._sure = _Hosts(_PathTable, [route for route in mine if not route.is_asking])
        self._known: dict[tuple[str, bytes], CompiledRoute] = {}
        self._led: dict[tuple[str, bytes], _Led] = {}
        asking = [route for route in mine if route.is_asking]
        self._asking = _Hosts(PathCandidates, asking) if asking else None

    def __repr__(self) -> str:
        return f"<Router {len(self.routes)} routes, {len(self.hosts)} hosts>"

    @property
    def hosts(self) -> set[str]:
        return {host.lower() for route in self.routes for host in route.hosts}

    @property
    def find(self) -> Find:
        return self._find_sure if self._asking is None else self._find_asking

    @property
    def find_secure(self) -> Find:
        return self.find if self._secure is None else self._secure.find

    def _find_sure(self, head: RoutableHead, request: Request | None = None) -> CompiledRoute | None:
        """The route for this request, which may be one that only sends it to `/x/`; None if there is none."""
        path = head.path
        known = self._known.get((head.host, path))
        if known is not None:
            return known
        best = _NOTHING
        for table in self._sure.tables_for(head.host):
            best = table.better(path, best)
        match, slash = best
        if match is None:
            return slash.to_slash if slash is not None else None
        if slash is None:
            self._remember(head, match)
        # A route written for exactly `/x` is meant, wherever `/x/` stands; a wider one behind `/x/` is not.
        if slash is not None and slash.order < match.order and match.path != path:
            return slash.to_slash
        return match

    def _remember(self, head: RoutableHead, match: CompiledRoute) -> None:
        """Most requests are for a few paths. In a flood of others it starts over rather than grow."""
        if len(head.path) <= _LONGEST_KNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[head.host, head.path] = match

    def _find_asking(self, head: RoutableHead, request: Request) -> CompiledRoute | None:
        """The same, with those that ask in their places. HttpError method: only another one is answered."""
        path = head.path
        led = self._led.get((head.host, path)) or self._lead(head)
        match, slash = led.match, led.slash
        refused: list[CompiledRoute] = []
        if led.matches:
            match = _first(led.matches, request, refused) or match
        if led.slashes:
            slash = _first(led.slashes, request, []) or slash
        if match is None:
            if slash is None and refused:
                raise _not_by_method(refused)
            return slash.to_slash if slash is not None else None
        if slash is not None and slash.order < match.order and match.path != path:
            return slash.to_slash
        return match

    def _lead(self, head: RoutableHead) -> _Led:
        """Where host and path alone lead to: the sure ones, and those before them that are to be asked."""
        assert self._asking is not None
        path, best = head.path, _NOTHING
        for table in self._sure.tables_for(head.host):
            best = table.better(path, best)
        matches: list[CompiledRoute] = []
        slashes: list[CompiledRoute] = []
        for candidates in self._asking.tables_for(head.host):
            candidates.gather(path, matches, slashes)
        led = _Led(*best, _before(best[0], matches), _before(best[1], slashes))
        if len(path) <= _LONGEST_KNOWN and len(matches) <= _MOST_ASKED:
            if len(self._led) >= _MOST_KNOWN:
                self._led.clear()
            self._led[head.host, path] = led
        return led


class _Led(NamedTuple):
    """`matches` and `slashes` in file order."""

    match: CompiledRoute | None
    slash: CompiledRoute | None
    matches: list[CompiledRoute]
    slashes: list[CompiledRoute]


def _before(sure: CompiledRoute | None, candidates: list[CompiledRoute]) -> list[CompiledRoute]:
    return sorted(
        (route for route in candidates if sure is None or route.order < sure.order),
        key=lambda route: route.order,
    )


def _first(
    candidates: list[CompiledRoute], request: Request, refused: list[CompiledRoute]
) -> CompiledRoute | None:
    """The first that holds; those that would, were the method another one, are `refused`."""
    for route in candidates:
        if route.holds is None or route.holds(request):
            if not route.methods or request.head.method in route.methods:
                return route
            refused.append(route)
    return None


def _not_by_method(refused: list[CompiledRoute]) -> Exception:
    """RFC 9110, 15.5.6: a 405 must name what is allowed."""
    allowed = sorted({method for route in refused for method in route.methods})
    return refuse("method", headers=((b"allow", b", ".join(allowed)),))


# The earliest match, and the earliest `/x/` for a path `/x`.
_Best = tuple[CompiledRoute | None, CompiledRoute | None]
_NOTHING: _Best = (None, None)


class _Table(Protocol):
    """Of one host."""

    def add(self, route: CompiledRoute) -> None: ...


Table = TypeVar("Table", bound=_Table)


class _Hosts(Generic[Table]):
    """Exact hosts are looked up, `*.example.com` by the ends of the host's name."""

    __slots__ = ("_anywhere", "_by_host", "_by_suffix", "_make")

    def __init__(self, make: type[Table], routes: Iterable[CompiledRoute]) -> None:
        self._make: type[Table] = make
        self._anywhere: Table = make()
        self._by_host: dict[str, Table] = {}
        self._by_suffix: dict[str, Table] = {}
        for route in routes:
            for table in self._tables_of(route):
                table.add(route)

    def tables_for(self, host: str) -> list[Table]:
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

    def _tables_of(self, route: CompiledRoute) -> list[Table]:
        if not route.hosts:
            return [self._anywhere]
        tables = []
        for host in dict.fromkeys(map(str.lower, route.hosts)):
            if host.startswith("*."):
                tables.append(self._by_suffix.setdefault(host[1:], self._make()))
            else:
                tables.append(self._by_host.setdefault(host, self._make()))
        return tables


class _PathTable:
    """The earliest route for every exact path and every prefix, among routes with one host."""

    __slots__ = ("_depth", "_everything", "_exact", "_prefixes", "_slash")

    def __init__(self) -> None:
        self._exact: dict[bytes, CompiledRoute] = {}
        self._prefixes: dict[bytes, CompiledRoute] = {}
        self._slash: dict[bytes, CompiledRoute] = {}
        self._everything: CompiledRoute | None = None
        # Slashes in the deepest prefix: a path of 10,000 segments is not looked up 10,000 times.
        self._depth = 0

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
