"""`compress: true`: texts leave in a content coding that the client takes (RFC 9110, 8.4 and 12.5.3).

Owns which answers, what their headers say then, and that no piece keeps others waiting. What was written goes
out at once: an event is seen when it happens. How bytes are packed is encoders.py's matter.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from time import monotonic

from trio.lowlevel import checkpoint

from trivet_common.http1.request import RequestHead

from . import disk
from .codings import acceptable
from .content_types import is_text
from .encoders import METHODS, Encoder, Method
from .request import Request
from .route import Handler
from .shape import Headers, Shape
from .validators import Header
from .wire import Wire
from .writer import ResponseWriter
from .writer_stage import WriterStage

# Less fits into a packet or two as it is.
SMALLEST = 1024
# What is packed at one go, in 2 ms at most with the slowest encoder; others have their turn after it. A piece
# that begins within a turn is packed with it: half of it would only wait in memory.
_TURN = 64 * 1024
# Of a whole body; a smaller one takes less time than all else about its request.
_WHOLE_TURN = 8 * 1024
# Bodies of files and fixed answers that are kept packed.
_KEPT = 8 * 1024 * 1024
_ORDER = tuple(method.coding for method in METHODS)
_BY_NAME = {method.coding.name: method for method in METHODS}
# Statuses whose body is none, or a part of another (RFC 9110, 15.3.7).
_LEFT_ALONE = frozenset({204, 205, 206, 304})
# Of the bytes as they were: ranges are of what is stored, digests (RFC 9530, 3230, 1864) of what is sent.
_UNTRUE = frozenset(b"accept-ranges content-encoding content-digest repr-digest digest content-md5".split())
_VARY: Header = (b"vary", b"accept-encoding")


class PackedBodies:
    """Small bodies that are sent again and again, by their bytes: nothing here is ever out of date.

    The bytes of a file are one object as long as the shelf has them, so that they are hashed once.
    """

    __slots__ = ("_bytes", "_found")

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[bytes, bytes], bytes] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<PackedBodies {len(self._found)}, {self._bytes} bytes>"

    def get(self, name: bytes, body: bytes) -> bytes | None:
        found = self._found.get((name, body))
        if found is not None:
            self._found.move_to_end((name, body))
        return found

    def keep(self, name: bytes, body: bytes, packed: bytes) -> None:
        self._found[name, body] = packed
        self._bytes += len(body) + len(packed)
        while self._bytes > _KEPT:
            (_, old), packed = self._found.popitem(last=False)
            self._bytes -= len(old) + len(packed)


def compressing(inner: Handler, largest: int | None = None, kept: PackedBodies | None = None) -> Handler:
    """`largest`: bytes of a body above which it stays as it is. `kept`: for bodies that come again."""

    async def answer(request: Request, writer: ResponseWriter) -> None:
        stage = Compression(writer, request.head, largest, kept)
        try:
            await inner(request, stage)
        finally:
            stage.let_go()

    return answer


class Compression(WriterStage):
    """Before the writer of one answer. The route's shape is applied here: what it adds counts as well."""

    __slots__ = ("_asked", "_encoder", "_kept", "_largest", "_left", "_method", "_spent", "_waiting", "shape")

    def __init__(
        self, writer: ResponseWriter, head: RequestHead, largest: int | None, kept: PackedBodies | None
    ) -> None:
        super().__init__(writer)
        self._asked = head
        self._largest = largest
        self._kept = kept
        self.shape: Shape | None = writer.shape
        writer.shape = None
        # For the answer.
        self._encoder: Encoder | None = None
        self._method: Method | None = None
        self._left: int | None = None  # of the length that was announced
        self._waiting: deque[memoryview] = deque()  # not packed yet
        self._spent = 0  # bytes packed since others had their turn

    def let_go(self) -> None:
        """The writer is somebody else's again, who has an error to tell perhaps."""
        self.next.shape = self.shape
        self._encoder = None
        self._waiting.clear()

    # A whole answer.

    async def send(
        self, status: int, headers: Headers, body: bytes = b"", reason: bytes | None = None
    ) -> None:
        fields = self._shaped(headers)
        method = self._choose(status, fields, len(body))
        if method is None:
            return await self.next.send(status, fields, body, reason)
        if len(body) > _TURN or self._asked.method == b"HEAD":
            self._begin(status, reason, fields, len(body), method)
            self.write(body)
            return await self.finish()
        packed = self._packed(method, body)
        if self._spent > _WHOLE_TURN:
            await checkpoint()  # a client that asks without a pause must not have the process to itself
        if len(packed) < len(body):
            await self.next.send(status, _recoded(fields, method), packed, reason)
        else:
            await self.next.send(status, fields, body, reason)

    async def send_ready(self, headers: Headers, head: bytes, body: bytes, status: int = 200) -> None:
        await self.send(status, headers, body)

    def start_ready(self, headers: Headers, head: bytes, length: int, status: int = 200) -> None:
        self.start(status, None, headers, length)

    def _packed(self, method: Method, body: bytes) -> bytes:
        kept, name = self._kept, method.coding.name
        packed = kept.get(name, body) if kept is not None else None
        if packed is None:
            packed = method.pack(body)
            self._spent = len(body)
            if kept is not None:
                kept.keep(name, body, packed)
        return packed

    # An answer in pieces.

    def start(self, status: int, reason: bytes | None, headers: Headers, length: int | None) -> None:
        fields = self._shaped(headers)
        self._begin(status, reason, fields, length, self._choose(status, fields, length))

    def _begin(
        self,
        status: int,
        reason: bytes | None,
        fields: list[Header],
        length: int | None,
        method: Method | None,
    ) -> None:
        if method is None:
            return self.next.start(status, reason, fields, length)
        self.next.start(status, reason, _recoded(fields, method), None)
        if self._asked.method != b"HEAD":
            self._left = length
            self._method = method

    def write(self, piece: bytes) -> None:
        """The next piece: packed at once, as far as that takes no time."""
        if self._method is None:
            return self.next.write(piece)
        left = self._left
        if left is not None:
            if len(piece) > left:
                piece = piece[:left]
                self.keep_alive = False
            self._left = left - len(piece)
        if piece:
            self._waiting.append(memoryview(piece))
            self._pack_some()

    @property
    def has_room(self) -> bool:
        return self._spent < _TURN and not self._waiting and self.next.has_room

    async def wait(self, upstream: Wire | None) -> None:
        await self._catch_up()
        await self.next.wait(upstream)

    async def send_file(self, fd: int, offset: int, count: int) -> int:
        """What sendfile would read is read: whoever calls has seen to it that it is in memory."""
        if self._method is None:
            return await self.next.send_file(fd, offset, count)
        since = monotonic()
        await self._catch_up()
        sent = 0
        while sent < count and disk.is_fresh(since):
            piece = os.pread(fd, min(count - sent, _TURN), offset + sent)
            if not piece:
                break
            self.write(piece)
            sent += len(piece)
            await self._catch_up()
        return sent

    async def finish(self) -> None:
        await self._catch_up()
        if self._method is not None:
            if self._left:
                return self.close_without_end()
            self.next.write(self._encoding().end())
        await self.next.finish()

    def take_back(self) -> bool:
        is_back = self.next.take_back()
        if is_back:
            self._encoder = self._method = self._left = None
            self._waiting.clear()
        return is_back

    # Private.

    async def _catch_up(self) -> None:
        """Pack all there is, a turn at a time, and no more than the client has room for."""
        while self._waiting or self._spent >= _TURN:
            await checkpoint()
            self._spent = 0
            while not self.next.has_room:
                await self.next.wait(None)
            self._pack_some()

    def _pack_some(self) -> None:
        waiting = self._waiting
        while waiting and self._spent < _TURN:
            piece = waiting[0]
            taken = piece[:_TURN]
            self.next.write(self._encoding().encode(taken))
            self._spent += len(taken)
            if len(taken) < len(piece):
                waiting[0] = piece[len(taken) :]
            else:
                waiting.popleft()

    def _encoding(self) -> Encoder:
        """Made with the first byte: what only began has cost nothing."""
        if self._encoder is None:
            assert self._method is not None
            self._encoder = self._method.start()
        return self._encoder

    def _shaped(self, headers: Headers) -> list[Header]:
        return list(headers if self.shape is None else self.shape(headers))

    def _choose(self, status: int, fields: list[Header], length: int | None) -> Method | None:
        """How to pack this answer; None: it goes as it is. Notes in `fields` what it depends on."""
        if status == 304:
            self._match_tag(fields)
            _note_variation(fields)
            return None
        if status < 200 or status in _LEFT_ALONE or not is_compressible(fields):
            return None
        largest = self._largest
        if length is not None and (length < SMALLEST or (largest is not None and length > largest)):
            return None
        _note_variation(fields)
        return choose_method(self._asked)

    def _match_tag(self, fields: list[Header]) -> None:
        """A 304 names the tag as the client has it (RFC 9111, 4.3.4): weak, if what it has was packed."""
        known = self._asked.get(b"if-none-match") or b""
        for place, (name, value) in enumerate(fields):
            if name == b"etag" and not value.startswith(b"W/") and b"W/" + value in known:
                fields[place] = name, b"W/" + value


