"""What a route changes of a request before somebody answers it: found out by the proxy's own gates.

Knows no handler and no other route.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

from trivet_common.config import Route, Settings
from trivet_common.http1.errors import HttpError
from trivet_proxy.altering import altered
from trivet_proxy.request import Request


def changed(route: Route, request: Request) -> Request:
    """As who answers is asked. Raises HttpError where what is filled in is no target."""
    seen = [request]

    async def keep(request: Request, writer: object) -> None:
        seen.append(copy(request))

    try:
        altered(route, keep)(request, None).send(None)  # type: ignore[attr-defined, arg-type]
    except StopIteration:
        pass
    return seen[-1]


def goes_on(route: Route, settings: Settings, request: Request) -> Iterator[str]:
    """The target and the fields that are not the client's own."""
    asked = request.head
    try:
        made = changed(route, request)
    except HttpError as error:
        yield f"{error.status} why={error.why}: {error.detail}"
        return
    if made.head.target != asked.target:
        yield f"asked for {made.head.target.decode('latin-1')}"
    if made.head.authority != asked.authority:
        yield f"set Host: {made.head.authority.decode('latin-1')}"
    # An upstream is told beside the client's fields, our own files among them.
    fields = [*made.added, *(field for field in made.head.headers if field not in asked.headers)]
    gone = made.hidden | ({name for name, _ in asked.headers} - {name for name, _ in made.head.headers})
    told = {name for name, _ in fields}
    for name, value in fields:
        yield f"{'set' if name in gone else 'add'} {name.decode()}: {value.decode('latin-1')}"
    yield from (f"remove {name.decode()}" for name in sorted(gone - told))
