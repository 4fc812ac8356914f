"""Routes that only an application's order leads to: found by path of the site, or by path on disk.

A client that asks for one directly learns that there is nothing. Knows routes and orders, no file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from trivet_common.http1.reasons import refuse

from .orders import Order
from .router import CompiledRoute, Router

if TYPE_CHECKING:
    from .request import Request
    from .writer import ResponseWriter

_LOOK_AGAIN = 1.0  # seconds


class _Sought(NamedTuple):
    """What a router asks of a head."""

    host: str
    path: bytes


class InternalRoutes:
    """`roots`: folders on disk, and the route's path that stands for each.

    An application may name one as the configuration does, or with its links resolved (Path.resolve()).
    """

    __slots__ = ("_roots", "_router")

    def __init__(self, routes: Iterable[CompiledRoute], roots: Iterable[tuple[bytes, bytes]]) -> None:
        self._router = Router(routes)
        self._roots = [_Root(root, path) for root, path in roots]

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
        found = [
            (len(name), root.path + order.path[len(name) :])
            for root in self._roots
            for name in root.names()
            if order.path.startswith(name)
        ]
        if found:
            _, order.path = max(found)
            order.is_on_disk = False


class _Root:
    """Deploys switch links, so what the folder is called is asked again, once a second at most."""

    __slots__ = ("_folder", "_look_at", "_names", "path")

    def __init__(self, folder: bytes, path: bytes) -> None:
        self._folder = folder
        self.path = path
        self._names: tuple[bytes, ...] = ()
        self._look_at = 0.0

    def names(self) -> tuple[bytes, ...]:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_AGAIN
            self._names = tuple(
                os.path.join(name, b"") for name in (self._folder, os.path.realpath(self._folder))
            )
        return self._names


async def answer_nothing(request: Request, writer: ResponseWriter) -> None:
    """To a client that asks for an internal route itself."""
    raise refuse("not_found", "The route is internal.")