def choose_method(head: RequestHead) -> Method | None:
    """What the client likes best, and of that what is best for us."""
    said = head.get(b"accept-encoding")
    if said is None or is_final(head.get(b"cache-control")):
        return None
    return next((_BY_NAME[coding.name] for coding in acceptable(said, _ORDER)), None)


def is_compressible(fields: list[Header]) -> bool:
    """A text, whole, in no coding, that whoever made it lets others change (RFC 9110, 7.7)."""
    is_of_text = False
    for name, value in fields:
        if name == b"content-type":
            is_of_text = is_text(value)
        elif name == b"content-encoding":
            if value.strip().lower() != b"identity":
                return False
        elif name == b"content-range" or (name == b"cache-control" and is_final(value)):
            return False
    return is_of_text


def is_final(cache_control: bytes | None) -> bool:
    """Cache-Control: no-transform (RFC 9111, 5.2.1.6 and 5.2.2.6)."""
    return cache_control is not None and b"no-transform" in cache_control.lower()


def _note_variation(fields: list[Header]) -> None:
    for name, value in fields:
        if name == b"vary" and (b"*" in value or b"accept-encoding" in value.lower()):
            return
    fields.append(_VARY)


def _recoded(fields: list[Header], method: Method) -> list[Header]:
    """The headers of the packed answer: another representation, whose bytes depend on the encoder's mood."""
    recoded = [
        (name, b"W/" + value) if name == b"etag" and not value.startswith(b"W/") else (name, value)
        for name, value in fields
        if name not in _UNTRUE
    ]
    recoded.append((b"content-encoding", method.coding.name))
    return recoded
