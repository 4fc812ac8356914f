"""Send the client elsewhere: a route's `redirect`, and `/x` to `/x/` where only `/x/` is a route.

Owns the status and the safety of the Location. Knows no socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trivet_common.http1.reasons import refuse

from ..locations import local_location, one_slash
from ..router import Handler
from ..templates import Template

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

# It keeps the method (RFC 9110, 15.4.9): browsers turn a POST into a GET on 301 and remember that for good.
_PERMANENT = 308


def redirect_handler(to: str, status: int) -> Handler:
    """`to` is a template. What stays on this host stays there, whatever a client puts into the path."""
    template = Template(to)
    is_local = to.startswith(("/", "{path}", "{uri}")) and not to.startswith("//")

    async def redirect(request: Request, writer: ResponseWriter) -> None:
        if "host" in template.names and not request.head.host:
            raise refuse(
                "bad_head:host_missing", f"The redirect to {to} needs a host, and HTTP/1.0 named none."
            )
        location = template.fill(request)
        if is_local:
            location = one_slash(location)
        await writer.send(status, [(b"location", location)])

    return redirect


async def redirect_to_slash(request: Request, writer: ResponseWriter) -> None:
    """`/x` to `/x/`, with the query and the method kept."""
    head = request.head
    await writer.send(_PERMANENT, [(b"location", local_location(head.path + b"/", head.query))])
