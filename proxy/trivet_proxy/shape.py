"""A route's `response_headers`, compiled into one function over the headers of an answer.

Knows header names and values only; framing fields are added by the writer afterwards and cannot be touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from trivet_common.config import HeaderChanges

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
Shape: TypeAlias = Callable[[Headers], Headers]


def compile_shape(changes: HeaderChanges) -> Shape | None:
    """None where nothing is to be changed. Order: remove, set, add, default (only what is absent by then)."""
    if not changes:
        return None
    dropped = frozenset(
        [name.lower().encode("ascii") for name in changes.remove] + [name for name, _ in _fields(changes.set)]
    )
    added = [*_fields(changes.set), *_fields(changes.add)]
    defaults = _fields(changes.default)

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


def _fields(changes: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in changes]
