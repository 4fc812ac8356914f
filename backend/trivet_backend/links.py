"""The connections of one slot: accepted, believed or not, timed, bounded in number, closed.

Owns what is thrown away unread, too. Knows no request and no claim.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from typing import Any

from trivet_backend.environ import Peer
from trivet_backend.limits import SlotLimits, Trust
from trivet_backend.link import Link, LinkState, peer_uid
from trivet_backend.response import ErrorSink
from trivet_common.http1.errors import HttpError
from trivet_common.http1.framing import Body, UntilClose
from trivet_common.http1.reasons import REASONS, refuse
from trivet_common.http1.request import Parse
from trivet_common.http1.response import STATUS_LINES

# A proxy process keeps one connection to a slot, for a moment two; the rest is room for curious people.
MOST_LINKS = 64
# How long what nobody wants may go on arriving, so that the answer before it is not lost to a reset (s).
LONGEST_AWAY = 5.0
# Out of descriptors or memory: the pause (s) that keeps a readable listener from spinning the loop.
_STARVED = 0.1
_STARVING = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Links:
    """`by_fd` are the connections, `timed` those with a deadline."""

    __slots__ = ("_epoll", "_limits", "_log", "_parse", "_starved_at", "_trust", "by_fd", "timed")

    def __init__(
        self, epoll: select.epoll, parse: Parse, limits: SlotLimits, trust: Trust, log: ErrorSink
    ) -> None:
        self._epoll = epoll
        self._parse = parse
        self._limits = limits
        self._trust = trust
        self._log = log
        self._starved_at = 0.0
        self.by_fd: dict[int, Link] = {}
        self.timed: dict[int, Link] = {}

    def __repr__(self) -> str:
        return f"<Links {len(self.by_fd)}, timed {len(self.timed)}>"

    def try_accept(self, listener: socket.socket, is_slots_own: bool) -> Link | None:
        """The next connection, or None: nobody there any more, or no room."""
        if len(self.by_fd) >= MOST_LINKS and not self._drop_oldest() and not is_slots_own:
            time.sleep(0.01)  # all wait for their heads; another slot, or the next deadline, makes room
            return None
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno in _STARVING and not self._drop_oldest():
                self._starve(error)
            return None
        try:
            return self._enter(sock, address, is_slots_own)
        except OSError as error:  # no memory or watch for it: it is closed, which its proxy takes well
            self.by_fd.pop(sock.fileno(), None)
            sock.close()
            self._starve(error)
            return None

    def _enter(self, sock: socket.socket, address: Any, is_slots_own: bool) -> Link:
        peer = self._peer(sock, address, is_slots_own)
        limits = self._limits
        link = Link(
            sock,
            peer,
            limits.head,
            self._parse,
            is_slots_own=is_slots_own,
            write_timeout=limits.write_timeout,
        )
        self.by_fd[link.fd] = link
        self._epoll.register(link.fd, select.EPOLLIN)
        if not is_slots_own:
            self.expect(link, LinkState.HEAD, limits.header_timeout)
        return link

    def has_guests(self) -> bool:
        """Whether somebody of pool.sock or TCP is here, who cannot go to another slot."""
        return any(not link.is_slots_own for link in self.by_fd.values())

    def expect(self, link: Link, state: LinkState, seconds: float) -> None:
        link.state = state
        link.deadline = time.monotonic() + seconds
        self.timed[link.fd] = link

    def settle(self, link: Link) -> None:
        link.state = LinkState.READY
        link.deadline = 0.0
        self.timed.pop(link.fd, None)

    def drop(self, link: Link) -> None:
        if self.by_fd.pop(link.fd, None) is not None:
            self.timed.pop(link.fd, None)
            try:
                # Not left to close(): a process that the application forked keeps the socket in our epoll.
                self._epoll.unregister(link.fd)
            except OSError:
                pass
            link.close()

    def drop_all(self) -> None:
        for link in list(self.by_fd.values()):
            self.drop(link)

    def let_go(self) -> None:
        """In a forked copy: the connections stay the worker's."""
        for link in self.by_fd.values():
            link.sock.close()
            link.fd = -1  # the number may soon be another file's

    def refuse(self, link: Link, error: HttpError) -> None:
        """A short answer of our own; what follows on this connection is not looked at. Raises ClientLeft."""
        if error.status >= 500:
            self._log.error(f"{error.why}: {error.detail}")
        # Not the detail: it may name files. Our proxy puts its own page in place of this one, by the mark.
        text = f"{error.status} {error.why}: {REASONS[error.why].meaning}\n".encode()
        extra = b"".join(b"%b: %b\r\n" % field for field in error.headers)
        if link.is_slots_own and link.peer.is_believed:
            extra += b"trivet-why: %b\r\n" % error.why.encode()
        link.send(
            b"%bcontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n"
            % (STATUS_LINES[error.status], len(text), extra)
            + text
        )
        self.part(link)

    def part(self, link: Link) -> None:
        """Close so that the peer can still read: with bytes of its own unread a close would be a reset."""
        link.end()
        self.throw_away(link, UntilClose())

    def throw_away(self, link: Link, body: Body, answer_after: bytes = b"") -> None:
        """Nobody wants what arrives now, up to the end of `body`; then `answer_after` is sent."""
        link.away, link.answer_after = body, answer_after
        self.expect(link, LinkState.AWAY, LONGEST_AWAY)

    def pass_over(self, link: Link, data: bytes) -> bytes:
        """Bytes that are thrown away; returns what follows them. Raises ClientLeft."""
        away = link.away
        assert away is not None
        try:
            away.feed(data)
        except HttpError:
            self.drop(link)
            return b""
        if not away.is_complete:
            return b""
        self.settle(link)
        link.away = None
        if link.answer_after:
            link.send(link.answer_after)
        return away.rest

    def sweep(self, now: float) -> None:
        """End what is past its deadline (`now` of time.monotonic)."""
        for link in [link for link in self.timed.values() if link.deadline <= now]:
            if link.state is LinkState.HEAD and not link.reader.is_between_requests:
                try:
                    self.refuse(link, refuse("header_timeout"))
                    continue
                except ConnectionError:
                    pass  # it has left
            self.drop(link)

    def _peer(self, sock: socket.socket, address: Any, is_slots_own: bool) -> Peer:
        if sock.family == socket.AF_UNIX:
            is_believed = peer_uid(sock) in self._trust.uids
            return Peer("", 0, is_believed or (not is_slots_own and self._trust.is_proxy(None)))
        name, port = sock.getsockname()[:2]
        host = address[0].removeprefix("::ffff:")
        return Peer(host, address[1], self._trust.is_proxy(host), name, port)

    def _drop_oldest(self) -> bool:
        quiet = [link for link in self.by_fd.values() if link.state is LinkState.READY]
        if not quiet:
            return False
        self.drop(min(quiet, key=lambda link: link.used_at))
        return True

    def _starve(self, error: OSError) -> None:
        now = time.monotonic()
        if now - self._starved_at > 10:
            self._log.error(f"no connection can be accepted: {error.strerror}")
            self._starved_at = now
        time.sleep(_STARVED)
