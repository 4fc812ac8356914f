"""A writer in front of a writer: passes everything on. What stands between it and a handler extends it.

Owns nothing but the writer behind it; made for one answer, by a route that asks for it.
"""

from __future__ import annotations

from trivet_common.http1.response import STATUS_LINES

from .shape import Headers, Shape
from .wire import Wire
from .writer import ResponseWriter

_CONTINUE = STATUS_LINES[100] + b"\r\n"


class WriterStage(ResponseWriter):
    """To a handler it is the writer. `next` is the one behind it."""

    __slots__ = ("next",)

    def __init__(self, writer: ResponseWriter) -> None:
        # Not the writer's own: all it has is that of the one behind.
        self.next = writer

    def __repr__(self) -> str:
        return f"<{type(self).__name__} before {self.next!r}>"

    # What handlers read and set.

    @property
    def wire(self) -> Wire:  # type: ignore[override]
        return self.next.wire

    @property
    def started(self) -> bool:  # type: ignore[override]
        return self.next.started

    @property
    def finished(self) -> bool:  # type: ignore[override]
        return self.next.finished

    @property
    def status(self) -> int:  # type: ignore[override]
        return self.next.status

    @property
    def keep_alive(self) -> bool:
        return self.next.keep_alive

    @keep_alive.setter
    def keep_alive(self, value: bool) -> None:
        self.next.keep_alive = value

    @property
    def sent(self) -> int:
        return self.next.sent

    @sent.setter
    def sent(self, value: int) -> None:
        self.next.sent = value

    @property
    def shape(self) -> Shape | None:
        return self.next.shape

    @shape.setter
    def shape(self, value: Shape | None) -> None:
        self.next.shape = value

    @property
    def last_chunk(self) -> bytes:
        return self.next.last_chunk

    @last_chunk.setter
    def last_chunk(self, value: bytes) -> None:
        self.next.last_chunk = value

    # What they do.

    async def send(
        self, status: int, headers: Headers, body: bytes = b"", reason: bytes | None = None
    ) -> None:
        await self.next.send(status, headers, body, reason)

    async def send_ready(self, headers: Headers, head: bytes, body: bytes, status: int = 200) -> None:
        await self.next.send_ready(headers, head, body, status)

    def start(self, status: int, reason: bytes | None, headers: Headers, length: int | None) -> None:
        self.next.start(status, reason, headers, length)

    def start_ready(self, headers: Headers, head: bytes, length: int, status: int = 200) -> None:
        self.next.start_ready(headers, head, length, status)

    def write(self, piece: bytes) -> None:
        self.next.write(piece)

    @property
    def has_room(self) -> bool:
        return self.next.has_room

    async def wait(self, upstream: Wire | None) -> None:
        await self.next.wait(upstream)

    async def send_file(self, fd: int, offset: int, count: int) -> int:
        return await self.next.send_file(fd, offset, count)

    async def finish(self) -> None:
        await self.next.finish()

    def close_without_end(self) -> None:
        self.next.close_without_end()

    def take_back(self) -> bool:
        return self.next.take_back()

    def is_gone(self) -> bool:
        return self.next.is_gone()

    def interim(self, head: bytes = _CONTINUE) -> None:
        self.next.interim(head)

    async def switch(self, head: bytes, rest: bytes) -> None:
        await self.next.switch(head, rest)

    def close(self) -> None:
        self.next.close()
