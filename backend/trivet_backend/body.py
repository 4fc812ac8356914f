"""The body of a request, read from its link before the application runs, or while it does.

Owns deadlines, spooling and what an early end means. Knows nothing of claims.
"""

import errno
import io
import time
from typing import BinaryIO

from trivet_backend.input import ArrivingBody, BodyLost, Spool
from trivet_backend.interrupt import Alarm
from trivet_backend.limits import SlotLimits
from trivet_backend.link import Link
from trivet_backend.proxys_head import ClaimedHead
from trivet_common.http1.errors import HttpError
from trivet_common.http1.framing import Body
from trivet_common.http1.reasons import refuse
from trivet_common.http1.request import RequestHead, body_framing

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def read_body(
    link: Link,
    head: RequestHead,
    rest: bytes,
    limits: SlotLimits,
    alarm: Alarm,
    claimed: ClaimedHead | None,
) -> tuple[BinaryIO, Body]:
    """The body as wsgi.input, and its framing; `rest` is what came with the head.

    Complete, unless our own proxy said that it streams it. Raises HttpError: too large, too slow, malformed,
    cut short, no room on the disk. Raises ClientLeft.
    """
    # Our proxy has its own limit, which a route may raise.
    framing = body_framing(head, limits.body if claimed is None else None)
    first = framing.feed(rest)
    if framing.is_complete and len(first) <= limits.spool_memory:
        return io.BytesIO(first), framing
    if head.expects_continue and not framing.is_complete:
        link.send(_CONTINUE)
    if claimed is not None and b"trivet-stream" in claimed.orders:
        return _arriving(link, framing, first, limits.body_timeout, alarm), framing
    return _spooled(link, framing, first, limits), framing


def _spooled(link: Link, framing: Body, first: bytes, limits: SlotLimits) -> BinaryIO:
    spool = Spool(limits.spool_memory, limits.spool_directory)
    try:
        _read_all(link, framing, first, spool, limits)
        return spool.as_input()
    except TimeoutError:
        spool.close()
        raise refuse("body_timeout") from None
    except HttpError:
        spool.close()
        raise
    except OSError as error:
        spool.close()
        raise refuse("spool_full", f"{error.strerror} in {limits.spool_directory}") from None


def _read_all(link: Link, framing: Body, first: bytes, spool: Spool, limits: SlotLimits) -> None:
    spool.write(first)
    timeout, rate = limits.body_timeout, limits.body_rate
    begun = time.monotonic()
    while not framing.is_complete:
        # Not a pause per piece: a byte every 29 s would hold the slot for ever (RUDY).
        deadline = begun + timeout + spool.size / rate if rate else time.monotonic() + timeout
        data = link.receive(deadline)
        if not data:
            framing.eof()
        spool.write(framing.feed(data))


def _arriving(link: Link, framing: Body, first: bytes, timeout: float, alarm: Alarm) -> BinaryIO:
    """Read while it arrives; what ends it early is an error of read(), never a short body.

    The time in which nothing arrives is not the application's: its deadline moves on by as much.
    """

    def receive_piece() -> bytes:
        deadline, begun = alarm.pause(), time.monotonic_ns()
        try:
            return link.receive(time.monotonic() + timeout)
        finally:
            alarm.resume(deadline + time.monotonic_ns() - begun if deadline > 0 else deadline)

    def receive() -> bytes:
        nonlocal first
        piece, first = first, b""
        try:
            while not piece and not framing.is_complete:
                data = receive_piece()
                if not data:
                    framing.eof()
                piece = framing.feed(data)
        except TimeoutError:
            raise BodyLost(errno.ETIMEDOUT, "the request body stopped arriving") from None
        except HttpError as error:
            raise BodyLost(errno.EPIPE, f"the request body broke off: {error.detail}") from None
        return piece

    return ArrivingBody(receive).as_input()
