"""One response of PEP 3333: start_response, write, and what becomes of the iterable.

Owns the framing, the length that was promised, and that close() is called once. Knows no socket: bytes go
to a Link that sends them or says that the client has left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from trivet_backend.application import WsgiApplication
from trivet_backend.file_wrapper import FileWrapper, file_line, real_file
from trivet_backend.interrupt import Alarm, unwatched
from trivet_backend.said import ResponseError, judge_head
from trivet_common.http1.dates import date_now
from trivet_common.http1.framing import LAST_CHUNK, encode_chunk
from trivet_common.http1.reasons import REASONS
from trivet_common.http1.request import RequestHead

# Above this a copy of body and head into one buffer costs more than a second system call.
_JOINED = 64 * 1024
_WITHOUT_BODY = (204, 304)


class ClientLeft(ConnectionError):
    """Nobody takes the answer any more: the peer closed, or did not read for write_timeout."""


class Link(Protocol):
    """Where the bytes go. Both raise ClientLeft."""

    def send(self, data: bytes) -> None: ...
    def send_file(self, fd: int, offset: int, count: int, is_handed: bool) -> int: ...


class ErrorSink(Protocol):
    def error(self, text: str) -> None: ...
    def debug(self, text: str) -> None: ...


class Response:
    """The response to one request. `keep`: the connection may serve another afterwards."""

    __slots__ = (
        "_has_body", "_head", "_head_sent", "_is_chunked", "_is_claimed", "_is_ended",
        "_left", "_link", "_log", "_request", "_request_id", "_too_much", "alarm", "code", "is_broken",
        "iterable", "keep",
    )  # fmt: skip

    def __init__(
        self,
        link: Link,
        log: ErrorSink,
        request: RequestHead,
        request_id: str,
        keep: bool,
        is_claimed: bool,
        alarm: Alarm | None = None,
    ) -> None:
        # For the request.
        self._link = link
        self.alarm = alarm or _UNWATCHED
        self._log = log
        self._request = request
        self._request_id = request_id
        self._is_claimed = is_claimed
        self.keep = keep
        self.is_broken = False  # it was begun and will not be ended as it should be
        # For the response.
        self.iterable: Any = None
        self._head: str | None = None
        self._head_sent = False
        self._has_body = True
        self._left: int | None = None  # bytes of the content-length still to be sent
        self._is_chunked = False
        self._is_ended = False
        self._too_much = False
        self.code = 0

    def __repr__(self) -> str:
        return f"<Response {self.code} {'sent' if self._head_sent else 'not sent'} left={self._left}>"

    # ------------------------------------------------------------ what the application calls

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], None]:
        """start_response. Nothing is sent before the first piece of the body."""
        if exc_info is not None:
            try:
                if self._head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # the frame would hold itself in a cycle
        elif self._head is not None:
            raise ResponseError("start_response was called twice, without exc_info")
        self._head, self.code, self._left = judge_head(status, headers)
        self._has_body = self.code not in _WITHOUT_BODY and self._request.method != b"HEAD"
        return self.write

    def write(self, data: bytes, /) -> None:
        """The write callable of PEP 3333: sent before this returns."""
        if not isinstance(data, bytes):
            raise ResponseError(f"the body must be bytes, not {type(data).__name__}")
        if not data and self._head_sent:
            return
        # The clock stands while the client takes its time, and begins anew with the next piece.
        paused = self._pause()
        try:
            self._send_piece(data)
        finally:
            if paused >= 0:
                self.alarm.again()

    # ------------------------------------------------------------ what the slot calls

    def run(self, application: WsgiApplication, environ: dict[str, Any]) -> None:
        """Run the application and send what it returns. Raises what `send_all` raises."""
        self.iterable = application(environ, self.start)
        self.send_all(self.iterable)

    def send_all(self, iterable: Iterable[bytes]) -> None:
        """Send what the application returned, and the end. Raises ClientLeft, ResponseError and whatever
        the iterable raises."""
        kind = type(iterable)
        if iterable is None:
            raise ResponseError("the application returned None instead of the body's pieces")
        if (kind is list or kind is tuple) and len(iterable) == 1 and not self._head_sent:  # type: ignore[arg-type]
            self._pause()  # the application is through
            self._send_only(iterable[0])  # type: ignore[index]
            return
        if kind is FileWrapper and self._send_file(iterable):  # type: ignore[arg-type]
            return
        for piece in iterable:
            if piece or not isinstance(piece, bytes):
                self.write(piece)
                if not self._has_body or self._too_much:
                    break  # HEAD, 204, 304, or a body longer than it said: nobody would see the rest
        self._pause()
        self._finish()

    def fail(self, trace: str) -> None:
        """The application raised. Before the head: 500. After it: the client is cut off."""
        self.note(trace)
        if self._head_sent:
            self.keep = False
            self.is_broken = True
            return
        # The proxy puts its own page in place of this one, by the mark.
        mark = "trivet-why: app_error\r\n" if self._is_claimed else ""
        self._replace(
            500, f"Internal Server Error\r\n{mark}", b"The application failed; its error log says how.\n"
        )

    def expire(self) -> None:
        """The request is past its deadline. Before the head: 504. After it: the client is cut off."""
        self.keep = False
        if self._head_sent:
            self.is_broken = not self._is_ended
            return
        text = f"504 deadline: {REASONS['deadline'].meaning}\n"
        self._replace(504, "Gateway Timeout\r\ntrivet-why: deadline\r\n", text.encode())

    def abandon(self, left: OSError) -> None:
        """Nobody is there any more, or what they sent broke off: no fault of the application."""
        self._log.debug(f"{self._name()}: client_left: {left}")
        self.keep = False
        self.is_broken = True

    def note(self, text: str) -> None:
        self._log.error(f"{self._name()}: {text}")

    def close(self) -> None:
        """Call close() of what the application returned. Raises whatever that raises."""
        iterable, self.iterable = self.iterable, None
        if hasattr(iterable, "close"):
            iterable.close()

    def end(self) -> None:
        """A thread of the application that goes on writing would write into the next request's answer."""
        self._link, self.alarm = _NOBODY, _UNWATCHED

    # ------------------------------------------------------------ private

    def _pause(self) -> int:
        """What we send takes no time of the application's; and nothing of a late one is sent any more."""
        paused = self.alarm.pause()
        if self.alarm.is_late:
            raise ClientLeft("the request is past its deadline")
        return paused

    def _replace(self, code: int, reason_and_fields: str, body: bytes) -> None:
        """An answer of our own in place of one of which nothing was sent."""
        self.code = code
        self._head = f"HTTP/1.1 {code} {reason_and_fields}content-type: text/plain; charset=utf-8\r\n"
        self._left, self._has_body = None, self._request.method != b"HEAD"
        try:
            self._send_only(body)
        except ClientLeft:
            self.keep = False

    def _name(self) -> str:
        request = self._request
        return f"{request.method.decode('latin-1')} {request.target.decode('latin-1')} {self._request_id}"

    def _send_only(self, piece: bytes) -> None:
        """The whole body is at hand: it has a length, and one system call sends it with the head."""
        if not isinstance(piece, bytes):
            raise ResponseError(f"the body must be bytes, not {type(piece).__name__}")
        size = len(piece)
        if self._left is None and (self._has_body or (piece and self.code == 200)):
            self._left = size
        if size == self._left and size < _JOINED and self._has_body:  # nearly always
            self._link.send(self._complete_head() + piece)
            self._left, self._is_ended = 0, True
            return
        if piece:
            self._send_piece(piece)
        self._finish()

    def _send_piece(self, piece: bytes) -> None:
        if self._head_sent:
            if self._has_body:
                self._link.send(self._framed(piece))
            return
        head = self._complete_head()
        if not self._has_body:
            self._link.send(head)
        elif len(piece) < _JOINED:
            self._link.send(head + self._framed(piece))
        else:
            self._link.send(head)
            self._link.send(self._framed(piece))

    def _complete_head(self) -> bytes:
        """The head with the lines that are ours: length or coding, connection, date."""
        head = self._head
        if head is None:
            raise ResponseError("the application sent a body before it called start_response")
        if self._left is not None:
            if self.code != 204:
                head += f"content-length: {self._left}\r\n"
        elif self._has_body:
            if self._request.is_http10:
                self.keep = False  # RFC 9112, 6.3: the end of the connection is the end of the body
            else:
                self._is_chunked = True
                head += "transfer-encoding: chunked\r\n"
        if not self.keep:
            head += "connection: close\r\n"
        elif self._request.is_http10:
            head += "connection: keep-alive\r\n"
        if not self._is_claimed and "\r\ndate: " not in head:
            head += f"date: {date_now().decode('ascii')}\r\n"  # our proxy writes its own
        self._head_sent = True
        return (head + "\r\n").encode("latin-1")

    def _framed(self, piece: bytes) -> bytes:
        if self._is_chunked:
            return encode_chunk(piece)
        if self._left is not None:
            if len(piece) > self._left:
                piece = piece[: self._left]
                self._too_much = True
            self._left -= len(piece)
        return piece

    def _finish(self) -> None:
        """The end of the body; a length that was not kept means that the connection cannot be kept either."""
        if not self._head_sent:
            if self._left is None and self._has_body and self._head is not None:
                self._left = 0
            self._link.send(self._complete_head())
        elif self._is_chunked:
            self._link.send(LAST_CHUNK)
        self._is_ended = True
        if not self._has_body:
            return
        if self._too_much:
            self.keep = False
            self.note("the application sent more than its Content-Length; the rest was cut off")
        elif self._left:
            self.keep = False
            self.is_broken = True
            self._is_ended = False
            self.note(
                f"the application sent {self._left} bytes less than its Content-Length; the client is cut off"
            )

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Let the kernel send a real file; False when this one is none (or there is no body to send)."""
        if self._head is None or self._head_sent or not self._has_body:
            return False
        found = real_file(wrapper.filelike)
        if found is None:
            return False
        fd, offset, size = found
        if self._left is None:
            self._left = size
        count = min(size, self._left)
        self._pause()
        line = file_line(self._request, offset, count) if self._is_claimed and count == self._left else ""
        self._head += line
        self._link.send(self._complete_head())
        if count:
            self._left -= self._link.send_file(fd, offset, count, is_handed=bool(line))
        self._finish()
        return True


class _Nobody:
    """The link of a response that is over."""

    def send(self, data: bytes) -> None:
        raise ClientLeft("the request is over")

    def send_file(self, fd: int, offset: int, count: int, is_handed: bool) -> int:
        raise ClientLeft("the request is over")


_NOBODY = _Nobody()
_UNWATCHED = unwatched()
