"""One slot: a thread that judges claims, runs one request at a time and answers it (docs/architecture.md).

Owns its epoll with everything in it: its listening socket, the pool's shared ones, the kept connections.
Knows nothing of processes; a worker makes slots, starts them and asks them to retire.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import select
import socket
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, BinaryIO, NamedTuple

from trivet_backend.application import WsgiApplication
from trivet_backend.environ import EnvironBuilder, Fields, Peer
from trivet_backend.input import ArrivingBody, BodyLost, Spool
from trivet_backend.link import Link, LinkState, peer_uid
from trivet_backend.response import ClientLeft, ErrorSink, Response, answer
from trivet_common.http1.collector import HeadLimits
from trivet_common.http1.errors import HttpError
from trivet_common.http1.framing import Body, UntilClose
from trivet_common.http1.reasons import refuse
from trivet_common.http1.request import RequestHead, body_framing
from trivet_common.http1.response import STATUS_LINES
from trivet_common.pool.board import SlotRow, SlotState
from trivet_common.pool.claims import SlotClaims
from trivet_common.pool.idle import IdleFifo, Token

# A proxy process keeps one connection to a slot, for a moment two; the rest is room for curious people.
MOST_LINKS = 64
# A retired slot leaves when nothing has come for so long (s), and after this much in any case.
QUIET = 0.2
LONGEST_RETIREMENT = 2.0
# How long what nobody wants may go on arriving, so that the answer before it is not lost to a reset (s).
_LONGEST_AWAY = 5.0
_SWEEP = 0.25

_STALE = b"HTTP/1.1 409 Conflict\r\ntrivet-claim: stale\r\ncontent-length: 0\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class SlotLimits(NamedTuple):
    """Times in seconds, sizes in bytes; `body_rate` in bytes a second, None for none."""

    head: HeadLimits
    body: int
    header_timeout: float
    body_timeout: float
    body_rate: float | None
    write_timeout: float
    spool_memory: int
    spool_directory: str | os.PathLike[str] | None


class Trust(NamedTuple):
    """Who is believed: `uids` on Unix sockets, `is_proxy(address)` (None: a Unix socket) on the shared ones."""

    uids: frozenset[int]
    is_proxy: Callable[[str | None], bool]


class Slot:
    """Call `run` in the thread that is the slot; `ask_to_retire` and `leave` from anywhere."""

    def __init__(
        self,
        index: int,
        incarnation: int,
        *,
        row: SlotRow,
        fifo: IdleFifo,
        listener: socket.socket,
        shared: Iterable[socket.socket],
        application: WsgiApplication,
        environs: EnvironBuilder,
        limits: SlotLimits,
        trust: Trust,
        log: ErrorSink,
    ) -> None:
        # For the process.
        self.index = index
        self._incarnation = incarnation
        self._row = row
        self._claims = SlotClaims(row.words)
        self._fifo = fifo
        self._listener = listener
        self._shared = list(shared)
        self._application = application
        self._environs = environs
        self._limits = limits
        self._trust = trust
        self._log = log
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watched: dict[int, Callable[[], None]] = {}
        self._is_asked_to_retire = False
        self._is_retiring = False
        self._has_left = False
        self._quiet_at = self._leave_at = 0.0
        # For the connections.
        self._links: dict[int, Link] = {}
        self._timed: dict[int, Link] = {}
        self._enter_sources()

    def __repr__(self) -> str:
        return f"<Slot w{self._incarnation}.{self.index} {self._claims!r} links={len(self._links)}>"

    def run(self) -> None:
        """Serve until retired."""
        self._become_idle()
        links, watched, poll = self._links, self._watched, self._epoll.poll
        while not self._has_left:
            for fd, _ in poll(_SWEEP if self._timed or self._is_retiring else None, 32):
                link = links.get(fd)
                if link is not None:
                    self._serve(link)
                elif (called := watched.get(fd)) is not None:
                    called()
            if self._timed or self._is_retiring:
                self._sweep()
        self._close()

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back, between requests, while `fd` is readable."""
        self._watched[fd] = callback
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def ask_to_retire(self) -> None:
        """Finish the request that runs, if any, void the token and leave when it is quiet."""
        self._is_asked_to_retire = True
        os.eventfd_write(self._wake, 1)

    def leave(self) -> None:
        """Leave at the next moment between two requests."""
        self._has_left = True
        os.eventfd_write(self._wake, 1)

    # ------------------------------------------------------------ idle and retiring

    def _become_idle(self) -> None:
        if self._is_asked_to_retire:
            self._retire()
            return
        number = self._claims.become_idle(time.monotonic_ns())
        self._fifo.try_write(Token(self.index, self._incarnation, number))

    def _woken(self) -> None:
        os.eventfd_read(self._wake)
        if self._is_asked_to_retire and not self._is_retiring:
            self._retire()

    def _retire(self) -> None:
        """The token is void before anything is closed: whoever holds it is told 409 and loses nothing."""
        self._claims.retire()
        if not self._is_retiring:
            for sock in self._shared:
                self.unwatch(sock.fileno())
        self._is_retiring = True
        now = time.monotonic()
        self._quiet_at = now + QUIET
        self._leave_at = now + LONGEST_RETIREMENT

    def _sweep(self) -> None:
        now = time.monotonic()
        for link in [link for link in self._timed.values() if link.deadline <= now]:
            if link.state is LinkState.HEAD and not link.reader.is_between_requests:
                self._refuse(link, refuse("header_timeout"))
            else:
                self._drop(link)
        if self._is_retiring and (now >= self._quiet_at or now >= self._leave_at):
            self._has_left = True

    def _close(self) -> None:
        for link in list(self._links.values()):
            self._drop(link)
        self._listener.close()
        self._epoll.close()
        # The eventfd stays open until the process ends: another thread may be about to write to it.

    # ------------------------------------------------------------ connections

    def _enter_sources(self) -> None:
        self.watch(self._wake, self._woken)
        self.watch(self._listener.fileno(), partial(self._accept, self._listener, True))
        for sock in self._shared:
            # EPOLLEXCLUSIVE wakes one idle slot of all workers; a busy slot does not wait in its epoll, so
            # the kernel passes it over, and nothing needs to be taken out and put back around a request.
            self._watched[sock.fileno()] = partial(self._accept, sock, False)
            self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLEXCLUSIVE)

    def _accept(self, listener: socket.socket, is_slots_own: bool) -> None:
        if len(self._links) >= MOST_LINKS and not self._drop_oldest() and not is_slots_own:
            time.sleep(0.01)  # all wait for a head; another slot, or the next deadline, makes room
            return
        try:
            sock, address = listener.accept()
        except OSError as error:
            if (
                error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
                and not self._drop_oldest()
            ):
                self._log.error(f"no connection can be accepted: {error.strerror}")
                time.sleep(0.1)  # the listener stays readable: without this the loop would spin
            return
        limits = self._limits
        peer = self._peer(sock, address, is_slots_own)
        link = Link(sock, peer, limits.head, is_slots_own=is_slots_own, write_timeout=limits.write_timeout)
        self._links[link.fd] = link
        self._epoll.register(link.fd, select.EPOLLIN)
        if not is_slots_own:
            self._await(link, LinkState.HEAD, limits.header_timeout)
        self._serve(link)  # the request is mostly there already

    def _peer(self, sock: socket.socket, address: Any, is_slots_own: bool) -> Peer:
        if sock.family == socket.AF_UNIX:
            is_believed = peer_uid(sock) in self._trust.uids
            return Peer("", 0, is_believed or (not is_slots_own and self._trust.is_proxy(None)))
        name, port = sock.getsockname()[:2]
        host = address[0].removeprefix("::ffff:")
        return Peer(host, address[1], self._trust.is_proxy(host), name, port)

    def _serve(self, link: Link) -> None:
        try:
            data = link.try_receive()
            if data is None:
                return
            if not data:
                self._drop(link)
                return
            while data:
                data = (
                    self._throw_away(link, data) if link.state is LinkState.AWAY else self._take(link, data)
                )
        except ClientLeft:
            self._drop(link)
        except Exception:  # ours: it ends this connection, never the slot
            self._log.error(f"slot {self.index}: {traceback.format_exc()}")
            self._drop(link)

    def _await(self, link: Link, state: LinkState, seconds: float) -> None:
        link.state = state
        link.deadline = time.monotonic() + seconds
        self._timed[link.fd] = link

    def _settle(self, link: Link) -> None:
        link.state = LinkState.READY
        link.deadline = 0.0
        self._timed.pop(link.fd, None)

    def _drop(self, link: Link) -> None:
        if self._links.pop(link.fd, None) is not None:
            self._timed.pop(link.fd, None)
            link.close()  # closing takes it out of the epoll: nobody else has a copy of the descriptor

    def _drop_oldest(self) -> bool:
        quiet = [link for link in self._links.values() if link.state is LinkState.READY]
        if not quiet:
            return False
        self._drop(min(quiet, key=lambda link: link.used_at))
        return True

    def _refuse(self, link: Link, error: HttpError) -> None:
        """A short answer of our own; after it nothing on this connection is looked at."""
        text = f"{error.status} {error.why}: {error.detail}\n".encode()
        extra = b"".join(b"%b: %b\r\n" % field for field in error.headers)
        link.send(
            b"%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n%b"
            % (STATUS_LINES[error.status], len(text), extra, text)
        )
        self._part(link)

    def _part(self, link: Link) -> None:
        """Close so that the peer can still read: with bytes of its own unread a close would be a reset."""
        link.end()
        link.away, link.answer_after = UntilClose(), b""
        self._await(link, LinkState.AWAY, _LONGEST_AWAY)

    def _throw_away(self, link: Link, data: bytes) -> bytes:
        away = link.away
        assert away is not None
        try:
            away.feed(data)
        except HttpError:
            self._drop(link)
            return b""
        if not away.is_complete:
            return b""
        self._settle(link)
        link.away = None
        if link.answer_after:
            link.send(link.answer_after)
        return away.rest

    # ------------------------------------------------------------ requests

    def _take(self, link: Link, data: bytes) -> bytes:
        """Bytes of a head: judge the request once it is whole. Returns what follows it."""
        try:
            head = link.reader.feed(data)
        except HttpError as error:
            self._refuse(link, error)
            return b""
        if head is None:
            if link.state is not LinkState.HEAD:
                self._await(link, LinkState.HEAD, self._limits.header_timeout)
            return b""
        if link.deadline:
            self._settle(link)
        fields = dict(head.headers)
        nonce = 0
        claim = fields.get(b"trivet-claim") if link.is_slots_own and link.peer.is_believed else None
        if claim is not None:
            number, nonce = _parse_claim(claim)
            if not self._claims.accepts(number):
                return self._turn_away(link, head, fields)
        elif self._is_retiring:
            self._refuse(link, refuse("draining"))
            return b""
        # The commit: from here every copy of the token is void, and the token out for us is one of them.
        self._claims.commit(nonce)
        try:
            return self._handle(link, head, fields, claim is not None)
        finally:
            self._become_idle()

    def _turn_away(self, link: Link, head: RequestHead, fields: Fields) -> bytes:
        """A stale claim: 409, and nothing else changes."""
        self._quiet_at = time.monotonic() + QUIET
        rest = link.reader.take_rest()
        if not head.has_body:
            link.send(_STALE)
            return rest
        if b"trivet-stream" in fields or head.expects_continue:
            link.send(_STALE)  # the rest of the body may come in an hour, or never
            self._part(link)
            return b""
        link.away, link.answer_after = body_framing(head), _STALE
        self._await(link, LinkState.AWAY, _LONGEST_AWAY)
        return rest

    def _handle(self, link: Link, head: RequestHead, fields: Fields, is_claimed: bool) -> bytes:
        """Read the whole request, run the application, answer. Returns what follows on the connection."""
        framing: Body | None = None
        rest = link.reader.take_rest()
        body: BinaryIO
        if head.has_body:
            try:
                body, framing = self._body(link, head, rest, is_claimed, b"trivet-stream" in fields)
            except HttpError as error:
                # Incomplete: the application never hears of it.
                self._drop(link) if error.why == "bad_body:truncated" else self._refuse(link, error)
                return b""
        else:
            body = io.BytesIO()
        peer = link.peer
        request_id = fields.get(b"x-request-id", b"") if peer.is_believed else b""
        if not request_id:
            request_id = secrets.token_hex(8).encode()
        name = request_id.decode("latin-1")
        environ = self._environs.build(head, peer, body, name, fields if is_claimed else None)
        if head.chunked and framing is not None and framing.is_complete:
            environ["CONTENT_LENGTH"] = str(_size(body))  # Django reads no body without it
        response = Response(link, self._log, head, name, head.keep_alive and link.is_slots_own, is_claimed)
        self._row.show(head.method, head.target, request_id, time.monotonic_ns())
        self._claims.enter()
        answer(self._application, environ, response)
        self._row.clear()
        body.close()
        return self._after(link, response, framing, rest)

    def _after(self, link: Link, response: Response, framing: Body | None, rest: bytes) -> bytes:
        if not response.keep:
            if framing is not None and not framing.is_complete and response.code:
                self._part(link)
                return b""
            if response.must_reset:
                link.reset()
            self._drop(link)
            return b""
        link.used_at = time.monotonic()
        if framing is None:
            return rest
        if not framing.is_complete:  # the application answered without reading
            link.away, link.answer_after = framing, b""
            self._await(link, LinkState.AWAY, _LONGEST_AWAY)
            return b""
        return framing.rest

    def _body(
        self, link: Link, head: RequestHead, rest: bytes, is_claimed: bool, is_stream: bool
    ) -> tuple[BinaryIO, Body]:
        """The body as wsgi.input. Raises HttpError: too large, too slow, malformed, truncated, no room."""
        # Our proxy has its own limit, which a route may raise.
        framing = body_framing(head, None if is_claimed else self._limits.body)
        first = framing.feed(rest)
        if framing.is_complete and len(first) <= self._limits.spool_memory:
            return io.BytesIO(first), framing
        if head.expects_continue and not framing.is_complete:
            link.send(_CONTINUE)
        if is_stream and is_claimed:
            return self._arriving(link, framing, first), framing
        spool = Spool(self._limits.spool_memory, self._limits.spool_directory)
        try:
            self._read_all(link, framing, first, spool)
            return spool.as_input(), framing
        except TimeoutError:
            spool.close()
            raise refuse("body_timeout") from None
        except HttpError:
            spool.close()
            raise
        except OSError as error:
            spool.close()
            raise refuse("spool_full", f"{error.strerror} in {self._limits.spool_directory}") from None

    def _read_all(self, link: Link, framing: Body, first: bytes, spool: Spool) -> None:
        spool.write(first)
        deadline = time.monotonic() + self._limits.body_timeout
        rate = self._limits.body_rate
        while not framing.is_complete:
            # Not a pause per piece: a byte every 29 s would hold the slot for ever (RUDY).
            data = link.receive(
                deadline + spool.size / rate if rate else time.monotonic() + self._limits.body_timeout
            )
            if not data:
                framing.eof()
            spool.write(framing.feed(data))

    def _arriving(self, link: Link, framing: Body, first: bytes) -> BinaryIO:
        """A body that is read while it arrives; what ends it early is an error of read(), never a short body."""

        def receive() -> bytes:
            nonlocal first
            piece, first = first, b""
            try:
                while not piece and not framing.is_complete:
                    data = link.receive(time.monotonic() + self._limits.body_timeout)
                    if not data:
                        framing.eof()
                    piece = framing.feed(data)
            except TimeoutError:
                raise BodyLost(errno.ETIMEDOUT, "the request body stopped arriving") from None
            except HttpError as error:
                raise BodyLost(errno.EPIPE, f"the request body broke off: {error.detail}") from None
            return piece

        return ArrivingBody(receive).as_input()


def _parse_claim(value: bytes) -> tuple[int, int]:
    """`NUMBER NONCE`; what is not that is a claim nobody has (numbers begin with 1)."""
    number, _, nonce = value.partition(b" ")
    if not (number.isdigit() and nonce.isdigit() and len(number) < 20 and len(nonce) < 21):
        return 0, 0
    return int(number), int(nonce) & 0xFFFFFFFFFFFFFFFF


def _size(body: BinaryIO) -> int:
    size = body.seek(0, os.SEEK_END)
    body.seek(0)
    return size


__all__ = ["Slot", "SlotLimits", "SlotState", "Trust"]
