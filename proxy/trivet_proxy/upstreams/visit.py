"""One request and the servers it is offered to, one after the other, until one has answered.

Owns the outcomes: what a failure says about its server, and what may be sent again (RFC 9110, 9.2.2). Knows
no address and no socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import trio

from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import REASONS, refuse
from trivet_common.http1.response import ResponseHead

from ..dispatch.answer import receive_head, relay
from ..dispatch.terms import SAFE
from ..dispatch.upload import Upload, framing_line, send_request
from ..forwarded import build_upstream_head
from ..wire import WireClosed
from .hops import LINE, NAME, judge_hops
from .interim import Interim
from .server import Server, ServerLink
from .servers import Servers

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

# Of all ways in which an exchange can end early, those that are the server's own failure.
_FAILURES = frozenset({"upstream_bad", "upstream_timeout"})
_INTERCEPTED = "intercepted"  # an answer as good as any, that our client does not see


class Switched(NamedTuple):
    """The 101 a server gave, and the link on which it speaks the other protocol now."""

    link: ServerLink
    head: ResponseHead


class Visit:
    """`run` returns when the answer was given; or what there is to go on with, once a server has switched.

    `read_timeout`: how long (s) it may pause within a body. `lines` are whole lines of the head that begin
    with CRLF; `protocol` is what they ask to switch to.
    """

    __slots__ = (
        "_asked_at", "_attempts", "_heard_before", "_interim", "_is_stale", "_lines", "_link", "_passed",
        "_patience", "_problem", "_read_timeout", "_request", "_route", "_server", "_servers", "_switched",
        "_terms", "_tried", "_upload", "_writer",
    )  # fmt: skip

    def __init__(
        self,
        servers: Servers,
        request: Request,
        writer: ResponseWriter,
        read_timeout: float | None,
        lines: tuple[bytes, ...] = (),
        protocol: bytes | None = None,
    ) -> None:
        assert request.route is not None
        # for the request
        self._servers = servers
        self._terms = servers.upstream
        self._request = request
        self._writer = writer
        self._route = request.route
        self._read_timeout = read_timeout
        self._lines = (*lines, LINE)
        self._interim = Interim(writer, servers.sieve, protocol)
        # What connecting may take in all: time in the line is not its.
        self._patience = self._terms.connect_timeout * self._terms.retry.attempts
        self._tried: set[Server] = set()
        self._attempts = 0  # servers that were given it
        self._problem: HttpError | None = None
        self._switched: Switched | None = None
        # for the attempt
        self._server: Server
        self._link: ServerLink
        self._upload: Upload | None = None
        self._is_stale = False  # a kept connection was dead: nobody has seen the request
        self._asked_at = 0.0
        self._heard_before = 0  # answers of the server until then
        self._passed = -1  # bytes to the client, when it was last seen that it has left

    def __repr__(self) -> str:
        return f"<Visit {self._request.head!r}, attempt {self._attempts}, tried {len(self._tried)}>"

    async def run(self) -> Switched | None:
        """Raises HttpError while nothing went to the client, WireClosed once it has left."""
        head = self._request.head
        for name, _ in head.headers:  # hardly ever there: nothing is called to look
            if name == NAME:
                judge_hops(head)
                break
        while True:
            server = await self._servers.claim(self, self._tried)
            if server is None:
                raise self._problem or self._refused()
            self._server = server
            self._tried.add(server)
            if await self._offer(server):
                return self._switched

    # What the line asks of a claimant.

    def is_gone(self) -> bool:
        return self._writer.is_gone()

    def note_queued(self, seconds: float) -> None:
        self._request.record.queued += seconds

    # What the sweep asks from the request to the end of the answer.

    @property
    def client_fd(self) -> int:
        return self._writer.wire.fd

    def give_up(self) -> None:
        """Its client has left, or has said all it had to say and reads on: then what flows may flow on."""
        writer = self._writer
        before, self._passed = self._passed, writer.sent + writer.wire.given
        if self._link.visit is self and (self._passed == before or not writer.started):
            self._link.wire.close("client_left")

    # Ours.

    async def _offer(self, server: Server) -> bool:
        """False: another server is to be asked."""
        self._is_stale = False
        link = server.try_reuse()
        if link is not None:
            if await self._ask(link):
                return True
            if not self._is_stale:
                return False
        link = await self._connect(server)
        return link is not None and await self._ask(link)

    async def _connect(self, server: Server) -> ServerLink | None:
        """None: another server is to be asked. Raises HttpError upstream_refused."""
        began, link = trio.current_time(), None
        try:
            link = await server.connect(min(self._terms.connect_timeout, self._patience))
        finally:
            self._patience -= trio.current_time() - began
            if link is None:
                server.leave()
        if link is None:
            self._servers.note_failure(server, server.problem)
            if "connect" not in self._terms.retry.on or self._patience <= 0:
                raise self._refused()
        return link

    async def _ask(self, link: ServerLink) -> bool:
        """Send, and pass the answer on; False: another connection is to be tried."""
        request, under_way = self._request, self._servers.under_way
        self._link, link.visit = link, self
        self._attempts += not self._is_stale
        self._asked_at, self._heard_before = trio.current_time(), self._server.ejection.successes
        try:
            head = build_upstream_head(request, framing_line(request), self._lines)
            self._upload = upload = send_request(request, link, head, self._route.timeout)
        except BaseException:
            link.discard()
            raise
        under_way.add(self)
        try:
            return await (self._converse() if upload is None else upload.during(self._converse))
        finally:
            under_way.discard(self)

    async def _converse(self) -> bool:
        link = self._link
        try:
            head = await receive_head(link, self._interim)
        except WireClosed as closed:  # by our clock, or since the client fails to deliver
            link.discard()
            if closed.why == "client_left":
                self._judge_silence()
            return self._judge(refuse(closed.why if closed.why in REASONS else "upstream_bad"))
        except HttpError as error:
            link.discard()
            return self._judge(error)
        except BaseException:
            link.discard()
            raise
        if head is None:
            return self._judge_loss(link)
        if head.status == 101:
            self._switched = Switched(link, head)
            self._servers.note_success(self._server)
            return True
        return await self._answer(link, head)

    async def _answer(self, link: ServerLink, head: ResponseHead) -> bool:
        is_failure = head.status in (502, 503, 504) and str(head.status) in self._terms.retry.on
        if is_failure and self._may_go_on():
            link.discard()
            said = f"{link.title} answered {head.status}"
            return self._judge(refuse("upstream_bad", f"{said}, and no other server could be asked."), said)
        try:
            why = await relay(
                link, head, self._request, self._writer, self._servers.sieve, self._read_timeout
            )
        except HttpError as error:
            if error.why == _INTERCEPTED:
                self._note(head.status, is_failure)
            return self._judge(error)
        if why in _FAILURES:
            self._servers.note_failure(self._server, REASONS[why].meaning)
        else:
            self._note(head.status, is_failure)
        return True

    def _note(self, status: int, is_failure: bool) -> None:
        """Of an answer that is whole."""
        if is_failure:
            self._servers.note_failure(self._server, f"it answered {status}")
        else:
            self._servers.note_success(self._server)

    def _judge_silence(self) -> None:
        """Clients leave for reasons of their own; but where nobody else was answered meanwhile, it hangs.

        Else it would never be left out: people have less patience than response_timeout.
        """
        server, patience = self._server, self._terms.connect_timeout
        has_all = self._upload is None  # of the request: it is not the client that it waits for
        is_silent = server.ejection.successes == self._heard_before
        if has_all and is_silent and trio.current_time() - self._asked_at >= patience:
            self._servers.note_failure(server, f"no answer to anybody for {patience:g} s, and clients leave")

    def _judge_loss(self, link: ServerLink) -> bool:
        """The connection ended without an answer."""
        is_race = link.is_kept and link.reader.is_empty  # the server may have ended it before it saw anything
        if is_race and self._is_repeatable():
            link.hand_back()
            self._is_stale = True
            return False
        link.discard()
        error = refuse("upstream_bad", "The upstream closed the connection without an answer.")
        if is_race:
            raise error
        return self._judge(error)

    def _judge(self, error: HttpError, said: str = "") -> bool:
        """There is no answer of this server. False: another one is to be asked; else raises `error`."""
        if error.why not in _FAILURES:
            raise error
        self._servers.note_failure(self._server, said or error.detail)
        is_named = bool(said) or str(error.status) in self._terms.retry.on
        if not is_named or not self._may_go_on():
            raise error
        self._problem = error
        return False

    def _may_go_on(self) -> bool:
        """Whether another server may be given the request."""
        return (
            self._attempts < self._terms.retry.attempts
            and self._is_repeatable()
            and self._servers.has_other(self._tried)
        )

    def _is_repeatable(self) -> bool:
        """Safe, and all of it still here."""
        is_spent = self._upload is not None and self._upload.is_spent
        return self._request.head.method in SAFE and self._request.body.is_complete and not is_spent

    def _refused(self) -> HttpError:
        problems = "; ".join(sorted(f"{one.title}: {one.problem}" for one in self._tried if one.problem))
        return refuse("upstream_refused", f"No server of {self._servers.name} could be reached ({problems}).")
