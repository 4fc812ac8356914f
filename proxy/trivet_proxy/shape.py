"""A route's `response_headers`, compiled into one function over the headers of an answer.

Knows header names and values only; framing fields are added by the writer afterwards and cannot be touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from trivet_common.config import HeaderChanges
from trivet_common.http1.response import build_response_head

Field: TypeAlias = tuple[bytes, bytes]
Headers: TypeAlias = Sequence[Field]
Shape: TypeAlias = Callable[[Headers], Headers]


def ready_head(headers: Headers, length: int, status: int = 200) -> bytes:
    """The head of a 200 or 304 up to the value of its Date, for ResponseWriter.send_ready."""
    framing = [(b"content-length", b"%d" % length)] if status == 200 else []
    head = build_response_head(status, None, [*headers, *framing, (b"date", b"")])
    return head.removesuffix(b"\r\n\r\n")


class OneShape:
    """A shape for one answer, of what was asked: nobody needs to remember what it made."""

    __slots__ = ("_shape",)

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def __call__(self, headers: Headers) -> Headers:
        return self._shape(headers)


def compile_shape(changes: HeaderChanges) -> Shape | None:
    """None where nothing is to be changed. Order: remove, set, add, default (only what is absent by then)."""
    if not changes:
        return None
    return make_shape(
        dropped_names(changes), fields_of(changes.set) + fields_of(changes.add), fields_of(changes.default)
    )


def make_shape(dropped: frozenset[bytes], added: list[Field], defaults: list[Field]) -> Shape:
    """`dropped` are the names of what is removed or set."""

    def shape(headers: Headers) -> Headers:
        fields = [field for field in headers if field[0] not in dropped] if dropped else list(headers)
        fields += added
        if defaults:
            present = {name for name, _ in fields}
            fields += [field for field in defaults if field[0] not in present]
        return fields

    return shape


def with_hsts(changes: HeaderChanges, hsts: str | None) -> HeaderChanges:
    """For answers over https: RFC 6797, 7.2 forbids the header over http. An answer's own stands above it."""
    if hsts is None:
        return changes
    return replace(changes, default=(*changes.default, ("Strict-Transport-Security", hsts)))


def dropped_names(changes: HeaderChanges) -> frozenset[bytes]:
    names = (*changes.remove, *(name for name, _ in changes.set))
    return frozenset(name.lower().encode("ascii") for name in names)


def fields_of(changes: Iterable[tuple[str, str]]) -> list[Field]:
    return [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in changes]
