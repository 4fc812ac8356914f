"""What a configuration becomes: routes with live handlers. The one place that knows every room.

Built beside the site that is serving, and takes over in one step: a reload never shows half of each. Owns
nothing that must outlive it; slots and queues of pools go over from site to site.
"""

from __future__ import annotations

import functools
import os

from trivet_common.config import Pool, Problem, Route, Settings, Upstream
from trivet_common.config.reach import why_not_a_file, why_not_a_folder
from trivet_common.http1.reasons import refuse
from trivet_common.pool.handover import TAKES_FILES
from trivet_common.pool.places import RunDir
from trivet_common.pulse import is_beating

from .altering import altered, looked_up_below, shaped
from .answering import Answering
from .beneath import Links
from .complaints import Complaints
from .dispatch.pool import PoolDispatch
from .dispatch.terms import Terms
from .error_choice import ErrorChoice
from .folder import Folder
from .gates.vouching import vouched_names
from .gating import Gating, is_private
from .handlers.files import file_handler, files_handler
from .handlers.health import Readiness, live_handler, ready_handler
from .handlers.pool import pool_handler
from .handlers.redirect import redirect_handler, redirect_to_slash
from .handlers.respond import respond_handler
from .handlers.tunnel import tunnel_handler
from .handlers.upstream import unreachable_handler, upstream_handler
from .internal_routes import InternalRoutes, answer_nothing
from .keeper import Keeper
from .kept_assets import KeptAssets, place_of_assets
from .matching import compile_match, has_slash, may_share
from .note import log_line
from .orders import NEXT
from .request import Request
from .resources import Resources
from .router import CompiledRoute, Find, Handler, Router
from .shape import compile_shape, with_hsts
from .shelf import Shelf
from .upstreams.roster import Roster


