"""The body of one request: when it is read, how far, where it is kept, and what follows it on the wire.

Owns the limit, the idle timeout and minimum rate, `Expect: 100-continue` and the spooled bytes. Knows neither
routes nor answers; framing is http1's. A body cut short is never complete: it ends in HttpError.
"""

from collections.abc import Callable
from typing import Protocol

import trio

from trivet_common.http1 import framing
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse
from trivet_common.http1.request import RequestHead, body_framing

from .crumbs import Crumbs
from .deadlines import Deadline
from .spool import Spool, SpoolBuffer
from .wire import PIECE, Wire


class BodyLimits(Protocol):
    """What a body asks of `settings.limits`."""

    @property
    def body_timeout(self) -> float: ...
    @property
    def body_rate(self) -> float | None: ...


class Body:
    """A body that arrives. Either `read_all` it and `open` it as often as wanted, or `receive` its pieces."""

    __slots__ = (
        "_buffer",
        "_decoder",
        "_first",
        "_head",
        "_interim",
        "_limits",
        "_patience",
        "_spool",
        "_waited",
        "_waiting_since",
        "is_broken",
        "is_complete",
        "length",
        "limit",
        "received",
        "wire",
    )

    def __init__(
        self,
        head: RequestHead,
        wire: Wire,
        first: bytes,
        *,
        patience: Deadline,
        limits: BodyLimits,
        spool: Spool,
        interim: Callable[[], None],
    ) -> None:
        """`first`: what came with the head; `patience`: wakes who waits; `interim`: sends 100 Continue."""
        # For the connection.
        self.wire = wire  # only to wait for it together with others (wire.wait_either)
        self._patience = patience
        self._limits = limits
        self._spool = spool
        # For this request.
        self._head = head
        self._first = first
        self._interim = interim if head.expects_continue and not first else None
        self._decoder: framing.Body | None = None
        self._buffer: SpoolBuffer | None = None
        self._waiting_since: float | None = None
        self._waited = 0.0
        self.limit: int | None = None  # bytes; the route's, set before anything is read
        self.length = head.content_length  # None while nobody knows
        self.received = 0
        self.is_complete = False
        self.is_broken = False  # nothing after this can be understood as a next request

    def __repr__(self) -> str:
        state = "complete" if self.is_complete else "broken" if self.is_broken else "arriving"
        return f"<Body {state}, {self.received} of {self.length} bytes>"

    def admit(self, limit: int | None) -> None:
        """Set the route's limit. Raises too_large if the head already says so, though nobody may read it."""
        self.limit = limit
        if limit is not None and self.length is not None and self.length > limit:
            self._begin()

    # Buffered.

    async def read_all(self, limit: int | None) -> None:
        """Read it into memory, above spool.memory into a file.

        Raises HttpError: too_large (before anything is read if the head says so), bad_body:…, body_timeout,
        too_slow, spool_full.
        """
        if self._buffer is not None:
            return
        self.limit = limit
        decoder = self._begin()
        self._buffer = buffer = self._spool.new()
        crumbs = Crumbs()
        while not decoder.is_complete:
            piece = await self.receive()
            buffer.write(piece)
            if not decoder.is_complete and (pause := crumbs.pause_after(len(piece), self._patience.now())):
                self._wait_for_client()
                await trio.sleep(pause)
                self._wait_for_client()  # it may be over meanwhile

    @property
    def in_memory(self) -> bytes | None:
        """All of it after read_all, or None when it is in a file or was not read."""
        return self._buffer.in_memory if self._buffer is not None else None

    @property
    def fileno(self) -> int | None:
        """The file it is in after read_all, from offset 0."""
        return self._buffer.fileno if self._buffer is not None else None

    def open(self) -> "BodyPieces":
        """Read what read_all has kept, from its beginning."""
        assert self._buffer is not None, "read_all first"
        return BodyPieces(self._buffer)

    # As it comes.

    def try_receive(self) -> bytes | None:
        """The next data, b"" at the end, None when nothing is there now.

        None means that it is the client we wait for: its time runs until something comes.
        """
        decoder = self._decoder or self._begin()
        while not decoder.is_complete:
            raw = self._first or self.wire.try_receive(PIECE)
            if raw is None:
                self._wait_for_client()
                return None
            self._first = b""
            data = self._decode(decoder, raw)
            if data:
                self._stop_waiting()
                self.received += len(data)
                return data
        self._stop_waiting()
        return b""

    async def receive(self) -> bytes:
        """The next data, b"" at the end."""
        try:
            while (data := self.try_receive()) is None:
                await self.wire.wait_until_readable()
        except BaseException:
            self._stop_waiting()  # cancelled: nobody waits for the client any more
            raise
        if data:
            await self.wire.give_way()
        return data

    # The end.

    def is_drainable(self, cap: int) -> bool:
        """Whether `drain` is worth trying: what is left will come, and is no more than `cap` bytes."""
        if self.is_complete:
            return True
        if self.is_broken or self._interim is not None or self.length is None:
            # Without its 100 Continue a client may send the body or not (RFC 9110, 10.1.1): what comes next?
            return False
        return self.length - self.received <= cap

    async def drain(self, cap: int) -> bool:
        """Read what is left and throw it away; False: it is too much or broken, the connection must end."""
        if not self.is_drainable(cap):
            return False
        self.limit = None
        try:
            while await self.receive():
                pass
        except HttpError:
            return False
        return True

    def take_rest(self) -> bytes:
        """What followed a complete body: the beginning of the next request."""
        if self._decoder is None:
            return b""
        rest, self._decoder.rest = self._decoder.rest, b""
        return rest

    def close(self) -> None:
        """Give back its memory or file."""
        self._stop_waiting()
        if self._buffer is not None:
            self._buffer.close()
            self._buffer = None

    # Private.

    def _begin(self) -> framing.Body:
        if self._decoder is None:
            self._decoder = body_framing(self._head, self.limit)
            self.is_complete = self._decoder.is_complete
        return self._decoder

    def _decode(self, decoder: framing.Body, raw: bytes) -> bytes:
        self.is_broken = True  # unless the next lines say otherwise
        if not raw:
            decoder.eof()
        data = decoder.feed(raw)
        self.is_broken = False
        if decoder.is_complete:
            self.is_complete = True
            self.length = self.received + len(data)
        return data

    def _wait_for_client(self) -> None:
        if self._waiting_since is not None:
            if self._patience.is_over:
                self.is_broken = True
                raise refuse(self._patience.why)
            return
        if self._interim is not None:
            self._interim()
            self._interim = None
        self._waiting_since = self._patience.now()
        limits = self._limits
        seconds, why = limits.body_timeout, "body_timeout"
        if limits.body_rate:
            # Only time spent waiting for the client counts: a slow application is not the client's fault. The
            # grace is body_timeout: who is allowed one such pause may take it at the beginning.
            left = max(seconds + self.received / limits.body_rate - self._waited, 0.0)
            if left < seconds:
                seconds, why = left, "too_slow"
        self._patience.move(seconds, why)

    def _stop_waiting(self) -> None:
        if self._waiting_since is not None:
            self._waited += self._patience.now() - self._waiting_since
            self._waiting_since = None
            self._patience.stop()


class _Empty(Body):
    """The body of a request without one: always the same."""

    __slots__ = ()

    def __init__(self, rest: bytes = b"") -> None:
        self._buffer = Spool("", 0, 0).new()
        self._decoder = framing.NoBody()
        self._decoder.rest = rest
        self._waiting_since = None
        self.limit = None
        self.length = 0
        self.received = 0
        self.is_complete = True
        self.is_broken = False

    def close(self) -> None:
        pass


EMPTY = _Empty()


def no_body_before(rest: bytes) -> Body:
    """The body of a request without one, behind which this came already: it may be a tunnel's first bytes."""
    return _Empty(rest)


class BodyPieces:
    """A kept body from one end to the other; a request that is sent again opens it again."""

    __slots__ = ("_buffer", "offset")

    def __init__(self, buffer: SpoolBuffer) -> None:
        self._buffer = buffer
        self.offset = 0

    def __repr__(self) -> str:
        return f"<BodyPieces at {self.offset} of {self._buffer!r}>"

    def next(self, count: int = PIECE) -> bytes:
        """At most `count` bytes; b"" at the end."""
        piece = self._buffer.read_from(self.offset, count)
        self.offset += len(piece)
        return piece
