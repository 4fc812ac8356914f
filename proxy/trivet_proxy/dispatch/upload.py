"""What of a request's body did not go out with its head: sent by a task of its own while the answer comes.

Knows the body and the link, no claim and no reply. Time spent waiting for the client is not the upstream's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from trivet_common.http1.errors import HttpError
from trivet_common.http1.framing import LAST_CHUNK, encode_chunk
from trivet_common.http1.reasons import REASONS, refuse

from ..wire import PIECE, WireClosed
from .link import Link

if TYPE_CHECKING:
    from ..request import Request


def framing_line(request: Request) -> bytes:
    """How the upstream finds the end of the body; nothing where there is none and none was announced."""
    length = request.body.length
    if length is None:
        return b"\r\ntransfer-encoding: chunked"
    if length or request.head.content_length is not None:
        return b"\r\ncontent-length: %d" % length
    return b""


def send_request(request: Request, link: Link, head: bytes, seconds: float | None) -> Upload | None:
    """Send as much as goes at once, and start the clock; None, the ordinary case, when that was all.

    Never waits. Another side that has gone is no error here: its silence says so soon enough.
    """
    request.record.upstream = link.title
    link.start_clock(seconds)
    body = request.body.in_memory or b""
    try:
        sent = link.wire.try_send_parts((head, body)) if body else link.wire.try_send(head)
    except WireClosed:
        sent = 0
    return Upload.of(request, link, head, body, sent, seconds)


class Upload:
    """`run` sends what is left. When the client fails to deliver, the link is closed with the reason."""

    __slots__ = ("_is_live", "_link", "_request", "_rest", "_seconds")

    def __init__(self, request: Request, link: Link, rest: bytes, seconds: float | None) -> None:
        self._request = request
        self._link = link
        self._rest = rest
        self._seconds = seconds
        self._is_live = not request.body.is_complete
        link.is_sending = True

    def __repr__(self) -> str:
        return f"<Upload to {self._link.title}, {len(self._rest)} bytes and {self._request.body!r}>"

    @classmethod
    def of(
        cls, request: Request, link: Link, head: bytes, body: bytes, sent: int, seconds: float | None
    ) -> Upload | None:
        """What is left after the first attempt to send; None, the ordinary case, when that is nothing."""
        if request.body.in_memory is not None and sent == len(head) + len(body):
            link.is_sending = False
            return None
        return cls(request, link, (head + body)[sent:], seconds)

    @property
    def is_spent(self) -> bool:
        """Bytes that came straight from the client are gone for good."""
        return self._is_live and self._request.body.received > 0

    async def during(self, converse: Callable[[], Awaitable[bool]]) -> bool:
        """Send while `converse` awaits the answer, and stop when it is through.

        Two tasks, one a direction: with a server that answers while it reads, one after the other would
        deadlock.
        """
        problem: Exception | None = None
        is_answered = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.run)
            try:
                is_answered = await converse()
            except Exception as error:  # carried round the nursery, which would wrap it in a group
                problem = error
            nursery.cancel_scope.cancel()
        if problem is not None:
            raise problem
        return is_answered

    async def run(self) -> None:
        """Ends quietly when the upstream stops reading: it may answer all the same."""
        link, body = self._link, self._request.body
        try:
            if self._rest:
                await link.wire.send(self._rest)
            if self._is_live:
                await self._stream()
            elif body.fileno is not None:
                await self._replay()
            link.is_sending = False
        except WireClosed:
            # Not every failed send is the peer's end (ENOBUFS): one that reads on would wait for the rest.
            link.wire.end_sending()
        except HttpError as error:
            link.discard(error.why)

    async def _replay(self) -> None:
        """From the file it was spooled to."""
        pieces = self._request.body.open()
        while piece := pieces.next(PIECE):
            await self._link.wire.send(piece)

    async def _stream(self) -> None:
        """From the client, as it comes."""
        wire = self._link.wire
        is_chunked = self._request.body.length is None
        while piece := await self._receive():
            await wire.send(encode_chunk(piece) if is_chunked else piece)
        if is_chunked:
            await wire.send(LAST_CHUNK)

    async def _receive(self) -> bytes:
        """The next piece; what goes wrong with the client is an HttpError, its slowness is its own."""
        self._link.pause_clock()
        try:
            return await self._request.body.receive()
        except WireClosed as closed:
            raise refuse(closed.why if closed.why in REASONS else "client_left") from None
        finally:
            self._link.resume_clock(self._seconds)
