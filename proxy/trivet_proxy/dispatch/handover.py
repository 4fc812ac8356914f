"""An answer whose body is an open file that the slot hands over: asked for, received, and sent from here.

Knows the marks of the handover and the writer; the descriptor is believed to be a file only when it is one.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from trivet_common.http1.errors import Source
from trivet_common.http1.framing import NoBody
from trivet_common.http1.reasons import refuse
from trivet_common.http1.response import ResponseHead
from trivet_common.pool.handover import MARK, SMALLEST, parse_offset

from ..delivery import send_from_disk
from ..forwarded import ResponseSieve, response_headers_for_client
from ..wire import WireClosed
from .answer import let_go
from .slots import SlotLink

if TYPE_CHECKING:
    from ..writer import ResponseWriter

# A slot that has just sent the head has only to answer a byte by a byte.
_PATIENCE = 10.0  # seconds
_BODILESS = frozenset({204, 304})  # RFC 9110, 6.4.1


def offset_in(head: ResponseHead, method: bytes) -> int | None:
    """Where the body begins in the file that the slot hands over; None for a body that it sends itself."""
    if head.content_length is None or head.content_length < SMALLEST:
        return None
    if method == b"HEAD" or head.status in _BODILESS:
        return None
    value = head.get(b"trivet-file")
    return None if value is None else parse_offset(value)


async def relay_file(
    link: SlotLink, head: ResponseHead, offset: int, writer: ResponseWriter, sieve: ResponseSieve
) -> None:
    """The whole answer. Raises HttpError while nothing went to the client, and where the file fell short."""
    assert head.content_length is not None
    end = offset + head.content_length
    fd = await _take(link)
    try:
        if os.fstat(fd).st_size < end:
            # Not only a file that was cut: a length nobody checked would keep the writer busy for ever.
            link.discard()
            raise refuse("upstream_bad", "The file that the slot handed over is shorter than its answer.")
        headers = response_headers_for_client(head, sieve)
        let_go(link, head, NoBody(Source.UPSTREAM))
        writer.start(head.status, None, headers, head.content_length)
        await send_from_disk(writer, fd, offset, end)
        await writer.finish()
    finally:
        os.close(fd)


async def _take(link: SlotLink) -> int:
    link.start_clock(_PATIENCE)
    try:
        link.wire.try_send(MARK)
        fd = await link.wire.receive_descriptor(MARK)
    except WireClosed:
        fd = None
    except BaseException:
        link.discard()
        raise
    if fd is None:
        link.discard()
        raise refuse("worker_died", "The slot was lost while it handed over a file.")
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        link.discard()
        raise refuse("upstream_bad", "What the slot handed over is no regular file.")
    return fd
