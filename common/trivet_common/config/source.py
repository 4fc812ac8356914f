"""One YAML file as a tree of nodes: a bounded read, then parser events turned into nodes with their places.

Anchors, aliases, merges, tags and second documents are refused: a file of settings needs none of them, and
aliases are how a kilobyte becomes a gigabyte. Knows no setting.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml import events

from . import yaml_mistakes
from .nodes import MAX_DEPTH, Node, Text
from .problems import Findings, Mistake, Place, shown
from .reach import why_not_a_file

MAX_BYTES = 1024 * 1024
MAX_NODES = 200_000

# libyaml is ten times as quick; the pure parser is asked when something is wrong, for one wording of errors.
_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_tree(path: Path, shown_as: str, order: int, findings: Findings) -> Node | None:
    """The file's tree, or None after reporting why there is none."""
    start = Place(order, shown_as, 0)
    try:
        text = _read(path)
    except Mistake as mistake:
        findings.mistake(start, mistake.message, mistake.hint)
        return None
    return parse_tree(text, path.parent, shown_as, order, findings)


def parse_tree(text: str, folder: Path, shown_as: str, order: int, findings: Findings) -> Node | None:
    """The tree of a YAML text; mistakes of grammar are reported, others are for whoever knows the fields."""
    composer = _Composer(folder, shown_as, order, findings)
    try:
        return composer.compose(yaml.parse(text, Loader=_FAST))
    except _Refused:
        return None
    except yaml.YAMLError as error:
        for line, message, hint in yaml_mistakes.diagnose(text, _pure_error(text) or error):
            findings.mistake(Place(order, shown_as, line), message, hint)
        return None


def _read(path: Path) -> str:
    data = _read_bytes(path)
    try:
        # Not utf-8-sig: a codec that is imported late may be out of reach once privileges are dropped.
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Mistake(f"the file is not UTF-8 text (line {line})", "save it as UTF-8") from None
    return text


