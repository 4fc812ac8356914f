"""The answer to one request: framing, keep or close, and a bounded backlog for a client that is slow.

The ordinary answer is one send of head and body. Knows no route, no handler, and of an upstream only how to
wait for it; who writes never learns what kind of connection it is.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Protocol

from trivet_common.http1.dates import date_now
from trivet_common.http1.framing import CHUNK_END, LAST_CHUNK, chunk_head
from trivet_common.http1.response import STATUS_LINES, build_response_head

from . import disk
from .backlog import Backlog
from .body import Body
from .shape import Headers, Shape
from .spool import Spool
from .stall import Stall
from .wire import Wire, wait_either

# Of a request's body nobody read, this much is read away to keep the connection; above, a new one is cheaper.
DRAIN_CAP = 64 * 1024
# Up to here joining two pieces is cheaper than handing the kernel a list.
_JOIN = 16 * 1024

_CLOSE = (b"connection", b"close")
_KEEP_ALIVE = (b"connection", b"keep-alive")
_CHUNKED = (b"transfer-encoding", b"chunked")
_CONTINUE = STATUS_LINES[100] + b"\r\n"


class Process(Protocol):
    """What a writer asks of the process (resources.py)."""

    is_draining: bool
    spool: Spool
    write_timeout: float
    write_rate: int | None


class ResponseWriter:
    """The second argument of every handler: `send`; or `start`, then `write` or `send_file`, then `finish`.

    Headers given have lower-case names; content-length, transfer-encoding, connection are not among them. Any
    method that sends raises WireClosed when the client is gone or takes its answer too slowly.
    """

    __slots__ = (
        "_backlog", "_body", "_head", "_is_chunked", "_is_head", "_is_http10", "_left", "_process", "_stall",
        "_swallows", "finished", "keep_alive", "last_chunk", "sent", "shape", "started", "status", "wire",
    )  # fmt: skip

    def __init__(
        self,
        wire: Wire,
        stall: Stall,
        process: Process,
        body: Body,
        method: bytes,
        is_http10: bool,
        keep_alive: bool,
    ) -> None:
        """`keep_alive` is what the client wants."""
        # For the connection.
        self.wire = wire  # only to wait for it together with others, and to ask whether it hung up
        self._stall = stall
        self._process = process
        # For this request.
        self._body = body
        self._is_head = method == b"HEAD"
        self._is_http10 = is_http10
        self.keep_alive = keep_alive  # and after the answer: whether another request may follow
        self.shape: Shape | None = None  # the route's response_headers
        # For its answer.
        self.started = False
        self.finished = False
        self.status = 0
        self.sent = 0  # bytes of the body, given to the kernel or to the backlog
        self._head: bytes | None = None  # until it goes out, with the first piece
        self._left: int | None = None  # of the length that was announced
        self._is_chunked = False
        self._swallows = False
        self.last_chunk = LAST_CHUNK  # with the trailers, where there are any
        self._backlog: Backlog | None = None  # made when the kernel does not take everything

    def __repr__(self) -> str:
        state = "finished" if self.finished else "started" if self.started else "waiting"
        return f"<ResponseWriter {state} {self.status} sent={self.sent} backlog={self._backlog!r}>"

    # A whole answer.

    async def send(
        self, status: int, headers: Headers, body: bytes = b"", reason: bytes | None = None
    ) -> None:
        """A complete answer, in one system call."""
        self.start(status, reason, headers, len(body))
        await self._send_whole(b"" if self._swallows else body)

    async def send_ready(self, headers: Headers, head: bytes, body: bytes, status: int = 200) -> None:
        """`send` of what is known for long: `head` is `shape.ready_head` of its headers in its `shape`."""
        self.start_ready(headers, head, len(body), status)
        await self._send_whole(b"" if self._swallows else body)

    async def _send_whole(self, body: bytes) -> None:
        head = self._head
        if head is not None and self._backlog is None and len(body) <= _JOIN:
            self._put_one(head + body)
        else:
            self._put(body)
        self.sent += len(body)
        self._left = 0
        if self._backlog is not None:
            await self._drain()
        await self.wire.give_way()
        self.finished = True

    # An answer in pieces.

    def start(self, status: int, reason: bytes | None, headers: Headers, length: int | None) -> None:
        """Decide framing and fate of the connection. Sends nothing yet. `length` None: nobody knows it."""
        fields = list(headers if self.shape is None else self.shape(headers))
        self._settle(status, length)
        if length is not None and status != 204 and status != 304 and status >= 200:
            fields.append((b"content-length", b"%d" % length))
        elif self._is_chunked:
            fields.append(_CHUNKED)
        self._add_own(fields)
        self._head = build_response_head(status, reason, fields)
        self.started = True

    def start_ready(self, headers: Headers, head: bytes, length: int, status: int = 200) -> None:
        """`start`, as `send_ready` is `send`."""
        if self._is_http10 or self._is_head:
            return self.start(status, None, headers, length)
        self._settle(status, length)
        end = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        self._head = head + date_now() + end
        self.started = True

    def write(self, piece: bytes) -> None:
        """The next piece, however small; never waits. Look at `has_room` before the next one."""
        left = self._left
        if self._swallows or not piece:
            return
        if left is not None:
            if len(piece) > left:
                # More than was announced: it would be read as the next answer.
                piece = piece[:left]
                self.keep_alive = False
            self._left = left - len(piece)
        if self._is_chunked:
            self._put(chunk_head(len(piece)), piece, CHUNK_END)
        else:
            self._put(piece)
        self.sent += len(piece)

    @property
    def has_room(self) -> bool:
        """False: stop reading from the upstream and `wait(None)`."""
        return self._backlog is None or self._backlog.has_room

    async def wait(self, upstream: Wire | None) -> None:
        """Until `upstream` may have something to receive (None: until there is room), sending meanwhile."""
        self._flush_head()
        backlog = self._backlog
        if upstream is None:
            while backlog is not None and not backlog.has_room:
                await self._push()
        elif backlog is None or not backlog.size:
            await upstream.wait_until_readable()
        else:
            await wait_either((upstream,), (self.wire,))
            self._flush()

    async def send_file(self, fd: int, offset: int, count: int) -> int:
        """The next `count` bytes of the body, from a file. How many: fewer if it shrank, or time passed."""
        assert not self._is_chunked, "a file has a length"
        if self._swallows:
            return count
        since = monotonic()
        await self._clear_the_way()
        sent = 0
        try:
            while sent < count and disk.is_fresh(since):  # after a long wait sendfile would read the disk
                taken = self.wire.try_send_file(fd, offset + sent, count - sent)
                if taken is None:
                    self._stall.start(self._process.write_timeout, self._process.write_rate)
                    await self.wire.wait_until_writable()
                elif taken == 0:
                    break
                else:
                    sent += taken
                    await self.wire.give_way()
        finally:
            self._stall.stop()
            self.sent += sent
            if self._left is not None:
                self._left -= sent
        return sent

    async def finish(self) -> None:
        """The body is complete: returns when the kernel has it all. A short body closes the wire instead."""
        if self._left and not self._swallows:
            self.close_without_end()
            return
        if self._is_chunked:
            self._put(self.last_chunk)
        else:
            self._flush_head()
        await self._drain()
        await self.wire.give_way()
        self.finished = True

    # When it goes wrong.

    def close_without_end(self) -> None:
        """End the connection so that the client can tell that the answer is not whole."""
        self.keep_alive = False
        if self.started and self._left is None and not self._is_chunked and not self._swallows:
            self.wire.abort("cut")  # read to the end of the connection: an ordinary end would look complete
        else:
            self.wire.close("cut")

    def take_back(self) -> bool:
        """Forget what was started if nothing of it was sent; whether another answer can take its place."""
        if self.started and self._head is None:
            return False
        self._head = None
        self.started = False
        return True

    def is_gone(self) -> bool:
        """The client will not read the answer: it closed, reset or half-closed its side."""
        return self.wire.has_hung_up()

    def interim(self, head: bytes = _CONTINUE) -> None:
        """A 1xx, unless the answer has begun or the client cannot know of it."""
        if not self.started and not self._is_http10:
            self._put(head)

    async def switch(self, head: bytes, rest: bytes) -> None:
        """A 101, and what came behind it; from here on the wire is a tunnel's."""
        self.started = self.finished = True
        self.keep_alive = False
        self.status = 101
        self._put(head, rest)
        self.sent = len(rest)
        await self._drain()

    def close(self) -> None:
        """Give back what it holds; afterwards `sent` is what the kernel took."""
        if self._backlog is not None:
            self._stall.stop()
            self.sent = max(self.sent - self._backlog.size, 0)
            self._backlog.clear()

    # Private.

    def _settle(self, status: int, length: int | None) -> None:
        """What the answer's kind and length mean for its framing and for the connection."""
        assert not self.started, "one answer a request"
        self._swallows = self._is_head or status == 204 or status == 304 or status < 200
        if self.keep_alive:
            body = self._body
            self.keep_alive = (
                not self._process.is_draining
                and (body.is_complete or body.is_drainable(DRAIN_CAP))
                and (length is not None or not self._is_http10 or self._swallows)
            )
        self._is_chunked = length is None and not self._is_http10 and not self._swallows
        self._left = length
        self.status = status

    def _add_own(self, fields: list[tuple[bytes, bytes]]) -> None:
        if b"date" not in dict(fields):  # the origin's stays (RFC 9110, 6.6.1)
            fields.append((b"date", date_now()))
        if not self.keep_alive:
            fields.append(_CLOSE)
        elif self._is_http10:
            fields.append(_KEEP_ALIVE)

    def _put(self, *parts: bytes) -> None:
        """Send what the kernel takes at once, keep the rest in order."""
        if self._head is not None:
            parts = (self._head, *parts)
        size = sum(map(len, parts))
        if self._backlog is not None and self._backlog.size:
            self._head = None
            self._keep(parts, 0)
            return self._flush()
        if len(parts) == 1 or size <= _JOIN:
            return self._put_one(b"".join(parts))
        sent = self.wire.try_send_parts(parts)
        self._head = None  # not before: what could not be sent at all can be taken back
        if sent < size:
            self._keep(parts, sent)

    def _put_one(self, whole: bytes) -> None:
        """The same where nothing waits."""
        sent = self.wire.try_send(whole)
        self._head = None
        if sent < len(whole):
            self._keep((whole,), sent)

    def _keep(self, parts: Sequence[bytes], sent: int) -> None:
        """All but the first `sent` bytes."""
        if self._backlog is None:
            self._backlog = Backlog(self._process.spool)
        if not self._backlog.size:
            self._stall.start(self._process.write_timeout, self._process.write_rate)
        for part in parts:
            if sent < len(part):
                self._backlog.add(memoryview(part)[sent:] if sent else part)
            sent = max(sent - len(part), 0)

    def _flush_head(self) -> None:
        if self._head is not None:
            self._put()

    def _flush(self) -> None:
        backlog = self._backlog
        if backlog is None or not backlog.flush(self.wire):
            return
        if backlog.size:
            self._stall.start(self._process.write_timeout, self._process.write_rate)
        else:
            self._stall.stop()

    async def _push(self) -> None:
        await self.wire.wait_until_writable()
        self._flush()

    async def _clear_the_way(self) -> None:
        """Nothing may stand before what is about to be sent past the backlog."""
        head = self._head
        if head is not None:
            sent = 0 if self._has_backlog() else self.wire.try_send(head, more=True)
            self._head = None
            if sent < len(head):
                self._keep((head,), sent)
        await self._drain()

    async def _drain(self) -> None:
        while self._has_backlog():
            await self._push()

    def _has_backlog(self) -> bool:
        return self._backlog is not None and self._backlog.size > 0
