"""From a file, a mapping or the command's options to Settings, or to every mistake at once.

The one place that knows the order of the steps: read, include, merge options, expand, validate, resolve, check.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import matching
from .addresses import Listen, TrustedProxies, parse_networks
from .cores import available_cores
from .draft import Draft
from .expand import expand
from .fields import count
from .include import join_included
from .model import SiteKeys
from .model_routes import RouteKeys
from .nodes import Node, PlaceOf, described, node_from
from .overrides import merge
from .problems import Findings, Mistake, Place, shown
from .reach import why_not_a_folder
from .resolve_listen import resolve_listeners
from .resolve_options import check_default_headers
from .resolve_pools import check_run_dir, resolve_pools
from .resolve_routes import resolve_routes, resolve_upstreams
from .settings import Log, Pool, Proxy, Route, Settings, Spool
from .source import read_tree
from .units import size_text
from .validate import validated

MAX_PROCESSES = 4
_SMALLEST = "the smallest file is: pools: {web: {app: shop.wsgi}}"


def load(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
    purpose: str = "serve",
) -> Settings:
    """The settings of a file. Raises ConfigError, and nothing else, for whatever is wrong with it.

    `overrides` are the command's options in the shape of the file; pool "*" stands for the only pool.
    `purpose` is serve, proxy or backend: what another program runs is not looked for here.
    """
    findings = Findings()
    shown_as = os.fspath(path)
    file = Path(os.path.abspath(shown_as))
    tree = read_tree(file, shown_as, 0, findings)
    start = Place(0, shown_as, 1)
    if tree is None or not isinstance(tree.value, dict):
        if tree is not None and tree.value is not None:
            findings.mistake(
                start, f"the file must be a mapping (key: value), not {described(tree.value)}", _SMALLEST
            )
        elif tree is not None or not findings.mistake_count:
            findings.mistake(start, "the file is empty", _SMALLEST)
        findings.raise_if_any()
        raise AssertionError("a file without a tree has a mistake")
    join_included(tree, shown_as, findings)
    return _settle(tree, overrides, findings, purpose, environ, file, site_name(file))


def from_mapping(
    mapping: Mapping[str, Any],
    *,
    base: Path | None = None,
    name: str = "site",
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
    purpose: str = "serve",
) -> Settings:
    """Settings without a file, from values in the file's shape; places are dotted paths. Raises ConfigError."""
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
) -> Settings:
    if overrides:
        merge(tree, _tree_of(overrides, PlaceOf(), Path.cwd(), findings), findings)
    tree = expand(tree, environ, findings)
    names = {key: _names(tree, key) for key in ("pools", "upstreams")}
    site, right = validated(tree, findings)
    if site is None:
        findings.raise_if_any()
        raise AssertionError("a tree that is not valid has a mistake")
    draft = Draft(right, findings, purpose, environ, names)
    return _Resolver(site, draft, file, name, base or right.folder).resolve()


def _names(tree: Node, key: str) -> list[str]:
    node = tree.child(key)
    return list(node.value) if node is not None and isinstance(node.value, dict) else []