def _read_bytes(path: Path) -> bytes:
    try:
        # O_NONBLOCK: a FIFO in the file's place must not hang the command.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        reason = why_not_a_file(path) or f"the file cannot be opened: {shown(error)}"
        raise Mistake(
            reason, "write one with `trivet init`" if isinstance(error, FileNotFoundError) else ""
        ) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Mistake("this is not a regular file", "give the path of a YAML file")
    try:
        with open(fd, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Mistake(f"the file cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise Mistake(f"the file is larger than {MAX_BYTES // 1024} KiB", "split it with include:")
    return data


def _pure_error(text: str) -> yaml.YAMLError | None:
    try:
        for _event in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except yaml.YAMLError as error:
        return error
    return None


class _Refused(Exception):
    """The rest of the file cannot be understood; the reason is reported already."""


class _Composer:
    """Turns parser events into nodes."""

    def __init__(self, folder: Path, shown_as: str, order: int, findings: Findings) -> None:
        self._folder = folder
        self._shown_as = shown_as
        self._order = order
        self._findings = findings
        self._left = MAX_NODES

    def compose(self, stream: Iterator[Any]) -> Node | None:
        root: Node | None = None
        for event in stream:
            if isinstance(event, events.DocumentStartEvent):
                if root is not None:
                    self._mistake(
                        event, "a second document begins here", "keep one document: remove this --- line"
                    )
                    raise _Refused
            elif isinstance(event, events.NodeEvent):
                root = self._node(event, stream, 0, self._place(event))
        return root

    def _node(self, event: Any, stream: Iterator[Any], depth: int, place: Place) -> Node:
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            self._mistake(
                event, "the file is nested too deep or holds too many values", "split it with include:"
            )
            raise _Refused
        self._refuse_extras(event)
        if isinstance(event, events.MappingStartEvent):
            return self._mapping(event, stream, depth, Node({}, place, self._folder))
        if isinstance(event, events.SequenceStartEvent):
            return self._sequence(stream, depth, Node([], place, self._folder))
        return Node(_scalar(event), place, self._folder)

    def _sequence(self, stream: Iterator[Any], depth: int, node: Node) -> Node:
        items: list[Node] = []
        node.value = items
        for event in stream:
            if isinstance(event, events.SequenceEndEvent):
                break
            if isinstance(event, events.AliasEvent):
                self._refuse_alias(event)
                node.is_cut = True
            else:
                items.append(self._node(event, stream, depth + 1, self._place(event)))
        return node

    def _mapping(self, start: Any, stream: Iterator[Any], depth: int, node: Node) -> Node:
        mapping: dict[str, Node] = {}
        node.value = mapping
        for event in stream:
            if isinstance(event, events.MappingEndEvent):
                break
            key = self._key(event, stream, depth)
            value = self._value(key, event, stream, depth)
            if value is None or (start.flow_style and self._is_stray(key, value, mapping)):
                node.is_cut = True
            elif key in mapping:
                before = f"{shown(key)} was written before, on line {mapping[key].place.line}"
                self._mistake(event, before, "keep one of the two")
            else:
                mapping[key] = value
        return node

    def _value(self, key: str, key_event: Any, stream: Iterator[Any], depth: int) -> Node | None:
        """The value of a key, or None after saying why it cannot be used."""
        event = next(stream)
        if key == "<<":
            self._mistake(
                key_event, "merge keys (<<) are not used here", "write the values out, or use defaults:"
            )
            if not isinstance(event, events.AliasEvent):
                self._node(event, stream, depth + 1, self._place(event))
            return None
        if isinstance(event, events.AliasEvent):
            self._refuse_alias(event)
            return None
        # A value's place is its key's line: what a reader looks for, also when the value starts below.
        return self._node(event, stream, depth + 1, self._place(key_event))

    def _key(self, event: Any, stream: Iterator[Any], depth: int) -> str:
        if isinstance(event, events.ScalarEvent):
            self._refuse_extras(event)
            return str(event.value)
        if isinstance(event, events.AliasEvent):
            self._refuse_alias(event)
            return ""
        self._mistake(
            event,
            "a mapping or list stands where a key should",
            'quote a value that begins with { or [: "{…}"',
        )
        self._node(event, stream, depth + 1, self._place(event))
        return ""

    def _is_stray(self, key: str, value: Node, before: dict[str, Node]) -> bool:
        """`{cache: public, max-age=60}` has a key `max-age=60` without a value: say what was meant."""
        if value.value is not None:
            return False
        name, colon, rest = key.partition(":")
        if colon and rest:
            self._findings.mistake(
                value.place,
                f'a space is missing after the colon of "{shown(key)}"',
                f"write {shown(name)}: {shown(rest)}",
            )
        elif (
            before
            and isinstance((last := before[next(reversed(before))]).value, Text)
            and not key.isidentifier()
        ):
            meant = f'{next(reversed(before))}: "{shown(last.value)}, {shown(key)}"'
            self._findings.mistake(
                value.place,
                f'"{shown(key)}" has no value: within {{ }} a comma ends a value',
                f"quote it: {meant}",
            )
        else:
            return False
        return True

    def _refuse_alias(self, event: Any) -> None:
        written = f'"*{shown(event.anchor)}"'
        self._mistake(
            event,
            f"{written} without quotes is a YAML alias, which is not used here",
            f"quote a value that begins with *: {written}",
        )

    def _refuse_extras(self, event: Any) -> None:
        if event.anchor is not None:
            self._mistake(
                event,
                f'"&{shown(event.anchor)}" without quotes is a YAML anchor, which is not used here',
                "write the values out, use defaults:, or quote a value that begins with &",
            )
        if event.tag is not None:
            self._mistake(
                event,
                f'"{shown(event.tag)}" without quotes is a YAML tag, which is not used here',
                "quote a value that begins with !",
            )

    def _place(self, event: Any) -> Place:
        return Place(self._order, self._shown_as, event.start_mark.line + 1)

    def _mistake(self, event: Any, message: str, hint: str) -> None:
        self._findings.mistake(self._place(event), message, hint)


def _scalar(event: Any) -> Text | None:
    plain = event.style in (None, "")
    if plain and event.value in ("", "~", "null", "Null", "NULL"):
        return None
    return Text(event.value, plain)
