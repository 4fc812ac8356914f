"""Which route answers a question, and why each one before it does not: as the proxy's own router has it.

Knows what a route matches, and of what it does only whether a file is there; nothing of how it is shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from trivet_common.config import FilesAction, Route, Settings
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse
from trivet_proxy.altering import looked_up_below
from trivet_proxy.internal_routes import answer_nothing
from trivet_proxy.kept_assets import kept_file, place_of_assets
from trivet_proxy.matching import compile_match, has_slash, why_not
from trivet_proxy.request import Request
from trivet_proxy.route import CompiledRoute
from trivet_proxy.router import Router

from .changes import changed
from .question import Question


@dataclass(frozen=True, slots=True)
class Passed:
    """A route that came before, and what it asks that is not so."""

    route: Route
    asks: str


@dataclass(slots=True)
class Explained:
    """`route` None: nothing matches, and `refusal` says what is answered then.

    `left`: routes that matched before it and left the request to the next, having no file for it.
    """

    question: Question
    route: Route | None = None
    is_slash: bool = False  # it only sends the client to its path, which ends in /
    left: list[Route] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    refusal: HttpError | None = None


def explain(question: Question, settings: Settings) -> Explained:
    """Never raises: what the proxy would refuse is an answer too."""
    request, found = question.request, Explained(question)
    routes = [_compiled(order, route) for order, route in enumerate(settings.routes)]
    start = 0
    try:
        while True:
            compiled = _find(routes[start:], request)
            end = compiled.order if compiled is not None else len(routes)
            found.passed += _passed(routes[start:end], settings, request)
            if compiled is None:
                raise refuse("no_route")
            route = settings.routes[end]
            found.is_slash = compiled is not routes[end]
            if found.is_slash or not _is_left(route, request, settings):
                found.route = route
                return found
            found.left.append(route)
            start = end + 1
    except HttpError as error:
        found.refusal = error
        if not found.passed:
            found.passed += _passed(routes[start:], settings, request)
    return found


def place_of(files: FilesAction, route: Route, request: Request) -> str:
    """Where the file is looked for; of a folder its index."""
    name = _name_below(route, request)
    if files.index is not None and (not name or name.endswith("/")):
        name += files.index
    return os.path.join(files.root, name)


def kept_place_of(route: Route, request: Request, settings: Settings) -> str | None:
    """Where a file is that this tree has no more and an earlier one had (`keep_releases`)."""
    if route.files is None or not route.files.keep_releases or settings.state_dir is None:
        return None
    kept = kept_file(place_of_assets(settings.state_dir, route.id), _name_below(route, request))
    return str(kept) if kept.is_file() and not os.path.exists(place_of(route.files, route, request)) else None


def _name_below(route: Route, request: Request) -> str:
    return os.fsdecode(changed(route, request).head.path[len(looked_up_below(route)) :])


def _compiled(order: int, route: Route) -> CompiledRoute:
    slash = compile_match(order, route, answer_nothing, limits=None) if has_slash(route) else None
    return compile_match(order, route, answer_nothing, limits=None, to_slash=slash)


def _find(routes: list[CompiledRoute], request: Request) -> CompiledRoute | None:
    router = Router(routes)
    find = router.find_secure if request.client.scheme == "https" else router.find
    return find(request.head, request)


def _passed(routes: list[CompiledRoute], settings: Settings, request: Request) -> Iterator[Passed]:
    groups = request.groups  # of the route that was found; asking again must not change them
    for route in routes:
        try:
            asks = why_not(route, request)
        except HttpError as error:
            asks = str(error.detail)
        if asks is not None:
            yield Passed(settings.routes[route.order], asks)
    request.groups = groups


def _is_left(route: Route, request: Request, settings: Settings) -> bool:
    """Whether a route with `fallback: next` has nothing for it, as this machine's disk is now."""
    if route.files is None or not route.files.passes_on:
        return False
    if request.head.method not in (b"GET", b"HEAD"):
        return True
    place = place_of(route.files, route, request)
    if _is_hidden(place[len(str(route.files.root)) :]) and not route.files.hidden:
        return True
    if route.files.listing and os.path.isdir(os.path.join(route.files.root, _name_below(route, request))):
        return False
    if os.path.isdir(place) and route.files.index is not None:
        return not os.path.isfile(os.path.join(place, route.files.index))
    return not os.path.isfile(place) and kept_place_of(route, request, settings) is None


def _is_hidden(name: str) -> bool:
    shown = name.removeprefix("/.well-known/")
    return any(part.startswith(".") or part.endswith("~") for part in shown.split("/"))
