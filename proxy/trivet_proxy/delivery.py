"""A file on its way to the client: whole, in parts, or as 304, 412 or 416 (RFC 9110, 13 and 14).

Knows the request's fields and the writer; how the file was found is no matter here. Never more of a file in
memory than one small piece.
"""

from __future__ import annotations

import errno
from time import monotonic
from typing import TYPE_CHECKING

from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse

from . import disk
from .preconditions import Asked, Verdict, judge, range_of
from .ranges import Multipart, Span, content_range, select
from .validators import FileHeaders, Header, unchanged_of

if TYPE_CHECKING:
    from .open_files import OpenFile
    from .writer import ResponseWriter

# Up to here one read and one send, with the head, cost less than sendfile's own system calls.
SMALL = 16 * 1024

# Of this process or its machine: no more descriptors, no memory, no thread.
NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})

_GET = b"GET"


class Delivery:
    """One answer. `body`: all bytes of the file, where they are at hand; else they are read from `opened`.

    `ready`: the head of its plain 200, for ResponseWriter.start_ready.
    """

    __slots__ = ("_body", "_file", "_opened", "_ready", "_writer")

    def __init__(
        self,
        writer: ResponseWriter,
        file: FileHeaders,
        opened: OpenFile | None,
        body: bytes | None = None,
        ready: bytes | None = None,
    ) -> None:
        assert opened is not None or body is not None
        self._writer = writer
        self._file = file
        self._opened = opened
        self._body = body
        self._ready = ready

    async def run(self, method: bytes, asked: Asked, headers: list[Header] | None = None) -> None:
        """`method` is GET or HEAD. `headers`: those of the 200, in the place of the file's own."""
        file = self._file
        full = file.full if headers is None else headers
        if asked:
            verdict = judge(asked, file)
            if verdict is Verdict.FAILED:
                raise refuse("precondition")
            if verdict is Verdict.UNCHANGED:
                unchanged = file.unchanged if headers is None else unchanged_of(headers)
                return await self._writer.send(304, unchanged)
            wanted = range_of(asked, file) if method == _GET else None
            spans = select(wanted, file.size) if wanted is not None else None
            if spans is not None:
                return await self._send_spans(spans, full)
        if method != _GET:
            self._writer.start(200, None, full, file.size)
            return await self._writer.finish()
        if self._ready is not None and headers is None and file.size > SMALL:
            self._writer.start_ready(full, self._ready, file.size)
            await self._send_piece(0, file.size)
            return await self._writer.finish()
        await self._send_one(200, full, (0, file.size))

    async def _send_spans(self, spans: list[Span], full: list[Header]) -> None:
        size = self._file.size
        if not spans:
            raise refuse("bad_range", headers=((b"content-range", b"bytes */%d" % size),))
        if len(spans) == 1:
            headers = [*full, (b"content-range", content_range(spans[0], size))]
            return await self._send_one(206, headers, spans[0])
        content_type = next((value for name, value in full if name == b"content-type"), b"")
        parts = Multipart(spans, size, content_type)
        headers = [field for field in full if field[0] != b"content-type"]
        self._writer.start(206, None, [(b"content-type", parts.content_type), *headers], parts.length)
        for head, span in zip(parts.heads, spans, strict=True):
            self._writer.write(head)
            await self._send_piece(*span)
        self._writer.write(parts.end)
        await self._writer.finish()

    async def _send_one(self, status: int, headers: list[Header], span: Span) -> None:
        first, end = span
        if self._body is not None:
            return await self._writer.send(status, headers, self._body[first:end])
        if end - first <= SMALL:
            return await self._writer.send(status, headers, await self._read(first, end))
        self._writer.start(status, None, headers, end - first)
        await self._send_piece(first, end)
        await self._writer.finish()

    async def _send_piece(self, first: int, end: int) -> None:
        if self._body is not None:
            self._writer.write(self._body[first:end])
        elif end - first <= SMALL:
            self._writer.write(await self._read(first, end))
            if not self._writer.has_room:
                await self._writer.wait(None)
        else:
            await self._send_opened(first, end)

    async def _send_opened(self, first: int, end: int) -> None:
        opened = self._opened
        assert opened is not None
        # Where all of it was in memory a moment ago, whether it is still there need not be asked each time.
        since, is_warm = monotonic(), disk.is_fresh(opened.warmed)
        await send_from_disk(self._writer, opened.fd, first, end, is_warm=is_warm)
        if not is_warm and first == 0 and end == self._file.size <= disk.WINDOW:
            opened.warmed = since

    async def _read(self, first: int, end: int) -> bytes:
        try:
            assert self._opened is not None
            data = await disk.read(self._opened.fd, end - first, first)
        except OSError as error:
            raise unreadable(error) from None
        if len(data) < end - first:
            # Length and validators promise what is not there. Never padded, never another file's bytes.
            raise _changed()
        return data


async def send_from_disk(
    writer: ResponseWriter,
    fd: int,
    first: int,
    end: int,
    lane: disk.Lane | None = None,
    *,
    is_warm: bool = False,
) -> None:
    """In stretches that are in memory before they are sent: sendfile would stop the loop for the disk.

    Raises HttpError file_changed where the file has become shorter, disk_slow where it does not come.
    """
    try:
        while first < end:
            count = min(end - first, disk.WINDOW)
            if is_warm or await disk.warm(fd, first, count, lane):
                since = monotonic()
                sent = await writer.send_file(fd, first, count)
                is_whole = sent == count or not disk.is_fresh(since)  # a slow client: from there, warm again
            else:
                sent = await _copy(writer, fd, first, count, lane)
                is_whole = sent == count
            if not is_whole:
                raise _changed()
            first += sent
            is_warm = False
    except OSError as error:
        raise unreadable(error) from None


async def _copy(writer: ResponseWriter, fd: int, first: int, count: int, lane: disk.Lane | None) -> int:
    """Where sendfile may wait for the disk, whatever was read before."""
    end = first + count
    while first < end:
        data = await disk.read(fd, min(end - first, disk.PIECE), first, lane)
        if not data:
            break
        writer.write(data)
        first += len(data)
        await writer.send_file(fd, first, 0)  # until the client has it: a backlog would go to the disk again
    return first - (end - count)


def unreadable(error: OSError) -> HttpError:
    if isinstance(error, disk.Crowded):
        return refuse("overloaded", f"A file cannot be read: {error.strerror}.")
    if isinstance(error, TimeoutError):
        return refuse("disk_slow")
    if error.errno in NO_ROOM:
        return refuse("overloaded", f"A file cannot be read: {error.strerror}.")
    return refuse("internal", f"A file cannot be read: {error.strerror}.")


def _changed() -> HttpError:
    return refuse("file_changed", "A file became shorter while it was being sent.")
