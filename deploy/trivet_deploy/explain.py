"""`trivet explain`: which route answers a request, why, and everything that holds for it.

Puts together the question, the router's answer and the settings; prints them as lines or as JSON.
"""

import json
from collections.abc import Sequence
from typing import Any

import click

from trivet_common.config import ConfigError, Route, Settings
from trivet_common.http1.errors import HttpError

from . import live
from .applies import applies
from .explained import explain
from .question import Question, Words, ask
from .refusal import FAILED, GOOD, USAGE, Refusal
from .site import Site, load_site
from .whereabouts import SUFFIXES, locate
from .words import printable

_NARROWEST = 10  # columns of the headings, with what keeps them apart


def tell(words: Words, site: Site, with_live: bool, as_json: bool) -> int:
    """Print it. The exit status is 1 where no route answers. Raises Refusal, also where nothing runs."""
    told = explanation(words, site.settings)
    if with_live:
        named = told["route"] and told["route"]["id"]
        route = next((one for one in site.settings.routes if one.id == named), None)
        told["live"] = list(live.live(route, *locate(site.asked)))
    click.echo(json.dumps(told, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(told)))
    return GOOD if told["route"] else FAILED


def split(words: Sequence[str]) -> tuple[str | None, str, str]:
    """File, method and URL. Raises Refusal."""
    rest = list(words)
    if len(rest) == 1 and rest[0].endswith(SUFFIXES) and rest[0][0] != "/" and "://" not in rest[0]:
        raise Refusal(
            f"{rest[0]} is a file, and the URL is missing; write: trivet explain {rest[0]} /path", USAGE
        )
    file = rest.pop(0) if len(rest) > 1 and rest[0].endswith(SUFFIXES) else None
    method = rest.pop(0).upper() if len(rest) > 1 else "GET"
    if len(rest) != 1:
        raise Refusal(f"write: trivet explain [FILE] [METHOD] URL, not {' '.join(words)}", USAGE)
    return file, method, rest[0]


def read(file: str | None) -> Site:
    """As `serve` reads it; where the applications are elsewhere, as `proxy` does. Raises ConfigError."""
    try:
        return load_site(file)
    except ConfigError:
        return load_site(file, purpose="proxy")


def explanation(words: Words, settings: Settings) -> dict[str, Any]:
    """Raises Refusal for words that are no question."""
    try:
        question = ask(words, settings)
    except HttpError as error:
        return _refused(words, error)
    found = explain(question, settings)
    return {
        **_asked(question),
        "passed": [{**_named(one.route), "asks": one.asks} for one in found.passed],
        "left": [_named(route) for route in found.left],
        "route": _named(found.route) if found.route else None,
        "refused": _refusal(found.refusal),
        "applies": applies(found, settings),
    }


def lines(told: dict[str, Any]) -> list[str]:
    """As people read it."""
    route, width = told["route"], max((len(one["where"]) for one in told["passed"]), default=0)
    blocks: dict[str, list[str]] = {
        "client": [told["client"]],
        "listener": [told["listener"]],
        "note": told["notes"],
        "not": [f"{one['where']:<{width}}  {one['id']} asks for {one['asks']}" for one in told["passed"]],
        "no file": [f"{one['where']}  {one['id']} leaves it to the next" for one in told["left"]],
        "route": [f"{route['where']}  {route['id']}"] if route else [],
        "refused": [told["refused"]] if told["refused"] else [],
        **told["applies"],
        "live": told.get("live") or [],
    }
    gap = max(_NARROWEST, *(len(name) + 2 for name, values in blocks.items() if values))
    return [printable(told["request"])] + [
        f"{name if not at else '':<{gap}}{printable(text)}"
        for name, values in blocks.items()
        for at, text in enumerate(values)
    ]


def _asked(question: Question) -> dict[str, Any]:
    listen = question.listen
    return {
        "request": str(question),
        "client": question.request.client.address or "unix",
        "listener": f"{listen.name} ({listen})" if listen.name else str(listen),
        "notes": list(question.notes),
    }


def _refused(words: Words, error: HttpError) -> dict[str, Any]:
    """What is no request comes to no route."""
    asked = {"request": f"{words.method} {words.url}", "client": words.client or "(not looked at)"}
    nothing: dict[str, Any] = {"notes": [], "passed": [], "left": [], "route": None, "applies": {}}
    return {**asked, "listener": words.listener or "(not looked at)", **nothing, "refused": _refusal(error)}


def _refusal(error: HttpError | None) -> str | None:
    if error is None:
        return None
    allowed = b"".join(value for name, value in error.headers if name == b"allow").decode()
    return f"{error.status} why={error.why}: {error.detail}" + (f" Allow: {allowed}" if allowed else "")


def _named(route: Route) -> dict[str, str]:
    return {"id": route.id, "where": route.where}
