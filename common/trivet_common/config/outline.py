"""The models as an outline: which section stands where, and where a key is at home.

Reads the models' annotations only; the translation of mistakes and the reference page are built on it.
"""

import typing
from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Any

from .fields import Kind, Short
from .model import SiteKeys
from .nodes import Loc
from .section import Section


def section_at(loc: Loc) -> type[Section] | None:
    """The section that the mapping at `loc` is written in, or None where any keys may stand."""
    section: type[Section] | None = SiteKeys
    skip = False
    for key in loc:
        if isinstance(key, int):
            continue
        if skip:
            skip = False
            continue
        annotation = annotation_of(section, key) if section else None
        section = section_in(annotation)
        skip = is_named(annotation)
    return None if skip else section


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Every section with its dotted path (`pools.NAME.queue`), outer ones first."""
    yield from _below("", SiteKeys)


@cache
def homes(key: str) -> tuple[str, ...]:
    """Where a key may stand, as dotted paths of sections."""
    found = [path for path, section in sections() if key in keys_of(section) or key in section.later]
    return tuple(found)


def keys_of(section: type[Section]) -> list[str]:
    """The keys as they are written."""
    return [field.alias or name for name, field in section.model_fields.items()]


def annotation_of(section: type[Section], key: str) -> Any:
    """The type of a key with all that annotates it, or None."""
    for name, field in section.model_fields.items():
        if (field.alias or name) == key:
            hints = _hints(section)
            return hints[name]
    return None


def section_in(annotation: Any) -> type[Section] | None:
    """The section that values of this type are written as, if they are."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for inner in typing.get_args(annotation):
        if found := section_in(inner):
            return found
    return None


def is_named(annotation: Any) -> bool:
    """Whether it is a mapping from names to something (`pools`, `env`)."""
    if typing.get_origin(annotation) is dict:
        return True
    return any(is_named(inner) for inner in typing.get_args(annotation))


def is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) is tuple or any(
        is_list(inner) for inner in typing.get_args(annotation)
    )


def kind_of(annotation: Any) -> Kind | None:
    """The type of a single value, if it is one; of a mapping that of its values."""
    inside = typing.get_args(annotation)
    for inner in inside[1:] if typing.get_origin(annotation) is dict else inside:
        if isinstance(inner, Kind):
            return inner
        if typing.get_origin(inner) is not None and (found := kind_of(inner)):
            return found
    return None


def short_of(annotation: Any) -> Short | None:
    """The short form a section or list may be written in."""
    if isinstance(annotation, UnionType) or typing.get_origin(annotation) is typing.Union:
        return next((found for inner in typing.get_args(annotation) if (found := short_of(inner))), None)
    return next((inner for inner in typing.get_args(annotation) if isinstance(inner, Short)), None)


@cache
def _hints(section: type[Section]) -> dict[str, Any]:
    return typing.get_type_hints(section, include_extras=True)


def _below(path: str, section: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    yield path, section
    for key in keys_of(section):
        annotation = annotation_of(section, key)
        inner = section_in(annotation)
        if inner:
            name = f"{key}.NAME" if is_named(annotation) else key
            yield from _below(f"{path}.{name}".lstrip("."), inner)
