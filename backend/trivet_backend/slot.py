"""One slot: a thread that judges claims, runs one request at a time and answers it (docs/architecture.md).

Owns its epoll, its listening socket and the rule by which it is idle, committed, running or retired.
Knows nothing of processes; a worker makes slots, starts them and asks them to retire.
"""

from __future__ import annotations

import os
import select
import socket
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO
from typing import BinaryIO

from trivet_backend import offspring
from trivet_backend.answer import answer
from trivet_backend.application import WsgiApplication
from trivet_backend.body import read_body
from trivet_backend.environ import EnvironBuilder, said_timeout
from trivet_backend.input import size_of
from trivet_backend.interrupt import Alarm
from trivet_backend.limits import SlotLimits, Trust
from trivet_backend.link import Link, LinkState
from trivet_backend.links import Links
from trivet_backend.proxys_head import ClaimedHead, ProxysHeads
from trivet_backend.response import ClientLeft, ErrorSink, Response
from trivet_backend.retirement import Retirement
from trivet_common.http1.errors import HttpError
from trivet_common.http1.framing import Body
from trivet_common.http1.reasons import refuse
from trivet_common.http1.request import RequestHead, body_framing
from trivet_common.pool.board import SlotRow
from trivet_common.pool.claims import Claim, SlotClaims
from trivet_common.pool.idle import IdleFifo, Token

# How often deadlines are looked at while there are any (s).
_SWEEP = 0.1

_NO_CLAIM = Claim(0, 0)
_STALE = b"HTTP/1.1 409 Conflict\r\ntrivet-claim: stale\r\ncontent-length: 0\r\n\r\n"


