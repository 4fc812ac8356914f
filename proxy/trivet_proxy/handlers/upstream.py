"""`upstream:`: servers that are not ours.

Knows no pool; which server, and what is tried again, is upstreams/.
"""

from __future__ import annotations

from trivet_common.http1.reasons import refuse

from ..dispatch.trailers import wants_trailers
from ..request import Request
from ..router import Handler
from ..upstreams.servers import Servers
from ..upstreams.visit import Visit
from ..writer import ResponseWriter

# RFC 9110, 10.1.4: TE is for the next hop, which hears from us what our client can do.
_TRAILERS = (b"\r\nconnection: te\r\nte: trailers",)


def unreachable_handler(problem: str) -> Handler:
    """For an upstream that nobody can be asked of: it answers so, and the other routes are served."""

    async def answer_refused(request: Request, writer: ResponseWriter) -> None:
        raise refuse("upstream_refused", problem)

    return answer_refused


def upstream_handler(servers: Servers, read_timeout: float | None) -> Handler:
    """`read_timeout` in seconds."""

    async def ask_upstream(request: Request, writer: ResponseWriter) -> None:
        route = request.route
        assert route is not None
        if not route.stream and not request.body.is_complete:
            await request.body.read_all(request.body.limit)
        lines = _TRAILERS if wants_trailers(request.head) else ()
        await Visit(servers, request, writer, read_timeout, lines).run()

    return ask_upstream
