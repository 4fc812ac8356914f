"""From a file, a mapping or the command's options to Settings, or to every mistake at once.

The one place that knows the order of the steps: read, include, merge options, expand, validate, resolve.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .draft import Draft
from .expand import expand
from .include import join_included, warn_if_writable
from .nodes import Node, PlaceOf, described, node_from
from .overrides import merge
from .problems import Findings, Mistake, Place
from .resolve_site import SMALLEST, SiteResolver
from .settings import Settings
from .source import read_tree
from .validate import validated


def load(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
    purpose: str = "serve",
    is_restart: bool = False,
) -> Settings:
    """The settings of a file. Raises ConfigError, and nothing else, for whatever is wrong with it.

    `overrides` are the command's options in the shape of the file; pool "*" stands for the only pool.
    `purpose` is serve, proxy or backend: what another program runs is not looked for here. `is_restart`: of
    a run that was killed; certificates that cannot be loaded are warnings then.
    """
    findings = Findings()
    shown_as = os.fspath(path)
    file = Path(os.path.abspath(shown_as))
    tree = read_tree(file, shown_as, 0, findings)
    start = Place(0, shown_as, 1)
    if tree is None or not isinstance(tree.value, dict):
        if tree is not None and tree.value is not None:
            findings.mistake(
                start, f"the file must be a mapping (key: value), not {described(tree.value)}", SMALLEST
            )
        elif tree is not None or not findings.mistake_count:
            findings.mistake(start, "the file is empty", SMALLEST)
        findings.raise_if_any()
        raise AssertionError("a file without a tree has a mistake")
    warn_if_writable(file, start, findings)
    join_included(tree, shown_as, findings)
    return _settle(tree, overrides, findings, purpose, environ, file, site_name(file), is_restart=is_restart)


def from_mapping(
    mapping: Mapping[str, Any],
    *,
    base: Path | None = None,
    name: str = "site",
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
    purpose: str = "serve",
) -> Settings:
    """Settings from values in the file's shape; places are "settings". Raises ConfigError."""
    findings = Findings()
    tree = _tree_of(mapping, PlaceOf(options=False), base or Path.cwd(), findings)
    return _settle(tree, overrides, findings, purpose, environ, None, sanitised(name), base)


def from_overrides(
    overrides: Mapping[str, Any],
    *,
    base: Path | None = None,
    name: str = "site",
    environ: Mapping[str, str] = os.environ,
    purpose: str = "serve",
) -> Settings:
    """Settings from the command's options alone; places are the options' names. Raises ConfigError."""
    return from_mapping({}, base=base, name=name, environ=environ, overrides=overrides, purpose=purpose)


def site_name(file: Path) -> str:
    """The folder's name for a trivet.yaml, else the file's own."""
    return sanitised(file.parent.name if file.stem == "trivet" else file.stem)


def sanitised(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name).strip(".-")[:64] or "site"


def _tree_of(mapping: Mapping[str, Any], place_of: PlaceOf, base: Path, findings: Findings) -> Node:
    try:
        return node_from(mapping, place_of, base.absolute())
    except Mistake as mistake:
        findings.mistake(place_of(()), mistake.message, mistake.hint)
        findings.raise_if_any()
        raise AssertionError("unreachable") from None


def _settle(
    tree: Node,
    overrides: Mapping[str, Any] | None,
    findings: Findings,
    purpose: str,
    environ: Mapping[str, str],
    file: Path | None,
    name: str,
    base: Path | None = None,
    is_restart: bool = False,
) -> Settings:
    if overrides:
        merge(tree, _tree_of(overrides, PlaceOf(), Path.cwd(), findings), findings)
    tree = expand(tree, environ, findings)
    names = {key: _names(tree, key) for key in ("pools", "upstreams")}
    site, right = validated(tree, findings)
    if site is None:
        findings.raise_if_any()
        raise AssertionError("a tree that is not valid has a mistake")
    draft = Draft(right, findings, purpose, environ, names, is_restart)
    return SiteResolver(site, draft).resolve(file, name, base or right.folder)


def _names(tree: Node, key: str) -> list[str]:
    node = tree.child(key)
    return list(node.value) if node is not None and isinstance(node.value, dict) else []