class _Resolver:
    """The last step: models to Settings."""

    def __init__(self, site: SiteKeys, draft: Draft, file: Path | None, name: str, base: Path) -> None:
        self._site = site
        self._draft = draft
        self._file = file
        self._name = name
        self._base = base

    def resolve(self) -> Settings:
        site, draft = self._site, self._draft
        pools = resolve_pools(site, draft)
        upstreams = resolve_upstreams(site, draft)
        check_default_headers(site, draft)
        routes = resolve_routes(site, pools, upstreams, draft)
        self._check_routes(routes, pools)
        routes = routes or self._only_route(pools)
        settings = Settings(
            file=self._file,
            name=self._name,
            base=self._base,
            listen=self._listen(),
            proxy=Proxy(site.proxy.processes or min(available_cores(), MAX_PROCESSES)),
            run_dir=self._run_dir(pools),
            state_dir=draft.path(site.state_dir, "state_dir") if site.state_dir else None,
            spool=self._spool(),
            trusted_proxies=self._trusted(),
            client_ip=site.client_ip,
            limits=site.limits,
            log=self._log(),
            stop_timeout=site.stop_timeout,
            upstreams=upstreams,
            routes=routes,
            pools=pools,
            warnings=draft.findings.warnings,
        )
        draft.findings.raise_if_any()
        return settings

    def _listen(self) -> tuple[Listen, ...]:
        port = self._draft.environ.get("PORT", "")
        if self._draft.tree.has("listen") or not port or not self._draft.checks_front:
            return resolve_listeners(self._site.listen, self._draft, "listen", check=self._draft.checks_front)
        try:
            number: int = count(1, 65535).parse(port)
        except Mistake as mistake:
            self._draft.findings.mistake(Place(-1, "$PORT", 0), mistake.message, mistake.hint)
            return ()
        return (Listen(str(number), "tcp", port=number),)

    def _check_routes(self, routes: tuple[Route, ...], pools: dict[str, Pool]) -> None:
        draft = self._draft
        if self._site.routes is None:
            self._check_pools_alone(pools)
            return
        matching.check_reach(routes, draft)
        matching.warn_of_lone_paths(routes, draft)
        if not draft.checks_front or draft.tree.at(("routes",)).is_cut:
            return
        used = {route.pool for route in routes}
        for name in pools:
            if name not in used:
                draft.warning(
                    ("pools", name),
                    "no route leads to this pool",
                    f"add - {{path: /, pool: {name}}} to routes",
                )
        named = {route.upstream.name for route in routes if route.upstream}
        for name in self._site.upstreams:
            if name not in named:
                draft.warning(("upstreams", name), "no route leads to this upstream")

    def _check_pools_alone(self, pools: dict[str, Pool]) -> None:
        draft = self._draft
        names = draft.names["pools"]
        if len(names) > 1 and draft.checks_front and not draft.tree.is_cut:
            first = f"routes: [{{path: /, pool: {names[0]}}}, …]"
            draft.findings.mistake(
                draft.place("pools"), "there are several pools and no routes", f"write {first}"
            )
        elif not names and not draft.tree.is_cut:
            draft.findings.mistake(
                draft.tree.place, "there is nothing to serve: no pools and no routes", _SMALLEST
            )

    def _only_route(self, pools: dict[str, Pool]) -> tuple[Route, ...]:
        if self._site.routes is not None or len(pools) != 1:
            return ()
        pool = next(iter(pools.values()))
        keys = RouteKeys.model_validate({"path": "/", "pool": pool.name})
        site = self._site.model_copy(update={"routes": (keys,)})
        route = resolve_routes(site, pools, {}, self._draft)[0]
        return (replace(route, where=pool.where),)

    def _run_dir(self, pools: dict[str, Pool]) -> Path | None:
        if self._site.run_dir is None:
            return None
        run_dir = self._draft.path(self._site.run_dir, "run_dir")
        check_run_dir(run_dir, pools, self._draft)
        return run_dir

    def _spool(self) -> Spool:
        keys, draft = self._site.spool, self._draft
        folder = draft.folder(keys.dir, "spool", "dir", check=draft.checks_front)
        if keys.memory > keys.limit:
            draft.mistake(
                ("spool", "memory"), "it is above spool.limit", f"write at most {size_text(keys.limit)}"
            )
        return Spool(folder, keys.memory, keys.limit)

    def _trusted(self) -> TrustedProxies:
        for index, word in enumerate(self._site.trusted_proxies):
            try:
                parse_networks([word])
            except Mistake as mistake:
                self._draft.report(("trusted_proxies", index), mistake)
                return TrustedProxies()
        return parse_networks(list(self._site.trusted_proxies))

    def _log(self) -> Log:
        keys = self._site.log
        return Log(
            self._log_target(keys.access, "access"),
            keys.format,
            self._log_target(keys.error, "error"),
            keys.level,
        )

    def _log_target(self, text: str | None, key: str) -> str | Path | None:
        if text is None or text in ("stdout", "stderr"):
            return text
        path = self._draft.path(text, "log", key)
        reason = why_not_a_folder(path.parent) or (
            f"{shown(path)} is a folder, not a file" if path.is_dir() else None
        )
        if reason:
            self._draft.mistake(
                ("log", key), reason, "write stdout, stderr, or a file in a folder that exists"
            )
        return path
