"""`request_headers`, and those `response_headers` that say something of the request.

Placeholders tell what the client asked, whatever a rewrite makes of it. What is set by the operator goes on
to an upstream whatever the client's Connection field says. Knows no connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import TYPE_CHECKING, TypeAlias

from trivet_common.config import HeaderChanges
from trivet_common.config.placeholders import has_placeholders
from trivet_common.http1.request import RequestHead
from trivet_common.http1.target import parse_authority

from ..forwarded import names_that_pass
from ..route import Handler
from ..shape import Field, OneShape, dropped_names, make_shape, with_hsts
from ..templates import HeaderTemplate

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

Fill: TypeAlias = "Callable[[Request], list[Field]]"


def depends_on_request(changes: HeaderChanges) -> bool:
    return any(
        has_placeholders(value) for part in (changes.set, changes.add, changes.default) for _, value in part
    )


def response_headers_gate(changes: HeaderChanges, hsts: str | None, inner: Handler) -> Handler:
    """`hsts`: the value of the header over https. The outermost gate: what others refuse has them too."""
    plain, secure = _shaping(changes), _shaping(with_hsts(changes, hsts))

    async def give_shape(request: Request, writer: ResponseWriter) -> None:
        writer.shape = (secure if request.client.scheme == "https" else plain)(request)
        await inner(request, writer)

    return give_shape


def request_headers_gate(changes: HeaderChanges, inner: Handler, *, goes_on: bool) -> Handler:
    """`goes_on`: to somebody who is sent a head; else it is our own files that are to see the fields."""
    change = _Change(changes)

    async def change_headers(request: Request, writer: ResponseWriter) -> None:
        before = request.head, request.hidden, request.added
        if goes_on:
            change.for_upstream(request)
        else:
            change.for_us(request)
        try:
            await inner(request, writer)
        finally:
            request.head, request.hidden, request.added = before

    return change_headers


def _shaping(changes: HeaderChanges) -> Callable[[Request], OneShape]:
    dropped = dropped_names(changes)
    added, defaults = _filling((*changes.set, *changes.add)), _filling(changes.default)

    def shape_for(request: Request) -> OneShape:
        return OneShape(make_shape(dropped, added(request), defaults(request)))

    return shape_for


class _Change:
    """Of one route. Order: remove, set, add, default (only what is absent by then)."""

    __slots__ = ("_added", "_authority", "_defaults", "_dropped")

    def __init__(self, changes: HeaderChanges) -> None:
        hosts = [value for name, value in changes.set if name.lower() == "host"]
        self._authority = parse_authority(hosts[0].encode("ascii")) if hosts else None
        self._dropped = dropped_names(changes) - {b"host"}
        fields = [field for field in (*changes.set, *changes.add) if field[0].lower() != "host"]
        self._added = _filling(fields)
        self._defaults = _filling(changes.default)

    def for_upstream(self, request: Request) -> None:
        """The client's head stays what it is; what does not go on, and what is added, is said beside it."""
        added = [field for field in request.added if field[0] not in self._dropped]
        added += self._added(request)
        defaults = self._defaults(request)
        request.hidden |= self._dropped
        if defaults:
            present = names_that_pass(request) | {name for name, _ in added}
            added += [field for field in defaults if field[0] not in present]
        request.added = tuple(added)
        if self._authority is not None:
            head = copy(request.head)
            head.host, head.authority = self._authority.host, self._authority.text
            request.head = head

    def for_us(self, request: Request) -> None:
        fields = [field for field in request.head.headers if field[0] not in self._dropped]
        fields += self._added(request)
        present = {name for name, _ in fields}
        fields += [field for field in self._defaults(request) if field[0] not in present]
        head: RequestHead = copy(request.head)
        head.headers, head.found = fields, None
        request.head = head


def _filling(fields: Iterable[tuple[str, str]]) -> Fill:
    known: list[tuple[bytes, HeaderTemplate | bytes]] = [
        (
            name.lower().encode("ascii"),
            HeaderTemplate(value) if has_placeholders(value) else value.encode("ascii"),
        )
        for name, value in fields
    ]

    def fill(request: Request) -> list[Field]:
        return [(name, value if isinstance(value, bytes) else value.fill(request)) for name, value in known]

    return fill
