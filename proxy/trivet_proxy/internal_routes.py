"""Routes that only an application's order leads to: found by path of the site, or by path on disk.

A client that asks for one directly learns that there is nothing. Knows routes and orders, no file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from trivet_common.http1.reasons import refuse

from .orders import Order
from .router import CompiledRoute, Router

if TYPE_CHECKING:
    from .request import Request
    from .writer import ResponseWriter


class _Sought(NamedTuple):
    """What a router asks of a head."""

    host: str
    path: bytes


class InternalRoutes:
    """`roots`: folders on disk, and the route's path that stands for each."""

    __slots__ = ("_roots", "_router")

    def __init__(self, routes: Iterable[CompiledRoute], roots: Iterable[tuple[bytes, bytes]]) -> None:
        self._router = Router(routes)
        self._roots = [(os.path.join(root, b""), path) for root, path in roots]

    def __repr__(self) -> str:
        return f"<InternalRoutes {self._router!r}>"

    def __bool__(self) -> bool:
        return bool(self._router.routes)

    def try_find(self, order: Order, host: str) -> CompiledRoute | None:
        """Once for each order. Raises HttpError upstream_bad: the application names what it may not."""
        if order.is_taken:
            return None
        order.is_taken = True
        if order.is_on_disk:
            self._translate(order)
        route = self._router.find(_Sought(host, order.path))
        if route is None or order.is_on_disk:
            raise refuse("upstream_bad", f"{order!r}: there is no route with internal: true for it.")
        return route

    def _translate(self, order: Order) -> None:
        """A path on disk into the path of the route that serves it; the longest root knows best."""
        for root, path in sorted(self._roots, key=lambda pair: -len(pair[0])):
            if order.path.startswith(root):
                order.path = path + order.path[len(root) :]
                order.is_on_disk = False
                return


async def answer_nothing(request: Request, writer: ResponseWriter) -> None:
    """To a client that asks for an internal route itself."""
    raise refuse("not_found", "The route is internal.")
