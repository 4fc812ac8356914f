"""A route's matching half, compiled: what the router looks up, and what it asks.

The site adds what happens then; `trivet explain` asks the same with nothing behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trivet_common.config import Route

from .conditions import all_of, compile_conditions
from .route import CompiledRoute, Handler

if TYPE_CHECKING:
    from .request import Request


def compile_match(order: int, route: Route, handler: Handler, **rest: Any) -> CompiledRoute:
    """`rest`: further fields of it."""
    conditions = compile_conditions(route.match, route.listener)
    methods = route.match.methods if route.match is not None else ()
    return CompiledRoute(
        order=order,
        id=route.id,
        where=route.where,
        hosts=route.host,
        path=route.path.encode() if route.path is not None else None,
        scheme=route.scheme,
        methods=frozenset(method.encode() for method in methods),
        conditions=conditions,
        holds=all_of(conditions),
        handler=handler,
        **rest,
    )


def has_slash(route: Route) -> bool:
    """Whether `/x` is sent to `/x/`. Not by an expression: it was tried on another path."""
    is_prefix = route.path is not None and route.path.endswith("/")
    has_regex = route.match is not None and route.match.path_regex is not None
    return is_prefix and not has_regex and not route.internal


def may_share(one: CompiledRoute, other: CompiledRoute) -> bool:
    """Whether a request may come to both, as far as hosts and paths tell."""
    if one.hosts and other.hosts and not any(_meet(this, that) for this in one.hosts for that in other.hosts):
        return False
    if one.path is None or other.path is None:
        return True
    if one.path + b"/" == other.path or other.path + b"/" == one.path:
        return True  # `/x` is sent to `/x/`
    return _is_path(one.path, other.path) or _is_path(other.path, one.path)


def why_not(route: CompiledRoute, request: Request) -> str | None:
    """What it asks that is not so: of scheme, host and path the first, else all. None: it matches."""
    head = request.head
    if route.scheme not in (None, request.client.scheme):
        return f"scheme {route.scheme}"
    if route.hosts and not any(_is_host(host.lower(), head.host) for host in route.hosts):
        return f"host {', '.join(route.hosts)}"
    if route.path is not None and not _is_path(route.path, head.path):
        return f"path {route.path.decode('utf-8', 'replace')}"
    if missing := [condition.says for condition in route.conditions if not condition.holds(request)]:
        return " and ".join(missing)
    if route.methods and head.method not in route.methods:
        return f"methods {', '.join(sorted(method.decode() for method in route.methods))}"
    return None


def _is_host(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) >= len(pattern)
    return host == pattern


def _is_path(wanted: bytes, path: bytes) -> bool:
    return path.startswith(wanted) if wanted.endswith(b"/") else path == wanted


def _meet(this: str, that: str) -> bool:
    """Whether two hosts, or patterns, have a name in common."""
    if this == that:
        return True
    return any(
        wide.startswith("*.") and narrow.removeprefix("*").endswith(wide[1:])
        for wide, narrow in ((this, that), (that, this))
    )
