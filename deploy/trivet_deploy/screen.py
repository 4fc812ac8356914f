"""What `serve` prints: on one screen what is served, where the logs are, how to stop and reload.

To standard error, plainly: standard output may carry the access log to another program.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from trivet_common import __version__
from trivet_common.config import Pool, Route, Settings

from .premises import Premises
from .running import user_name
from .site import Site
from .words import count

_MOST_ROUTES = 20
_MOST_HOSTS = 2  # of a route


def tell(text: str) -> None:
    """Print; a terminal that is gone is no reason to stop serving."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass


def warn(settings: Settings, pools: Iterable[str] | None = None) -> None:
    """Print what the configuration found strange, and which pools run as somebody nobody may have meant."""
    for problem in settings.warnings:
        tell(f"warning: {problem}")
    here = [settings.pools[name] for name in (settings.pools if pools is None else pools)]
    if os.geteuid() == 0:
        rooted = [pool.name for pool in here if pool.user in (None, "root", "0")]
        if rooted:
            they = f"pool {rooted[0]} runs" if len(rooted) == 1 else f"pools {', '.join(rooted)} run"
            tell(f"warning: {they} as root; name another user in the file, for instance: user: www-data")
        return
    us = user_name(os.geteuid())
    for pool in here:
        if pool.user not in (None, us, str(os.geteuid())):
            tell(f"warning: pool {pool.name} runs as {us}: only root can become its user {pool.user}")


def overview(site: Site, premises: Premises) -> str:
    """The screen."""
    settings = site.settings
    lines = [f"Trivet {__version__} serves {settings.name} ({site.asked})", ""]
    if premises.listeners is not None:
        lines += [f"  {listener.url}" for listener in premises.listeners]
        lines += ["", *_block("routes", list(_routes(settings)))]
    lines += _block("pools", list(_pools([settings.pools[name] for name in premises.groups], premises)))
    access = [("access", _target(settings.log.access))] if premises.has_proxy else []  # a pool writes none
    lines += _block("logs", [*access, ("errors", _target(settings.log.error))])
    lines += _block("stop", [("Ctrl-C", f"or: trivet stop {site.asked}")])
    by_itself = "when a source changes, or: " if site.is_development else ""
    lines += _block("reload", [("", f"{by_itself}trivet reload {site.asked}")])
    lines += _block("watch", [("", f"trivet status {site.asked} --watch")])
    return "\n".join([*lines, ""])


def action(route: Route) -> str:
    """What a route does, in a few words."""
    if route.pool:
        return f"pool {route.pool}" + (", mounted here" if route.mount else "")
    if route.files:
        return f"files in {near(route.files.root)}"
    if route.file:
        return f"the file {near(route.file)}"
    if route.upstream:
        return "upstream " + ", ".join(map(str, route.upstream.servers))
    if route.redirect:
        return f"redirect to {route.redirect.to}"
    if route.respond:
        return f"answer {route.respond.status}"
    return f"health: {route.health}"


def near(path: Path) -> str:
    """A path as one would write it here: relative when it lies below the working directory."""
    full = os.path.abspath(path)
    short = os.path.relpath(full)
    return full if short.startswith("..") else short


def _routes(settings: Settings) -> Iterator[tuple[str, str]]:
    for route in settings.routes[:_MOST_ROUTES]:
        where = [f"{host}{_path(route)}" for host in route.host[:_MOST_HOSTS] or ("",)]
        yield ", ".join(where) + (", …" if len(route.host) > _MOST_HOSTS else ""), action(route)
    more = len(settings.routes) - _MOST_ROUTES
    if more > 0:
        yield "...", f"and {more} more"


def _path(route: Route) -> str:
    regex = route.match.path_regex if route.match is not None else None
    return route.path or ("/" if regex is None else f"~{regex}")


def _pools(pools: Iterable[Pool], premises: Premises) -> Iterator[tuple[str, str]]:
    for pool in pools:
        workers = f"{pool.workers} worker{'s' * (pool.workers.max > 1)}"
        size = f"{workers} × {count(pool.threads, 'thread')}"  # noqa: RUF001
        places = [listener.text for listener in premises.pool_listeners.get(pool.name, ())]
        if not premises.has_proxy:  # then this is what somebody else's front end must be told
            places.insert(0, f"unix:{premises.places[pool.name].pool_socket}")
        at = f", {'also ' if premises.has_proxy else ''}at {', '.join(places)}" if places else ""
        yield pool.name, f"{pool.app}, {size}{at}"


def _block(title: str, rows: list[tuple[str, str]]) -> list[str]:
    width = max((len(left) for left, _ in rows), default=0)
    found = []
    for number, (left, right) in enumerate(rows):
        gap = f"{left:<{width}}  " if width else ""
        found.append(f"  {title if number == 0 else '':<8}{gap}{right}".rstrip())
    return found


def _target(target: str | Path | None) -> str:
    if target is None:
        return "off"
    return (
        near(target)
        if isinstance(target, Path)
        else {"stdout": "standard output", "stderr": "standard error"}[target]
    )
