"""A route's matching half, compiled: what the router looks up, and what it asks.

The site adds what happens then; `trivet explain` asks the same with nothing behind it.
"""

from __future__ import annotations

from typing import Any

from trivet_common.config import Route

from .conditions import all_of, compile_conditions
from .route import CompiledRoute, Handler


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
