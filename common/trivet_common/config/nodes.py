"""The configuration as written: a tree of values with their places and the folder they are relative to.

Scalars stay text until a field says what they are: `no`, `22:22` and `0660` never turn into something else.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from .problems import Mistake, Place, shown

Key: TypeAlias = str | int
Loc: TypeAlias = tuple[Key, ...]

MAX_DEPTH = 32
_INT = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"[-+]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][-+]?[0-9]{1,2})?\Z")


class Text(str):
    """A scalar as written. `plain`: it stood without quotes, so it may be a number or a switch."""

    __slots__ = ("plain",)
    plain: bool

    def __new__(cls, text: str, plain: bool = False) -> "Text":
        made = super().__new__(cls, text)
        made.plain = plain
        return made


class Node:
    """A mapping, a list or a scalar (`None` when nothing was written) with its place."""

    __slots__ = ("folder", "is_cut", "place", "value", "written")

    def __init__(
        self,
        value: "dict[str, Node] | list[Node] | Text | bool | int | float | None",
        place: Place,
        folder: Path,
    ) -> None:
        self.value = value
        self.place = place
        self.folder = folder
        # The text before `${NAME}` was put in, for messages.
        self.written: str | None = None
        # Whether something in it was wrong, and is said already.
        self.is_cut = False

    def __repr__(self) -> str:
        return f"<Node {self.place} {type(self.value).__name__}>"

    def plain(self) -> object:
        """The bare value, for validation."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def at(self, loc: Loc) -> "Node":
        """The node at `loc`, or the deepest one on the way that was written."""
        node = self
        for key in loc:
            child = node.child(key)
            if child is not None:
                node = child
            elif isinstance(key, str) and not isinstance(node.value, list):
                break
            # A missing index is one item written without its list, a missing key of a list its own.
        return node

    def child(self, key: Key) -> "Node | None":
        if isinstance(self.value, dict):
            return self.value.get(str(key))
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            return self.value[key]
        return None

    def has(self, *loc: Key) -> bool:
        """Whether something was written exactly at `loc`."""
        node: Node | None = self
        for key in loc:
            node = node.child(key) if node else None
        return node is not None

    def walk(self, loc: Loc = ()) -> Iterator[tuple[Loc, "Node"]]:
        yield loc, self
        if isinstance(self.value, dict):
            for key, child in self.value.items():
                yield from child.walk((*loc, key))
        elif isinstance(self.value, list):
            for index, child in enumerate(self.value):
                yield from child.walk((*loc, index))

    def without(self, bad: set[int]) -> "Node":
        """A copy of the tree that leaves out the nodes whose id() is in `bad`."""
        copy = Node(self.value, self.place, self.folder)
        copy.written = self.written
        if isinstance(self.value, dict):
            copy.value = {
                key: child.without(bad) for key, child in self.value.items() if id(child) not in bad
            }
        elif isinstance(self.value, list):
            copy.value = [child.without(bad) for child in self.value if id(child) not in bad]
        if isinstance(self.value, (dict, list)) and isinstance(copy.value, (dict, list)):
            copy.is_cut = self.is_cut or len(copy.value) < len(self.value)
        return copy


def node_from(value: object, place_of: "PlaceOf", folder: Path, loc: Loc = ()) -> Node:
    """A tree out of plain Python values; `place_of(loc)` names what the user sees as their origin."""
    place = place_of(loc)
    if len(loc) > MAX_DEPTH:
        raise Mistake(f"the values are nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        return Node(
            {str(key): node_from(item, place_of, folder, (*loc, str(key))) for key, item in value.items()},
            place,
            folder,
        )
    if isinstance(value, (list, tuple)):
        items = [node_from(item, place_of, folder, (*loc, index)) for index, item in enumerate(value)]
        return Node(items, place, folder)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise Mistake(f"{place}: the number is too large")
    if value is None or isinstance(value, (bool, int, float)):
        return Node(value, place, folder)
    # Options of the command arrive as text and mean what the same word means in the file.
    return Node(Text(str(value), plain=True), place, folder)


class PlaceOf:
    """Names the option of the command that a value came from (`--workers`); a program's are "settings"."""

    _OPTIONS = {
        "listen": "--listen",
        "workers": "--workers",
        "threads": "--threads",
        "timeout": "--timeout",
        "directory": "--chdir",
        "env": "--env",
        "routes": "--files",
    }

    def __init__(self, options: bool = True) -> None:
        self._options = self._OPTIONS if options else {}

    def __call__(self, loc: Loc) -> Place:
        for key in reversed(loc):
            if isinstance(key, str) and key in self._options:
                return Place(-1, self._options[key], 0)
        # A route's messages name only its key, so its number stands here.
        return Place(-1, f"routes.{loc[1]}" if loc[:1] == ("routes",) and len(loc) > 1 else "settings", 0)


def core_value(text: object) -> object:
    """A scalar by YAML 1.2's core schema, for places that take any JSON value."""
    if not isinstance(text, Text):
        return text
    if not text.plain:
        return str(text)
    if text in ("true", "false"):
        return text == "true"
    if text in ("null", "~", ""):
        return None
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return str(text)


def described(value: object) -> str:
    """What a value is, in a word or two, for messages."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{shown(value)}"' if value != "" else "empty"
