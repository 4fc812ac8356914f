"""From the written tree to the models: every mistake of shape at once, in our own words.

What is wrong is reported and taken out, so that everything else can still be checked in the same run.
"""

from typing import Any

from pydantic import ValidationError

from .hints import hint_for_key
from .model import SiteKeys
from .model_pools import PoolKeys
from .nodes import Key, Loc, Node, described
from .outline import keys_of, section_at
from .problems import Findings, Mistake, shown

# Each round takes out at least one thing; a model that is still wrong after these is given up.
_ROUNDS = 8


def validated(tree: Node, findings: Findings) -> tuple[SiteKeys | None, Node]:
    """The model of what is right in the tree, and that part of the tree."""
    tree = _without_empty_values(tree, findings)
    for _round in range(_ROUNDS):
        try:
            return SiteKeys.model_validate(tree.plain()), tree
        except ValidationError as error:
            bad = set()
            for detail in error.errors(include_url=False, include_input=False):
                bad.add(id(_report(detail, tree, findings)))
            if id(tree) in bad:
                return None, tree
            tree = tree.without(bad)
    return None, tree


def label(loc: Loc) -> str:
    """`limits.body`, `pools.web.workers`; in a route only the key."""
    keys: list[Key] = [key for key in loc if key != "[key]"]
    if keys[:1] == ["routes"]:
        keys = keys[2:] or (["the route"] if len(keys) > 1 else keys)
    return ".".join(shown(key) for key in keys if isinstance(key, str))


def _report(detail: Any, tree: Node, findings: Findings) -> Node:
    """Says what is wrong; returns the node to take out."""
    loc: Loc = tuple(detail["loc"])
    node = tree.at(loc)
    if detail["type"] == "missing" and node.is_cut:
        return node  # what is missing was written wrong, and that is said already
    message, hint = _in_words(detail, loc, node)
    findings.mistake(node.place, message, hint)
    return node


def _in_words(detail: Any, loc: Loc, node: Node) -> tuple[str, str]:
    kind = detail["type"]
    name = label(loc)
    if kind == "extra_forbidden":
        return _unknown(loc)
    if kind == "missing":
        return _missing(loc)
    origin = f" (from {shown(node.written)})" if node.written else ""
    mistake = detail.get("ctx", {}).get("error")
    if isinstance(mistake, Mistake):
        return f"{name}: {mistake.message}{origin}", mistake.hint
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return (
            f"{name}: this must be a mapping (key: value), not {described(node.value)}{origin}",
            _mapping_hint(loc, node.value),
        )
    if kind in ("list_type", "tuple_type"):
        return (
            f"{name}: this must be a list, not {described(node.value)}{origin}",
            'begin each item with "- "',
        )
    return f"{name}: {described(node.value)} cannot stand here{origin}", "see docs/reference.md"


def _unknown(loc: Loc) -> tuple[str, str]:
    key = str(loc[-1])
    section = section_at(loc[:-1])
    path = _path(loc[:-1])
    where = label(loc[:-1])
    if section is None:
        return f"unknown key {shown(key)}", "see docs/reference.md"
    if key in section.later:
        what = section.later[key]
        return f"{label(loc)}: not yet built ({what})", "leave it out for now"
    inside = f" in {where}" if where else ""
    return f"unknown key {shown(key)}{inside}", hint_for_key(key, section, path)


def _missing(loc: Loc) -> tuple[str, str]:
    key = str(loc[-1])
    examples = {
        "app": "app: module:callable",
        "address": "address: 127.0.0.1:8000",
        "to": "to: https://example.com{uri}",
    }
    if loc[:1] == ("upstreams",):
        examples["address"] = 'address: "http://127.0.0.1:9000"'
    examples |= {"max": "max: 8", "servers": 'servers: ["http://127.0.0.1:9000"]', "root": "root: ./static"}
    examples["when"] = "when: maintenance.on"
    return f"{label(loc[:-1])}: {key} is missing", f"write {examples.get(key, key + ': …')}"


def _mapping_hint(loc: Loc, value: object) -> str:
    key, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    if colon and rest and key.isidentifier():
        return f"a space is missing after the colon: write {shown(key)}: {shown(rest)}"
    if loc[:1] == ("pools",) and len(loc) == 2 and loc[1] in keys_of(PoolKeys):
        return f"indent {loc[1]}: deeper, to stand below the pool's name"
    if loc[:1] == ("pools",) and len(loc) <= 2:
        return "write pools: {web: {app: module:callable}}"
    if loc[:1] == ("routes",) and len(loc) <= 2:
        return "write for example - {path: /, pool: web}"
    section = section_at(loc)
    first = next(iter(keys_of(section)), "key") if section else "Name"
    return f"write for example {loc[-1]}: {{{first}: …}}"


def _path(loc: Loc) -> str:
    """The loc as outline paths are written."""
    words = [key for key in loc if isinstance(key, str)]
    if words[:1] in (["pools"], ["upstreams"]) and len(words) > 1:
        words[1] = "NAME"
    return ".".join(words)


def _without_empty_values(tree: Node, findings: Findings) -> Node:
    empty = set()
    for loc, node in tree.walk():
        # Any JSON may stand in respond.json, null too.
        if node.value is None and loc and "json" not in loc[:-1]:
            what = (
                f"{label(loc)} has no value" if isinstance(loc[-1], str) else "an item of the list is empty"
            )
            findings.mistake(node.place, what, _empty_hint(str(loc[-1])))
            empty.add(id(node))
    return tree.without(empty) if empty else tree


def _empty_hint(key: str) -> str:
    name, equals, value = key.partition("=")
    if equals and name.isidentifier():
        return f"write {name}: {shown(value)}"
    return "write one, or take the line out"
