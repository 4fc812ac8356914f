"""`upstream:`: servers that are not ours, over TCP or a Unix socket, one after the other.

Owns the choice of the server and what may be tried again. Knows no pool; connections are dispatch/servers.py.
"""

from __future__ import annotations

from trivet_common.http1.reasons import REASONS, refuse

from ..dispatch.answer import receive_head, relay
from ..dispatch.servers import ServerLink, Servers
from ..dispatch.terms import SAFE
from ..dispatch.upload import Upload, framing_line, send_request
from ..forwarded import build_upstream_head
from ..request import Request
from ..router import Handler
from ..wire import WireClosed
from ..writer import ResponseWriter


def upstream_handler(servers: Servers) -> Handler:
    async def ask_upstream(request: Request, writer: ResponseWriter) -> None:
        route = request.route
        assert route is not None
        if not route.stream and not request.body.is_complete:
            await request.body.read_all(request.body.limit)
        await _Visit(servers, request, writer).run()

    return ask_upstream


class _Visit:
    """One request and the servers it is offered to."""

    __slots__ = ("_link", "_request", "_seconds", "_servers", "_upload", "_writer")

    def __init__(self, servers: Servers, request: Request, writer: ResponseWriter) -> None:
        assert request.route is not None
        self._servers = servers
        self._request = request
        self._writer = writer
        self._seconds = request.route.timeout
        self._link: ServerLink | None = None
        self._upload: Upload | None = None

    async def run(self) -> None:
        """A server that cannot be reached costs nothing: the next one is asked, each once."""
        servers = self._servers.in_turn()
        for server in servers:
            link = server.try_reuse()
            if link is not None and await self._ask(link):
                return
            # Either none was kept, or the kept one had died, as kept connections may at any moment.
            link = await server.connect()
            if link is not None and await self._ask(link):
                return
        problems = "; ".join(f"{server.text}: {server.problem}" for server in servers)
        raise refuse("upstream_refused", f"No server of {self._servers.name} could be reached ({problems}).")

    async def _ask(self, link: ServerLink) -> bool:
        """Send, and pass the answer on; False when a kept connection was dead and another may be tried."""
        self._link = link
        head = build_upstream_head(self._request, framing_line(self._request))
        self._upload = upload = send_request(self._request, link, head, self._seconds)
        return await (self._converse() if upload is None else upload.during(self._converse))

    async def _converse(self) -> bool:
        link = self._link
        assert link is not None
        try:
            head = await receive_head(link)
        except WireClosed as closed:
            raise refuse(closed.why if closed.why in REASONS else "upstream_bad") from None
        except BaseException:
            link.discard()
            raise
        if head is None:
            self._judge_loss(link)
            return False
        await relay(link, head, self._request, self._writer, self._servers.sieve, self._seconds)
        return True

    def _judge_loss(self, link: ServerLink) -> None:
        """RFC 9110, 9.2.2: only what is safe is sent again, and only if it may not have been received."""
        link.discard()
        is_repeatable = link.is_kept and link.reader.is_empty and self._request.head.method in SAFE
        is_spent = self._upload is not None and self._upload.is_spent
        if not is_repeatable or is_spent or not self._request.body.is_complete:
            raise refuse("upstream_bad", "The upstream closed the connection without an answer.")
