"""Who may come in by a route: in the words of the file, and line by line for one request.

Knows settings only; what a rate has counted so far, and whether a password is right, is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trivet_common.config import Route, Settings
from trivet_common.config.settings_access import Access, BasicAuth, Doorkeeping, ForwardAuth, RateLimit
from trivet_common.config.units import SECONDS, duration_text
from trivet_proxy.gates.doorkeeping import may_enter
from trivet_proxy.request import Request


def access_keys(access: Access | None) -> dict[str, Any]:
    """Its keys; empty ones too."""
    if access is None:
        return {}
    return {
        "allow": _places(access.doorkeeping, True),
        "deny": _places(access.doorkeeping, False),
        "rate_limit": [_rate_limit(each) for each in access.rate_limits],
        "basic_auth": _basic_auth(access.basic_auth),
        "forward_auth": _forward_auth(access.forward_auth),
    }


def access_lines(route: Route, settings: Settings, request: Request) -> Iterator[str]:
    """In the order in which they are asked."""
    access = route.access
    if access is None:
        return
    if access.doorkeeping is not None:
        address = request.client.address
        verdict = "may come in" if may_enter(access.doorkeeping, address) else "may not come in: 403"
        yield f"{address or 'a client on a Unix socket'} {verdict}"
    for limit in access.rate_limits:
        whose = f"each value of {limit.header}" if limit.header else "each client"
        shared = ", in all routes that have it of defaults" if limit.scope.startswith("defaults ") else ""
        yield f"{_rate(limit)} for {whose}, {limit.burst} more at once{shared}; else 429"
    if access.basic_auth is not None:
        yield f"a name and a password of {access.basic_auth.file}; else 401"
    if access.forward_auth is not None:
        yield from _asked(access.forward_auth)


def _asked(settings: ForwardAuth) -> Iterator[str]:
    who = f"pool {settings.pool}" if settings.pool is not None else _origin(settings)
    yield f"{who} is asked for {settings.target}, {duration_text(settings.timeout)} at most"
    if settings.redirect is not None:
        yield f"its 401 leads to {settings.redirect}"
    if settings.copy:
        yield f"of its answer go on: {', '.join(settings.copy)}"


def _places(doorkeeping: Doorkeeping | None, verdict: bool) -> list[str]:
    rules = doorkeeping.rules if doorkeeping is not None else ()
    return ["unix" if place is None else str(place) for place, found in rules if found is verdict]


def _rate(limit: RateLimit) -> str:
    return f"{limit.count}/{next(unit for unit, seconds in SECONDS.items() if seconds == limit.period)}"


def _rate_limit(limit: RateLimit) -> dict[str, Any]:
    key = f"header:{limit.header}" if limit.header else "client"
    return {"rate": _rate(limit), "burst": limit.burst, "key": key}


def _basic_auth(settings: BasicAuth | None) -> dict[str, Any] | None:
    if settings is None:
        return None
    return {"file": str(settings.file), "realm": settings.realm, "forward": settings.forward}


def _forward_auth(settings: ForwardAuth | None) -> dict[str, Any] | None:
    if settings is None:
        return None
    asked: dict[str, Any] = (
        {"url": _origin(settings) + settings.target}
        if settings.pool is None
        else {"pool": settings.pool, "path": settings.target}
    )
    if settings.redirect is not None:
        asked["redirect"] = settings.redirect
    return {**asked, "copy": list(settings.copy), "timeout": duration_text(settings.timeout)}


def _origin(settings: ForwardAuth) -> str:
    assert settings.upstream is not None, "the configuration saw to it"
    return settings.upstream.servers[0].text