class Slot:
    """Call `run` in the thread that is the slot; `ask_to_retire` and `leave` from anywhere."""

    def __init__(
        self,
        index: int,
        incarnation: int,
        *,
        row: SlotRow,
        alarm: Alarm,
        fifo: IdleFifo,
        listener: socket.socket,
        shared: Iterable[socket.socket],
        application: WsgiApplication,
        environs: EnvironBuilder,
        limits: SlotLimits,
        trust: Trust,
        log: ErrorSink,
        wear: Callable[[], None] | None = None,
    ) -> None:
        """`wear` is called after each request."""
        # For the process.
        self.index = index
        self._incarnation = incarnation
        self._row = row
        self.alarm = alarm
        self._claims = SlotClaims(row.words)
        self._fifo = fifo
        self._listener = listener
        self._shared = list(shared)
        self._application = application
        self._environs = environs
        self._limits = limits
        self._timeout = int(limits.timeout * 1e9) if limits.timeout else 0
        self._log = log
        self._wear = wear
        self._epoll = select.epoll()
        self._links = Links(self._epoll, ProxysHeads(environs.regulars).parse, limits, trust, log)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watched: dict[int, Callable[[], None]] = {}
        # For its end.
        self._retirement = Retirement()
        self._has_left = False
        self._enter_sources()

    def __repr__(self) -> str:
        return f"<Slot w{self._incarnation}.{self.index} {self._claims!r} {self._links!r}>"

    def run(self) -> None:
        """Serve until retired."""
        self.alarm.belong_here()
        self._become_idle()
        links, timed = self._links.by_fd, self._links.timed
        watched, poll, retirement = self._watched, self._epoll.poll, self._retirement
        while not self._has_left:
            for fd, _ in poll(_SWEEP if timed or retirement.is_begun else None, 32):
                link = links.get(fd)
                if link is not None:
                    self._serve(link)
                elif (called := watched.get(fd)) is not None:
                    self._call(called)
            if timed or retirement.is_begun:
                self._sweep()
        self._close()

    def _call(self, called: Callable[[], None]) -> None:
        try:
            called()
        except Exception:  # ours, or a kernel without memory: it costs this turn, never the slot
            self._log.error(f"slot {self.index}: {traceback.format_exc()}")
            time.sleep(_SWEEP)  # what called is still there

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back, between requests, while `fd` is readable."""
        self._watched[fd] = callback
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def ask_to_retire(self) -> None:
        """Finish the request that runs, if any, void the token and leave when it is quiet."""
        self._retirement.ask()
        os.eventfd_write(self._wake, 1)

    def spend(self) -> None:
        """Finish the request that runs, if any, take no other, and wait to be asked to retire."""
        self._retirement.spend()
        os.eventfd_write(self._wake, 1)

    def leave(self) -> None:
        """Leave at the next moment between two requests."""
        self._has_left = True
        os.eventfd_write(self._wake, 1)

    def let_go(self) -> None:
        """In a process that the application forked: close what it would keep open, and tell nobody."""
        self.alarm.forget()
        self._links.let_go()
        self._epoll.close()
        self._listener.close()
        for sock in self._shared:
            sock.close()
        os.close(self._wake)

    # ------------------------------------------------------------ idle and retiring

    def _become_idle(self) -> None:
        if self._retirement.is_due:
            self._retire()
            return
        number = self._claims.become_idle(time.monotonic_ns())
        self._fifo.try_write(Token(self.index, self._incarnation, number))

    def _woken(self) -> None:
        os.eventfd_read(self._wake)
        if self._retirement.is_due and not self._retirement.is_begun:
            self._retire()

    def _retire(self) -> None:
        """The token is void before anything is closed: whoever holds it is told 409 and loses nothing."""
        self._claims.retire()
        for sock in self._shared:
            self.unwatch(sock.fileno())
        self._retirement.begin()

    def _sweep(self) -> None:
        now = time.monotonic()
        self._links.sweep(now)
        if self._retirement.is_begun:
            self._has_left = self._retirement.is_over(now, self._links.has_guests())

    def _close(self) -> None:
        self._links.drop_all()
        self._listener.close()
        self._epoll.close()
        # The eventfd stays open until the process ends: another thread may be about to write to it.

    # ------------------------------------------------------------ what arrives

    def _enter_sources(self) -> None:
        self.watch(self._wake, self._woken)
        self.watch(self._listener.fileno(), partial(self._accept, self._listener, True))
        for sock in self._shared:
            # EPOLLEXCLUSIVE wakes one idle slot of all workers; a busy slot does not wait in its epoll, so
            # the kernel passes it over, and nothing needs to be taken out and put back around a request.
            self._watched[sock.fileno()] = partial(self._accept, sock, False)
            self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def _accept(self, listener: socket.socket, is_slots_own: bool) -> None:
        link = self._links.try_accept(listener, is_slots_own)
        if link is not None:
            self._serve(link)  # the request is mostly there already

    def _serve(self, link: Link) -> None:
        try:
            data = link.try_receive()
            if data is None:
                return
            if not data:
                self._links.drop(link)
                return
            while data:
                if link.state is LinkState.AWAY:
                    data = self._links.pass_over(link, data)
                else:
                    data = self._take(link, data)
        except ClientLeft:
            self._links.drop(link)
        except Exception:  # ours: it ends this connection, never the slot
            self._log.error(f"slot {self.index}: {traceback.format_exc()}")
            self._links.drop(link)

    def _take(self, link: Link, data: bytes) -> bytes:
        """Bytes of a head: judge the request once it is whole. Returns what follows it."""
        try:
            head = link.reader.feed(data)
        except HttpError as error:
            self._links.refuse(link, error)
            return b""
        if head is None:
            if link.state is not LinkState.HEAD:
                self._links.expect(link, LinkState.HEAD, self._limits.header_timeout)
            return b""
        if link.deadline:
            self._links.settle(link)
        return self._judge(link, head)

    # ------------------------------------------------------------ requests

    def _judge(self, link: Link, head: RequestHead) -> bytes:
        """Run it, or turn it away if it names a claim that is not the current one."""
        claimed, claim = None, _NO_CLAIM
        if isinstance(head, ClaimedHead):
            claimed, claim = head, head.claim
            if not self._claims.accepts(claim.number):
                return self._turn_away(link, claimed)
        elif self._retirement.is_spent or (self._retirement.is_begun and link.is_slots_own):
            # While it only retires, a guest of pool.sock is served, who has no other slot to go to.
            self._links.refuse(link, refuse("draining"))
            return b""
        # From here every copy of the token is void; without a claim, our own that is out is one of them.
        self._claims.commit(claim.nonce)
        link.used_at = now = time.monotonic_ns()
        try:
            if claimed is not None and claim.is_old(now) and link.has_hung_up():
                return self._turn_away(link, claimed)  # taken back while we stood still
            return self._handle(link, head, claimed, now)
        finally:
            self._become_idle()

    def _turn_away(self, link: Link, head: ClaimedHead) -> bytes:
        """A stale claim: its body is read away, 409, and nothing else changes."""
        self._retirement.disturb()
        rest = link.reader.take_rest()
        if not head.has_body:
            link.send(_STALE)
            return rest
        if b"trivet-stream" in head.orders or head.expects_continue:
            link.send(_STALE)  # the rest of the body may come in an hour, or never
            self._links.part(link)
            return b""
        self._links.throw_away(link, body_framing(head), answer_after=_STALE)
        return rest

    def _handle(self, link: Link, head: RequestHead, claimed: ClaimedHead | None, now: int) -> bytes:
        """Read the whole request, run the application, answer. Returns what follows on the connection."""
        framing: Body | None = None
        rest = link.reader.take_rest()
        body: BinaryIO
        if not head.has_body:
            body = BytesIO()
        else:
            try:
                body, framing = read_body(link, head, rest, self._limits, self.alarm, claimed)
            except HttpError as error:
                self._lose(link, error)
                return b""
            now = time.monotonic_ns()
        timeout, queued, request_id = self._timeout, 0.0, b""
        if claimed is not None:
            queued, request_id = claimed.queued, claimed.request_id
            if b"trivet-timeout" in claimed.orders:
                timeout = said_timeout(claimed.orders, timeout)
        elif link.peer.is_believed:
            request_id = dict(head.headers).get(b"x-request-id", b"")
        if not request_id:
            request_id = os.urandom(8).hex().encode()
        name = request_id.decode("latin-1")
        environ = self._environs.build(head, link.peer, body, name)
        if framing is not None and head.chunked and framing.is_complete:
            environ["CONTENT_LENGTH"] = str(size_of(body))  # Django reads no body without it
        if timeout:
            environ["trivet.deadline"] = (now + timeout) / 1e9
        alarm, keep = self.alarm, head.keep_alive and link.is_slots_own
        response = Response(link, self._log, head, name, keep, claimed is not None, alarm)
        self._row.show(head.method, head.target, request_id, now, int(queued * 1e6))
        alarm.begin(now, timeout)
        self._claims.enter()
        answer(self._application, environ, response)
        if offspring.is_copy:
            offspring.leave()  # before it says anything on the board, or takes a request of its own
        self._row.clear()
        if response.is_broken:
            self._claims.leave()
        if alarm.end() and self._limits.is_spent_by_timeout:
            # What was interrupted may still be owed an answer, by a database for instance.
            self._retirement.spend()
        if self._wear is not None:
            self._wear()
        body.close()
        return self._part_or_keep(link, response, framing, rest)

    def _lose(self, link: Link, error: HttpError) -> None:
        """The request is not whole and never will be: the application does not hear of it."""
        if error.why == "bad_body:truncated":
            self._links.drop(link)
        else:
            self._links.refuse(link, error)

    def _part_or_keep(self, link: Link, response: Response, framing: Body | None, rest: bytes) -> bytes:
        is_unread = framing is not None and not framing.is_complete
        if not response.keep:
            if is_unread and not response.is_broken:
                self._links.part(link)
                return b""
            if response.is_broken:
                link.reset()
            self._links.drop(link)
            return b""
        if framing is None:
            return rest
        if is_unread:  # the application answered without reading
            self._links.throw_away(link, framing)
            return b""
        return framing.rest