class SiteError(Exception):
    """A configuration that was right when it was read, and cannot be served as things are now."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class Site:
    """One configuration, ready to serve."""

    __slots__ = (
        "_dispatches",
        "_internal",
        "_keepers",
        "_resources",
        "_upstreams",
        "errors",
        "find",
        "find_secure",
        "router",
        "settings",
    )

    def __init__(
        self,
        settings: Settings,
        router: Router,
        internal: InternalRoutes,
        dispatches: dict[str, PoolDispatch],
        upstreams: Roster,
        keepers: list[Keeper],
        resources: Resources,
        errors: ErrorChoice | None = None,
    ) -> None:
        self.settings = settings
        self.router = router
        self.errors = errors  # where no route matches
        self._internal = internal
        # Not a method around it: one call less a request.
        self.find: Find = router.find
        self.find_secure: Find = router.find_secure
        self._dispatches = dispatches
        self._upstreams = upstreams
        self._keepers = keepers
        self._resources = resources

    def __repr__(self) -> str:
        return f"<Site {self.settings.name} {self.router!r} pools {', '.join(self._dispatches) or 'none'}>"

    def find_next(self, request: Request) -> CompiledRoute | None:
        """Where a request goes on that a handler has left; None once an application's order is carried out.

        Raises HttpError where there is nothing to go to. Ends: each leads on to a later route or to a file.
        """
        order, route = request.order, request.route
        if order is not None and order is not NEXT:
            return self._internal.try_find(order, request.head.host)
        request.order = None
        rest = route.rest if route is not None else None
        find = None if rest is None else rest.find if request.client.scheme == "http" else rest.find_secure
        found = find(request.head, request) if find is not None else None
        if found is None:
            raise refuse("no_route")
        request.route = found
        request.record.route = found.id
        return found

    def begin(self) -> None:
        """From now on this is the site of the process. A pool that is gone finishes its last requests."""
        resources = self._resources
        resources.take_over(self.settings)
        for name, dispatch in self._dispatches.items():
            if name in resources.dispatches:
                dispatch.configure(_terms(self.settings.pools[name], resources))
            else:
                resources.dispatches[name] = dispatch
                resources.nursery.start_soon(dispatch.run)
        self._upstreams.begin()
        resources.keep_with(self._keepers)

    def drop(self) -> None:
        """It will not take over: give back what it opened for itself."""
        for name, dispatch in self._dispatches.items():
            if self._resources.dispatches.get(name) is not dispatch:
                dispatch.close()
        self._upstreams.drop()


def build_site(settings: Settings, resources: Resources, *, is_forgiving: bool = False) -> Site:
    """Compile every route; the running site is not touched. Raises SiteError with all that is wrong.

    `is_forgiving`: one folder that is missing by now is logged and keeps nobody from the rest, because a
    process that starts in place of a dead one has no old site to fall back to.
    """
    return _Builder(settings, resources, is_forgiving).build()


class _Builder:
    """One build: what several routes share is made once."""

    def __init__(self, settings: Settings, resources: Resources, is_forgiving: bool) -> None:
        assert settings.run_dir is not None, "the master says where the run directory is"
        self._settings = settings
        self._resources = resources
        self._run = RunDir(settings.run_dir)
        self._places = {name: self._run.pool(name) for name in settings.pools}
        self._dispatches: dict[str, PoolDispatch] = {}
        self._upstreams = Roster(resources)
        self._is_forgiving = is_forgiving
        self._problems: list[Problem] = []
        self._complaints = Complaints(resources.error_log.warning)
        self._shelf = Shelf()
        self._keepers: list[Keeper] = []
        self._answering = Answering(self._report)
        vouched = vouched_names(route.access for route in settings.routes)
        self._gating = Gating(resources, self._run.buckets, self._ask_pool, self._ask_upstream, vouched)

    def build(self) -> Site:
        internal = self._internal_routes()
        routes = [self._compile(order, route) for order, route in enumerate(self._settings.routes)]
        errors = self._answering.choice_of(self._settings.errors)
        # They know us: what a site holds would be left to the collector, which seldom looks.
        del self._gating, self._answering
        for place, route in enumerate(self._settings.routes):
            routes[place].obeys = bool(internal)
            if route.files is not None and route.files.passes_on:
                # Of a thousand routes each would have a router of all that follow.
                behind = (other for other in routes[place + 1 :] if may_share(routes[place], other))
                routes[place].rest = Router(behind)
        site = Site(
            self._settings, Router(routes), internal, self._dispatches, self._upstreams, self._keepers,
            self._resources, errors,
        )  # fmt: skip
        if self._problems:
            site.drop()
            raise SiteError(self._problems)
        return site

    def _internal_routes(self) -> InternalRoutes:
        found, roots = [], []
        for order, route in enumerate(self._settings.routes):
            if route.internal:
                handler = self._answering.changed(route, self._files(order, route))
                found.append(self._compile(order, route, handler))
                if route.files is not None:
                    roots.append((os.fsencode(route.files.root), (route.path or "/").encode()))
        return InternalRoutes(found, roots)

    def _compile(self, order: int, route: Route, handler: Handler | None = None) -> CompiledRoute:
        make = functools.partial(
            compile_match,
            order,
            route,
            limits=None if route.files is not None and route.files.passes_on else route.limits,
            stream=route.stream,
            timeout=route.timeout,
            log_line=log_line(route.log),
            shape=compile_shape(route.response_headers),
            secure_shape=compile_shape(with_hsts(route.response_headers, route.hsts)),
            slot_lines=self._slot_lines(route),
            errors=self._answering.choice(route),
        )
        to_slash = None
        if has_slash(route):
            to_slash = make(handler=self._guarded(route, redirect_to_slash))
        if handler is None and route.internal:
            return make(handler=answer_nothing)
        handler = handler or altered(route, self._answering.changed(route, self._action(order, route)))
        return make(handler=self._guarded(route, handler), to_slash=to_slash)

    def _guarded(self, route: Route, handler: Handler) -> Handler:
        try:
            return shaped(route, self._gating.guarded(route, handler))
        except OSError as error:
            problem = f"its requests cannot be counted in {self._run.buckets}: {error.strerror}"
            self._judge(route, problem)
            return unreachable_handler(problem)

    def _ask_pool(self, name: str) -> Handler:
        return pool_handler(self._dispatch(name))

    def _ask_upstream(self, upstream: Upstream, seconds: float) -> Handler:
        return upstream_handler(self._upstreams.servers_of(upstream), seconds)

    def _slot_lines(self, route: Route) -> bytes:
        """What this route's requests tell a slot beside their claim. 0 milliseconds: no limit."""
        lines = b""
        if route.pool is None:
            return lines
        lines += TAKES_FILES
        if route.mount and route.path:
            lines += b"\r\ntrivet-mount: " + route.path.removesuffix("/").encode()
        if route.timeout != self._settings.pools[route.pool].timeout:
            milliseconds = max(round(route.timeout * 1000), 1) if route.timeout is not None else 0
            lines += b"\r\ntrivet-timeout: %d" % milliseconds
        return lines

    def _action(self, order: int, route: Route) -> Handler:
        if route.pool is not None:
            is_timed = self._settings.pools[route.pool].server_timing
            return pool_handler(self._dispatch(route.pool), is_timed)
        if route.upstream is not None:
            return self._upstream(route, route.upstream)
        if route.redirect is not None:
            return redirect_handler(route.redirect.to, route.redirect.status)
        if route.respond is not None:
            return respond_handler(route.respond, self._answering.choice(route))
        if route.health is not None:
            return self._health(route.health)
        return self._files(order, route)

    def _files(self, order: int, route: Route) -> Handler:
        if route.files is not None:
            self._judge(route, why_not_a_folder(route.files.root))
            folder = Folder(
                route.files.root,
                links=Links(route.files.follow_links),
                # Others may write there, or its name makes nothing fresh: read for nothing, or for harm.
                has_manifests=not (route.files.uploads or route.internal),
            )
            if folder.problem:
                self._resources.error_log.warning(f"{route.files.root}: {folder.problem}")
            return files_handler(
                route.files,
                looked_up_below(route),
                self._complaints,
                self._shelf,
                number=order,
                is_internal=route.internal,
                is_private=is_private(route.access),
                folder=folder,
                kept=self._keep(route, folder) if route.files.keep_releases else None,
            )
        assert route.file is not None, "the configuration gives every route one action"
        self._judge(route, why_not_a_file(route.file))
        return file_handler(
            route.file, self._complaints, self._shelf, number=order, is_private=is_private(route.access)
        )

    def _keep(self, route: Route, folder: Folder) -> KeptAssets | None:
        assert route.files is not None
        assert self._settings.state_dir is not None, "the configuration saw to it"
        path = place_of_assets(self._settings.state_dir, route.id)
        try:
            kept = KeptAssets(path, route.files.keep_releases)
        except OSError as error:
            self._judge(route, f"assets cannot be kept in {path}: {error.strerror}")
            return None
        self._keepers.append(Keeper(folder, kept, self._resources.error_log.warning))
        return kept

    def _judge(self, route: Route, reason: str | None) -> None:
        if reason is not None:
            self._report(route.where, reason)

    def _report(self, where: str, reason: str) -> None:
        problem = Problem(where, reason)
        if self._is_forgiving:
            self._resources.error_log.error(str(problem))
        else:
            self._problems.append(problem)

    def _health(self, kind: str) -> Handler:
        if kind == "live":
            return live_handler(functools.partial(is_beating, self._run.pulse))
        return ready_handler(Readiness(self._places), lambda: self._resources.is_draining)

    def _dispatch(self, name: str) -> PoolDispatch:
        """The pool's slots and queue: those of the running site, where it has them."""
        found = self._dispatches.get(name) or self._resources.dispatches.get(name)
        if found is None:
            found = PoolDispatch(
                name,
                self._places[name],
                _terms(self._settings.pools[name], self._resources),
                self._resources.deadlines,
                self._resources.error_log.warning,
                self._resources.index,
                self._resources.count,
            )
        self._dispatches[name] = found
        return found

    def _upstream(self, route: Route, upstream: Upstream) -> Handler:
        try:
            servers = self._upstreams.servers_of(upstream)
        except OSError as error:
            problem = f"{upstream.tls.ca} cannot be read: {error.strerror or error}"
            self._judge(route, problem)
            return unreachable_handler(problem)
        ask = upstream_handler(servers, route.read_timeout)
        return tunnel_handler(ask, servers, route.read_timeout, route.tunnel_timeout)


def _terms(pool: Pool, resources: Resources) -> Terms:
    return Terms.of(pool, resources.index, resources.count)
