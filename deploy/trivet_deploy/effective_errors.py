"""Pages for errors, maintenance and compression: in the words of the file, and line by line for one request.

Knows settings only, but for the file that closes a route: whether it is there now.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from trivet_common.config import Route, Settings
from trivet_common.config.settings_errors import ErrorPage, Maintenance
from trivet_common.config.units import duration_text
from trivet_proxy.networks import Networks
from trivet_proxy.request import Request

from .words import networks


def error_keys(pages: Iterable[ErrorPage], usual: Iterable[ErrorPage] = ()) -> dict[str, Any] | str | None:
    """`usual`: those of `defaults`, which a route without any has refused."""
    written = {_status(page): _page(page) for page in pages}
    return written or ("off" if tuple(usual) else None)


def maintenance_keys(maintenance: Maintenance | None) -> dict[str, Any] | None:
    if maintenance is None:
        return None
    keys: dict[str, Any] = {"when": str(maintenance.when)}
    if maintenance.page is not None:
        keys["page"] = str(maintenance.page)
    if maintenance.except_ is not None:
        keys["except"] = networks(maintenance.except_)
    seconds = maintenance.retry_after
    return {**keys, "retry_after": "off" if seconds is None else duration_text(seconds)}


def maintenance_lines(route: Route, settings: Settings, request: Request) -> Iterator[str]:
    """Whether this request would be answered 503 at this moment."""
    maintenance = route.maintenance
    if maintenance is None:
        return
    address = request.client.address
    if maintenance.except_ is not None and Networks(maintenance.except_).has(address):
        who = address or "a client on a Unix socket"
        yield f"{who} is let in, whether {maintenance.when} is there or not"
    else:
        is_closed = os.path.exists(maintenance.when)
        yield f"503 while there is {maintenance.when} ({'there' if is_closed else 'not there'})"


def error_lines(route: Route, settings: Settings, request: Request) -> Iterator[str]:
    for page in route.errors:
        what = str(page.file) if page.file is not None else page.json or "Trivet's own page"
        yield f"{_status(page)}: {what}" + (", for the application's own too" if page.intercept else "")


def _status(page: ErrorPage) -> str:
    return f"{page.status}xx" if page.status < 10 else str(page.status)


def _page(page: ErrorPage) -> dict[str, Any]:
    if page.json is not None:
        return {"json": json.loads(page.json), "intercept": page.intercept}
    return {**({"file": str(page.file)} if page.file is not None else {}), "intercept": page.intercept}
