"""One client connection: read, route, handle, finish, log; and again, as long as both sides want to.

The only place of this program where an exception becomes an answer. Knows no route's action, no master. No
request has a task or scope of its own: one deadline moves with what the client owes us, one with what we owe.
"""

import errno
import time

import trio

from trivet_common.access_log import AccessRecord
from trivet_common.http1.errors import HttpError, Source
from trivet_common.http1.reasons import REASONS, refuse
from trivet_common.http1.request import RequestHead, RequestReader

from . import error_pages
from .body import EMPTY, Body, no_body_before
from .clients import Clients
from .complaints import Complaints
from .crumbs import Crumbs
from .error_choice import render_for
from .forwarded import client_of
from .note import CLIENT_LEFT, SAID_ELSEWHERE, note, note_apart, note_loss, note_unread
from .omissions import Omissions
from .request import Client, Request
from .resources import Resources
from .stall import Stall
from .wire import Wire, WireClosed
from .writer import DRAIN_CAP, ResponseWriter

# Closing a socket with unread bytes sends a reset, which can destroy the answer before the client has read it
# (RFC 9112, 9.6). So: the end of ours first, then read for a moment what still comes.
_LINGER = 2.0
_LINGER_CAP = 4 * 1024 * 1024

# What a client that is too slow is still told: the task that waits for it raises this as an answer.
_TOLD = frozenset({"header_timeout", "body_timeout", "too_slow"})
_TLS_HELLO = "bad_head:tls"
_FLOOD = "tls_flood"
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class Connection:
    """A client's. `run()` is its task and returns when it is over, whatever happens in it."""

    __slots__ = (
        "_client", "_client_key", "_clients", "_complaints", "_has_asked", "_is_unread", "_listener",
        "_omissions", "_patience", "_reader", "_resources", "_rest", "_scheme", "_stall", "_writer", "wire",
    )  # fmt: skip

    def __init__(
        self,
        wire: Wire,
        scheme: str,
        resources: Resources,
        clients: Clients,
        complaints: Complaints,
        omissions: Omissions,
        listener: str = "",
    ) -> None:
        # For the process.
        self._resources = resources
        self._clients = clients
        self._complaints = complaints
        self._omissions = omissions
        # For this connection.
        self.wire = wire
        self._scheme = scheme
        self._listener = listener  # its address
        self._reader = RequestReader(resources.head_limits)
        patience = resources.settings.limits.header_timeout
        self._patience = resources.deadlines.start(patience, self, "header_timeout")
        self._stall = Stall(wire, resources.deadlines)
        self._client: Client | None = None
        self._client_key: tuple[bytes, object] = b"", None
        self._has_asked = False
        self._rest = b""  # received, and after the last request
        self._is_unread = False  # the client may still be sending
        # For this request.
        self._writer: ResponseWriter | None = None
        clients.enter(self)  # before its task has run: a burst must not pass the limit

    def __repr__(self) -> str:
        return f"<Connection {self.wire!r} {self._writer!r}>"

    async def run(self) -> None:
        try:
            while (head := await self._read()) is not None and await self._exchange(head):
                pass
            if self._is_unread:
                await self._linger()
        except WireClosed:
            pass  # between two requests, or after the last: nobody is owed anything
        except Exception as error:
            self._complain(error)  # ours alone: the other connections go on
        finally:
            self._patience.end()
            self._stall.end()
            self.wire.close()
            self._clients.leave(self)

    def expire(self, why: str) -> None:
        """The client has not sent in time what it owes; who asked for nothing is told nothing."""
        if why in _TOLD and not (why == "header_timeout" and self._reader.is_between_requests):
            self.wire.wake()
        else:
            self.wire.close(why)

    async def _exchange(self, head: RequestHead) -> bool:
        """One request; whether another one may follow."""
        started = time.monotonic()
        request = self._begin(head)
        writer = self._writer
        assert writer is not None
        try:
            await self._handle(request, writer)
            return await self._finish(request, writer)
        except WireClosed as closed:
            note_loss(request.record, writer, closed.why)
            return False
        except (trio.Cancelled, BaseExceptionGroup):  # a group: those of tasks that were at it together
            request.record.why = "draining"
            raise
        finally:
            self._end(writer)
            request.body.close()
            self._writer = None
            request.record.total = time.monotonic() - started
            self._log(request, writer)

    # Read.

    async def _read(self) -> RequestHead | None:
        """The next head; None when there is none to come, or it was refused."""
        try:
            return await self._receive_head()
        except HttpError as error:
            await self._turn_away(error)
        except WireClosed as closed:
            if closed.why in REASONS and (not self._reader.is_between_requests or closed.why == _FLOOD):
                self._log_unread(refuse(closed.why))
            raise
        return None

    async def _receive_head(self) -> RequestHead | None:
        reader, wire = self._reader, self.wire
        rest, self._rest = self._rest, b""
        head = reader.feed(rest) if rest else None
        is_timed = not self._has_asked  # a new connection's time runs since it was accepted
        was_woken = False
        # Right after an answer the next request is not here yet, and an attempt that fails is dear.
        is_early = not is_timed and not rest and not self._resources.is_draining
        crumbs: Crumbs | None = None
        while head is None:
            data = None if is_early else wire.try_receive()
            is_early = False
            if data is None:
                if not is_timed and reader.is_between_requests:
                    if not await self._is_asked_again(was_woken):
                        return None
                    was_woken = True
                    continue
                is_timed = self._time_head(is_timed)
                await wire.wait_until_readable()
            elif not data:
                return None
            else:
                head = reader.feed(data)
                if head is None:
                    is_timed = self._time_head(is_timed)
                    crumbs = crumbs or Crumbs()
                    if pause := crumbs.pause_after(len(data), self._patience.now()):
                        await trio.sleep(pause)
                    await wire.give_way()
        self._patience.stop()
        self._has_asked = True
        return head

    def _time_head(self, is_timed: bool) -> bool:
        """Its time runs from its first byte and does not start again. True: it runs."""
        if not is_timed:
            self._patience.move(self._resources.settings.limits.header_timeout, "header_timeout")
        elif self._patience.is_over:
            raise refuse("header_timeout")
        return True

    async def _is_asked_again(self, was_woken: bool) -> bool:
        """Wait for the first byte of the next request; False when we are leaving."""
        if self._resources.is_draining:
            return False
        if not was_woken:  # by a byte of a TLS record, which is none of a request: the time runs on
            self._patience.move(self._resources.settings.limits.idle_timeout, "idle_timeout")
        self._clients.begin_idle(self)
        try:
            await self.wire.wait_until_readable()
        finally:
            self._clients.end_idle(self)
        return True

    def _begin(self, head: RequestHead) -> Request:
        """Everything a request has, before anybody looks at it."""
        resources = self._resources
        self._clients.requests += 1
        if head.dropped:
            self._omissions.tell_names(head, time.monotonic())
        first = self._reader.take_rest()
        if head.has_body:
            body = Body(
                head, self.wire, first, patience=self._patience, limits=resources.settings.limits,
                spool=resources.spool, interim=self._interim,
            )  # fmt: skip
        elif first and head.upgrade is not None:
            body = no_body_before(first)
        else:
            body, self._rest = EMPTY, first
        self._writer = ResponseWriter(
            self.wire, self._stall, resources, body, head.method, head.is_http10, head.keep_alive
        )
        client = self._who(head)
        record = AccessRecord()
        record.time = time.time()
        return Request(head, body, client, resources.request_ids.take(head, client), record, resources)

    def _who(self, head: RequestHead) -> Client:
        """Of a peer nobody trusts, a request says nothing new as long as it names the same host."""
        client, settings = self._client, self._resources.settings
        authority, believed_by = self._client_key
        if client is None or client.is_trusted or head.authority != authority or settings is not believed_by:
            client = client_of(self.wire.peer, head, settings, self._scheme)
            client.listener = self._listener
            self._client, self._client_key = client, (head.authority, settings)
            if not client.is_trusted:
                self._omissions.tell_unbelieved(head, self.wire.peer)
        return client

    def _interim(self) -> None:
        if self._writer is not None:
            self._writer.interim()

    # Route, handle.

    async def _handle(self, request: Request, writer: ResponseWriter) -> None:
        try:
            await self._route(request, writer)
            if not writer.finished and self.wire.fd >= 0:
                raise RuntimeError(f"the handler of {request.route!r} left {writer!r}")
            return
        except HttpError as error:
            problem = error
        except WireClosed:
            raise
        except Exception as error:
            problem = self._explain(error, request)
        try:
            await self._answer_problem(request, writer, problem)
        finally:
            del problem  # its traceback knows this frame: the two would be left to the collector

    async def _route(self, request: Request, writer: ResponseWriter) -> None:
        site = self._clients.site
        is_secure = request.client.scheme == "https"
        route = (site.find_secure if is_secure else site.find)(request.head, request)
        if route is None:
            raise refuse("no_route")
        request.route, request.record.route = route, route.id
        while route is not None:
            writer.shape = route.secure_shape if is_secure else route.shape
            if route.limits is not None:
                request.body.admit(route.limits.body)
            await route.handler(request, writer)
            route = site.find_next(request) if request.order is not None else None

    async def _answer_problem(self, request: Request, writer: ResponseWriter, problem: HttpError) -> None:
        """Our own answer, or a cut where a handler's has begun."""
        request.record.why = problem.why
        if problem.source is not Source.CLIENT and problem.why not in SAID_ELSEWHERE:
            self._complaints.say(problem.why, f"{request.head} (request {request.request_id}): {problem}")
        if problem.status == CLIENT_LEFT:
            self.wire.close(problem.why)
        elif not writer.take_back():
            writer.close_without_end()
        else:
            await writer.send(problem.status, *render_for(request, problem, self._clients.site.errors))

    def _explain(self, error: Exception, request: Request) -> HttpError:
        """What nobody foresaw. The connection ends with it: who knows what state it left behind."""
        assert self._writer is not None
        self._writer.keep_alive = False
        if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
            return refuse("overloaded", str(error))
        self._complain(error, request)
        return refuse("internal", f"{type(error).__name__}: {error}")

    # Finish.

    async def _finish(self, request: Request, writer: ResponseWriter) -> bool:
        """Drain or refuse what is left of the body; keep or close."""
        body = request.body
        if writer.keep_alive and writer.finished and (body.is_complete or await body.drain(DRAIN_CAP)):
            self._rest += body.take_rest()
            return True
        # It wanted to go on, or is not through with its body: then it may be sending at this moment.
        self._is_unread = not body.is_complete or request.head.keep_alive
        return False

    async def _linger(self) -> None:
        self.wire.end_sending()
        self._patience.move(_LINGER, "linger")
        taken = 0
        while taken < _LINGER_CAP and (data := await self.wire.receive()):
            taken += len(data)

    async def _turn_away(self, error: HttpError) -> None:
        """Answer what is no request. Nothing after it is interpreted (RFC 9112, 9.6; CVE-2024-49768)."""
        if error.why == _TLS_HELLO:
            return self._log_unread(error)  # who speaks TLS would not understand an answer in plain text
        resources = self._resources
        self._patience.stop()
        writer = ResponseWriter(self.wire, self._stall, resources, EMPTY, b"", False, False)
        request_id = resources.request_ids.new()
        try:
            await writer.send(error.status, *error_pages.render(error, request_id, None))
            self._is_unread = True
        finally:
            self._end(writer)
            self._log_unread(error, request_id, writer.sent)

    def _end(self, writer: ResponseWriter) -> None:
        """Of an answer. Whatever became of it: where it is not whole, its end must not look like one."""
        if not writer.finished:
            writer.close_without_end()
        writer.close()

    # Log.

    def _log(self, request: Request, writer: ResponseWriter) -> None:
        log, route = self._resources.access_log, request.route
        if route is None or route.log_line is not None:
            note_apart(request, writer)
        elif log is not None:
            log.write(note(request, writer))

    def _log_unread(self, error: HttpError, request_id: str = "", sent: int = 0) -> None:
        """A line for what never became a request."""
        note_unread(self._resources, error, self.wire.peer, request_id, sent)

    def _complain(self, error: Exception, request: Request | None = None) -> None:
        what = f"{request.head} (request {request.request_id})" if request is not None else repr(self)
        self._complaints.say_error(error, what)
