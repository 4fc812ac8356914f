"""An answer whose body is an open file that the slot hands over: asked for, received, and sent from here.

Knows the marks of the handover and the writer; the descriptor is believed to be a file only when it is one.
"""

from __future__ import annotations

import fcntl
import os
import stat
from typing import TYPE_CHECKING

from trivet_common.http1.errors import HttpError, Source
from trivet_common.http1.framing import NoBody
from trivet_common.http1.reasons import REASONS, refuse
from trivet_common.http1.response import ResponseHead
from trivet_common.pool.handover import MARK, SMALLEST, parse_offset

from .. import disk, file_systems
from ..delivery import send_from_disk
from ..forwarded import ResponseSieve, response_headers_for_client
from ..wire import WireClosed
from .answer import let_go
from .slots import SlotLink

if TYPE_CHECKING:
    from ..writer import ResponseWriter

# A slot that has just sent the head has only to answer a byte by a byte.
_PATIENCE = 10.0  # seconds
_PATH_ONLY = getattr(os, "O_PATH", 0)
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
    link: SlotLink,
    head: ResponseHead,
    offset: int,
    writer: ResponseWriter,
    sieve: ResponseSieve,
    lane: disk.Lane,
) -> None:
    """The whole answer. Raises HttpError while nothing went to the client, and where the file fell short."""
    assert head.content_length is not None
    end = offset + head.content_length
    fd = await _take(link)
    try:
        try:
            _judge(fd, end)
            headers = response_headers_for_client(head, sieve)
        except BaseException:
            link.discard()
            raise
        let_go(link, head, NoBody(Source.UPSTREAM))
        writer.start(head.status, None, headers, head.content_length)
        await send_from_disk(writer, fd, offset, end, lane)
        await writer.finish()
    finally:
        link.wire.give_back(fd)


async def _take(link: SlotLink) -> int:
    wire = link.wire
    if wire.is_choked:
        link.discard()
        raise refuse("no_descriptors", "Too many descriptors of this pool wait for being closed.")
    link.start_clock(_PATIENCE)
    try:
        wire.admit(True)
        wire.try_send(MARK)
        handed = await wire.receive_handed(MARK)
        wire.admit(False)
    except WireClosed as closed:
        link.discard()
        if wire.ended_by is None or closed.why not in REASONS:
            raise _lost() from None
        raise refuse(closed.why, "The slot did not hand over its file in time.") from None
    except BaseException:
        link.discard()
        raise
    if handed.fd >= 0:
        return handed.fd
    link.discard()
    if handed.is_lost:
        raise refuse("no_descriptors", "There was no descriptor left for the file that the slot handed over.")
    raise _lost()


def _lost() -> HttpError:
    return refuse("worker_died", "The slot was lost while it handed over a file.")


def _judge(fd: int, end: int) -> None:
    """Raises HttpError for what cannot be sent up to `end`."""
    try:
        found = file_systems.look(fd)
    except OSError as error:  # somebody's FUSE keeps others out
        raise refuse("upstream_bad", f"The file that the slot handed over: {error.strerror}.") from None
    if not stat.S_ISREG(found.mode):
        raise refuse("upstream_bad", "What the slot handed over is no regular file.")
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if flags & _PATH_ONLY or flags & os.O_ACCMODE == os.O_WRONLY:
        raise refuse("upstream_bad", "The file that the slot handed over is not open for reading.")
    if found.size < end:
        # Not only a file that was cut: a length nobody checked would keep the writer busy for ever.
        raise refuse("upstream_bad", "The file that the slot handed over is shorter than its answer.")
