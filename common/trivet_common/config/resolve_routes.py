"""Routes: from what is written to what each does, with `defaults` merged in."""

import json
from dataclasses import replace

from . import matching
from .draft import Draft
from .hints import close_name
from .listener_match import resolve_listener
from .model import SiteKeys
from .model_files import NEXT
from .model_headers import HeaderChanges as HeaderKeys
from .model_routes import ACTIONS, RespondKeys, RouteKeys
from .nodes import Loc
from .problems import shown
from .resolve_access import resolve_access
from .resolve_errors import resolve_errors, resolve_maintenance
from .resolve_files import resolve_files, with_charset
from .resolve_headers import fixed_headers, request_changes, response_changes
from .resolve_log import check_log_files, resolve_log
from .resolve_match import resolve_match
from .resolve_options import resolve_options
from .resolve_rewrite import resolve_prefix, resolve_redirect, resolve_rewrite
from .resolve_upstreams import upstream_of_route
from .settings import Pool, Respond, Route, Upstream


def resolve_routes(
    site: SiteKeys, pools: dict[str, Pool], upstreams: dict[str, Upstream], draft: Draft
) -> tuple[Route, ...]:
    """Every route, in order. Mistakes are reported; what is returned then is not to be used."""
    routes: dict[str, Route] = {}
    for index, keys in enumerate(site.routes or ()):
        before = draft.findings.mistake_count
        route = _RouteMaker(index, keys, site, draft).make(pools, upstreams)
        if draft.findings.mistake_count > before and draft.tree.has("routes", index):
            draft.tree.at(("routes", index)).is_cut = True
        # Ids name routes in logs: two that share their first host and path are told apart.
        unique = route.id if route.id not in routes else f"{route.id}#{index + 1}"
        routes[unique] = replace(route, id=unique)
    check_log_files([route.log for route in routes.values()], draft)
    return tuple(routes.values())


