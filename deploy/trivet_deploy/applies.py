"""What holds for a request that a route answers, line by line: what it does, changes, allows and waits for.

A row of LINES for each group of keys: who adds a key adds its line. Knows settings only, nothing that runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeAlias

from trivet_common.config import HeaderChanges, Pool, Route, Settings, Upstream
from trivet_common.config.placeholders import has_placeholders
from trivet_common.config.units import duration_text, size_text
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import REASONS
from trivet_proxy.locations import local_location
from trivet_proxy.request import Request
from trivet_proxy.templates import HeaderTemplate, Template

from .changes import goes_on
from .effective_access import access_lines
from .effective_errors import error_lines, maintenance_lines
from .explained import Explained, kept_place_of, place_of
from .words import count

Lines: TypeAlias = Iterator[str]


def applies(found: Explained, settings: Settings) -> dict[str, list[str]]:
    """Heading and lines; of what does not apply nothing."""
    if found.route is None:
        return {}
    request, route = found.question.request, found.route
    table = _SLASH if found.is_slash else LINES
    told = {name: list(_settled(lines(route, settings, request))) for name, lines in table}
    return {name: lines for name, lines in told.items() if lines}


def _settled(lines: Lines) -> Lines:
    """What cannot be made of this request is refused by the proxy in the same words."""
    try:
        yield from lines
    except HttpError as error:
        yield f"{error.status} why={error.why}: {error.detail}"


def _does_slash(route: Route, settings: Settings, request: Request) -> Lines:
    to = local_location(request.head.path + b"/", request.head.query).decode("latin-1")
    yield f"redirect 308 to {to}: only what is below has a route"


def _does(route: Route, settings: Settings, request: Request) -> Lines:
    if route.internal:
        yield "404: the route is internal, and reached by orders of an application only"
    elif route.pool is not None:
        yield _pool(settings.pools[route.pool])
        if request.head.upgrade is not None:
            yield f"501 why=upgrade: {REASONS['upgrade'].meaning}"
        if route.mount and route.path:
            yield f"mounted: SCRIPT_NAME is {route.path.removesuffix('/')}"
    elif route.upstream is not None:
        yield from _upstream(route.upstream)
    elif route.files is not None:
        place = place_of(route.files, route, request)
        folder = os.path.dirname(place)
        if route.files.listing and request.head.path.endswith(b"/") and not os.path.isfile(place):
            yield f"list of folder {folder} ({'there' if os.path.isdir(folder) else 'not there'})"
        else:
            yield _file(place)
        if (kept := kept_place_of(route, request, settings)) is not None:
            yield f"{_file(kept)}, kept of an earlier tree"
        if route.files.fallback is not None:
            yield f"else {os.path.join(route.files.root, route.files.fallback)}"
    elif route.file is not None:
        yield _file(str(route.file))
    elif route.redirect is not None:
        yield f"redirect {_redirect(route, request)}"
    elif route.respond is not None:
        kind = f", {size_text(len(route.respond.body))} of {route.respond.type}" if route.respond.type else ""
        yield f"respond {route.respond.status}{kind}"
    elif route.health is not None:
        yield f"health: {route.health}"


def _pool(pool: Pool) -> str:
    slots = f"{count(pool.threads, 'thread')} each" if pool.threads > 1 else "one thread each"
    workers = f"{pool.workers} worker{'s' * (pool.workers.max > 1)}"
    return f"pool {pool.name} ({pool.app}): {workers}, {slots}"


def _upstream(upstream: Upstream) -> Lines:
    for server in upstream.servers:
        more = [f"weight {server.weight}"] * (server.weight != 1) + ["backup"] * server.backup
        yield f"upstream {upstream.name}: {server}" + (f" ({', '.join(more)})" if more else "")
    if len(upstream.servers) > 1:
        yield f"balance {upstream.balance}"
    if upstream.max_connections:
        yield f"at most {count(upstream.max_connections, 'connection')}"
    if upstream.retry.on:
        yield f"retry on {', '.join(sorted(upstream.retry.on))}, {upstream.retry.attempts} attempts in all"


def _file(path: str) -> str:
    there = "there" if os.path.isfile(path) else "a folder" if os.path.isdir(path) else "not there"
    return f"file {path} ({there})"


def _redirect(route: Route, request: Request) -> str:
    assert route.redirect is not None
    to = Template(route.redirect.to).fill(request).decode("latin-1")
    return f"{route.redirect.status} to {to}"


def _tells(route: Route, settings: Settings, request: Request) -> Lines:
    """What goes on to an application."""
    if route.pool is None and route.upstream is None:
        return
    client = request.client
    is_said = client.is_trusted and request.head.get(settings.client_ip.lower().encode()) is not None
    trusted = ", as a trusted proxy says" if is_said else ""
    yield f"X-Forwarded-For: {client.forwarded_for or '(none)'}{trusted}"
    yield f"X-Forwarded-Proto: {client.scheme}"


def _answers(route: Route, settings: Settings, request: Request) -> Lines:
    changes: HeaderChanges = route.response_headers
    for verb, pairs in (("set", changes.set), ("add", changes.add), ("default", changes.default)):
        yield from (f"{verb} {name}: {_filled(value, request)}" for name, value in pairs)
    yield from (f"remove {name}" for name in changes.remove)
    if route.hsts is not None and request.client.scheme == "https":
        yield f"default Strict-Transport-Security: {route.hsts}"
    if route.compress:
        yield "compressed, where it is a text above 1 KiB and the client takes it"


def _filled(value: str, request: Request) -> str:
    return HeaderTemplate(value).fill(request).decode("latin-1") if has_placeholders(value) else value


def _limits(route: Route, settings: Settings, request: Request) -> Lines:
    limits = route.limits
    yield f"body {size_text(limits.body)}" + (", passed on as it comes" if route.stream else "")
    rates = [("body", limits.body_rate), ("answer", limits.write_rate)]
    yield from (f"{what} at {size_text(rate)}/s at least" for what, rate in rates if rate)


def _times(route: Route, settings: Settings, request: Request) -> Lines:
    limits = route.limits
    head, body = duration_text(limits.header_timeout), duration_text(limits.body_timeout)
    yield f"client: head {head}, pause in a body {body}"
    idle, stalled = duration_text(limits.idle_timeout), duration_text(limits.write_timeout)
    yield f"client: idle {idle}, stalled answer {stalled}"
    if route.pool is not None:
        queue = settings.pools[route.pool].queue
        yield f"queue: {queue.limit} requests, {duration_text(queue.timeout)}"
        yield f"answer: {_time(route.timeout)}, then between two pieces"
    if route.upstream is not None:
        queue = route.upstream.queue
        if route.upstream.max_connections:
            yield f"queue: {queue.limit} requests, {duration_text(queue.timeout)}"
        yield f"connect: {duration_text(route.upstream.connect_timeout)}"
        yield f"answer: {_time(route.timeout)}, then {_time(route.read_timeout)} between two pieces"
        yield f"tunnel: {duration_text(route.tunnel_timeout)} of silence"


def _time(seconds: float | None) -> str:
    return "any time" if seconds is None else duration_text(seconds)


def _log(route: Route, settings: Settings, request: Request) -> Lines:
    file = route.log.file or settings.log.access
    if not route.log.is_on:
        yield "off"
    elif file is not None:
        yield f"{file} as route={route.id}" + (", the client masked" if route.log.is_masked else "")


LINES: tuple[tuple[str, Callable[[Route, Settings, Request], Lines]], ...] = (
    ("maintenance", maintenance_lines),
    ("access", access_lines),
    ("does", _does),
    ("goes on", goes_on),
    ("tells", _tells),
    ("answers", _answers),
    ("errors", error_lines),
    ("limits", _limits),
    ("times", _times),
    ("log", _log),
)
# The gates stand before that, too.
_GATES = ("maintenance", "access", "answers", "errors", "log")
_SLASH = tuple(
    (name, _does_slash if name == "does" else lines) for name, lines in LINES if name in (*_GATES, "does")
)
