"""The site: from the models to Settings, with every check that looks at more than one key.

The last step of a load; nothing is read from the configuration file any more.
"""

from dataclasses import replace
from pathlib import Path

from . import matching
from .addresses import Listen, TrustedProxies
from .cores import available_cores
from .draft import Draft
from .exposure import check_exposure
from .fields import count
from .listener_match import warn_of_no_https, warn_of_other_ways
from .model import SiteKeys
from .model_routes import RouteKeys
from .problems import Mistake, Place
from .resolve_errors import resolve_errors
from .resolve_headers import check_default_headers
from .resolve_listen import resolve_listeners, trusted
from .resolve_log import log_target
from .resolve_options import limits_of
from .resolve_pools import check_run_dir, resolve_pools
from .resolve_routes import resolve_routes
from .resolve_upstreams import resolve_upstreams
from .settings import Log, Pool, Proxy, Route, Settings, Spool
from .units import size_text

MAX_PROCESSES = 4
SMALLEST = "the smallest file is: pools: {web: {app: shop.wsgi}}"


class SiteResolver:
    """For one load."""

    def __init__(self, site: SiteKeys, draft: Draft) -> None:
        self._site = site
        self._draft = draft

    def resolve(self, file: Path | None, name: str, base: Path) -> Settings:
        """Raises ConfigError if this or anything before it found a mistake."""
        site, draft = self._site, self._draft
        pools = resolve_pools(site, draft)
        upstreams = resolve_upstreams(site, draft)
        check_default_headers(site, draft)
        routes = resolve_routes(site, pools, upstreams, draft)
        self._check_routes(routes, pools)
        routes = routes or self._only_route(pools)
        listen = self._listen()
        if draft.checks_front and not draft.findings.mistake_count:
            warn_of_other_ways(listen, routes, draft)
            warn_of_no_https(listen, self._trusted(), routes, draft)
        settings = Settings(
            file=file,
            name=name,
            base=base,
            listen=listen,
            proxy=Proxy(site.proxy.processes or min(available_cores(), MAX_PROCESSES)),
            run_dir=self._run_dir(pools),
            state_dir=self._state_dir(),
            spool=self._spool(),
            trusted_proxies=self._trusted(),
            client_ip=site.client_ip,
            limits=limits_of(site.limits),
            log=self._log(),
            stop_timeout=site.stop_timeout,
            upstreams=upstreams,
            routes=routes,
            pools=pools,
            warnings=(),
            errors=resolve_errors(site.defaults, site.defaults, draft, ()),
        )
        check_exposure(settings, draft)
        draft.findings.raise_if_any()
        return replace(settings, warnings=draft.findings.warnings)

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
        if draft.purpose == "backend" and not draft.names["pools"]:
            draft.findings.mistake(
                draft.tree.place, "there are no pools, so there is nothing to run", SMALLEST
            )
        matching.check_reach(routes, draft)
        matching.warn_of_lone_paths(routes, draft)
        matching.warn_of_slow_paths(routes, draft)
        matching.warn_of_circles(routes, draft)
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
        if len(names) > 1 and draft.checks_front and not draft.tree.at(("pools",)).is_cut:
            first = f"routes: [{{path: /, pool: {names[0]}}}, …]"
            draft.findings.mistake(
                draft.place("pools"), "there are several pools and no routes", f"write {first}"
            )
        elif not names and not draft.tree.is_cut:
            draft.findings.mistake(
                draft.tree.place, "there is nothing to serve: no pools and no routes", SMALLEST
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

    def _state_dir(self) -> Path | None:
        if self._site.state_dir is not None:
            return self._draft.path(self._site.state_dir, "state_dir")
        # systemd lists them with colons where a unit has several.
        given = self._draft.environ.get("STATE_DIRECTORY", "").partition(":")[0]
        return Path(given) if given else None

    def _spool(self) -> Spool:
        keys, draft = self._site.spool, self._draft
        folder = draft.folder(keys.dir, "spool", "dir", check=draft.checks_front)
        if keys.memory > keys.limit:
            draft.mistake(
                ("spool", "memory"), "it is above spool.limit", f"write at most {size_text(keys.limit)}"
            )
        return Spool(folder, keys.memory, keys.limit)

    def _trusted(self) -> TrustedProxies:
        return trusted(self._site.trusted_proxies, self._draft, ("trusted_proxies",))

    def _log(self) -> Log:
        keys = self._site.log
        return Log(
            self._log_target(keys.access, "access"),
            keys.format,
            self._log_target(keys.error, "error"),
            keys.level,
            keys.client == "masked",
        )

    def _log_target(self, text: str | None, key: str) -> str | Path | None:
        return None if text is None else log_target(text, self._draft, ("log", key))