class _RouteMaker:
    """One route."""

    def __init__(self, index: int, keys: RouteKeys, site: SiteKeys, draft: Draft) -> None:
        self._loc: Loc = ("routes", index)
        self._keys = keys
        self._site = site
        self._draft = draft

    def make(self, pools: dict[str, Pool], upstreams: dict[str, Upstream]) -> Route:
        keys, draft = self._keys, self._draft
        self._check_actions()
        hosts = matching.resolve_hosts(keys.host, draft, self._loc)
        matching.check_path(keys, draft, self._loc)
        route_id = _route_id(hosts, keys)
        upstream = self._find_upstream(route_id, upstreams)
        self._check_pool()
        self._check_internal()
        options = resolve_options(keys, self._site, draft, self._loc)
        check = draft.checks_front
        return Route(
            where=str(draft.place(*self._loc)),
            id=route_id,
            host=hosts,
            path=keys.path,
            limits=options.limits,
            timeout=options.timeout if options.has_timeout else self._usual_timeout(pools, upstream),
            read_timeout=(options.timeout if options.has_timeout else upstream.read_timeout)
            if upstream
            else None,
            tunnel_timeout=options.tunnel_timeout,
            errors=resolve_errors(keys, self._site.defaults, draft, self._loc),
            maintenance=resolve_maintenance(keys, self._site.defaults, draft, self._loc),
            compress=(keys if "compress" in keys.model_fields_set else self._site.defaults).compress,
            stream=options.stream,
            log=resolve_log(keys, self._site, draft, self._loc),
            response_headers=response_changes(keys, self._site, draft, self._loc),
            request_headers=request_changes(keys, self._site, draft, self._loc),
            strip_prefix=resolve_prefix(keys, draft, self._loc),
            rewrite=resolve_rewrite(keys.rewrite, keys, draft, (*self._loc, "rewrite")),
            scheme=keys.scheme,
            listener=resolve_listener(keys.listener, self._site.listen, draft, (*self._loc, "listener")),
            match=resolve_match(keys, draft, self._loc),
            access=resolve_access(keys, self._site.defaults, route_id, draft, self._loc),
            hsts=options.hsts,
            files=resolve_files(keys.files, self._site, draft, (*self._loc, "files")) if keys.files else None,
            file=draft.file(keys.file, *self._loc, "file", check=check) if keys.file else None,
            pool=keys.pool,
            mount=keys.mount,
            upstream=upstream,
            redirect=resolve_redirect(keys.redirect, keys, draft, (*self._loc, "redirect"))
            if keys.redirect
            else None,
            respond=self._respond(keys.respond) if keys.respond else None,
            health=keys.health,
            internal=keys.internal,
        )

    def _check_actions(self) -> None:
        if not self._draft.tree.has(*self._loc):
            return  # the route that stands for an only pool is nobody's mistake
        node = self._draft.tree.at(self._loc)
        written = [key for key in ACTIONS if node.has(key)]
        if not written and not node.is_cut:
            self._draft.mistake(self._loc, "it matches, but does nothing", f"add one of {', '.join(ACTIONS)}")
        elif len(written) > 1:
            self._draft.mistake(
                (*self._loc, written[1]),
                f"the route has {written[0]} already, and does one thing only",
                "make two routes",
            )

    def _check_pool(self) -> None:
        keys, draft = self._keys, self._draft
        if keys.pool is not None and keys.pool not in draft.names["pools"]:
            hint = close_name(keys.pool, draft.names["pools"]) or "write it below pools:"
            draft.mistake((*self._loc, "pool"), f"there is no pool {shown(keys.pool)}", hint)
        if not keys.mount:
            return
        if keys.pool is None:
            draft.mistake((*self._loc, "mount"), "only a route with a pool can mount", "take it out")
        elif keys.path is None or not keys.path.endswith("/"):
            hint = f"write path: {shown(keys.path)}/" if keys.path else "write path: /prefix/"
            draft.mistake((*self._loc, "mount"), "an application is mounted on a path with a final /", hint)

    def _check_internal(self) -> None:
        keys = self._keys
        if keys.internal and keys.files is None and keys.file is None:
            self._draft.mistake(
                (*self._loc, "internal"), "only a route with files or file can be internal", "take it out"
            )
        elif keys.internal and keys.listener:
            self._draft.mistake(
                (*self._loc, "listener"), "an application orders it, whoever asked where", "take it out"
            )
        elif keys.internal and keys.files is not None and keys.files.fallback == NEXT:
            self._draft.mistake(
                (*self._loc, "files", "fallback"), "an internal route has no next one", "take it out"
            )

    def _find_upstream(self, route_id: str, upstreams: dict[str, Upstream]) -> Upstream | None:
        words = self._keys.upstream
        if words is None:
            return None
        loc = (*self._loc, "upstream")
        if len(words) == 1 and "://" not in words[0] and not words[0].startswith("unix:"):
            return self._named_upstream(words[0], upstreams, loc)
        return upstream_of_route(route_id, words, self._draft, loc)

    def _named_upstream(self, name: str, upstreams: dict[str, Upstream], loc: Loc) -> Upstream | None:
        names = self._draft.names["upstreams"]
        if name not in names:
            hint = close_name(name, names)
            if ":" in name or not names:
                hint = f'write "http://{shown(name)}"' if ":" in name else "write it below upstreams:"
            self._draft.mistake(loc, f"there is no upstream {shown(name)}", hint)
        return upstreams.get(name)

    def _usual_timeout(self, pools: dict[str, Pool], upstream: Upstream | None) -> float | None:
        if self._keys.pool in pools and self._keys.pool is not None:
            return pools[self._keys.pool].timeout
        return upstream.response_timeout if upstream is not None else None

    def _respond(self, keys: RespondKeys) -> Respond:
        loc = (*self._loc, "respond")
        has_json = self._draft.tree.has(*loc, "json")
        body = json.dumps(keys.json_, ensure_ascii=False) + "\n" if has_json else keys.body or ""
        if has_json and keys.body is not None:
            self._draft.mistake((*loc, "json"), "body is written already", "keep one of the two")
        if body and keys.status in (204, 205, 304):
            self._draft.mistake(
                loc, f"an answer with status {keys.status} has no body", "write another status, or no body"
            )
        usual = "application/json" if has_json else "text/plain"
        content_type = with_charset(keys.type or usual) if body or keys.type else None
        headers = fixed_headers(HeaderKeys(add=keys.headers), self._draft, (*loc, "headers"))
        return Respond(keys.status, body.encode("utf-8", "surrogatepass"), content_type, headers)


def _route_id(hosts: tuple[str, ...], keys: RouteKeys) -> str:
    path = keys.path or (f"~{keys.path_regex}" if keys.path_regex else "")
    return (hosts[0] if hosts else "") + (path or ("" if hosts else "*"))
