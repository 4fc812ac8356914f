"""The gate for responses of upstreams and slots, and the writers of both kinds of head.

As strict as the gate for requests; every flaw is `upstream_bad`, told apart by its sentence. Knows no socket.
A head is always written from values, never from bytes received.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from . import grammar
from .collector import HeadCollector, count_clean_lines
from .cutting import OWS, Field, cut_response
from .errors import HttpError, Source
from .fields import NOT_NOMINATED
from .framing import Body, Chunked, Counted, NoBody, UntilClose
from .reasons import refuse
from .recent import Recent

LARGEST_HEAD = 64 * 1024  # bytes
_LINE_END = "A line of the answer's head does not end in CRLF."
_NOT_NOMINATED = NOT_NOMINATED | {b"", b"close", b"keep-alive"}
_JUDGED = frozenset({b"content-length", b"transfer-encoding", b"connection"})

# Heads judged before: an application gives most of its answers one of a few. Not with a cookie: that is for
# one client, once.
_known: "Recent[ResponseHead]" = Recent(256)
_LONGEST_KNOWN = 1024

STATUS_LINES: dict[int, bytes] = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode("ascii"))
    for status, phrase in [*((int(one), one.phrase) for one in HTTPStatus), (499, "Client Closed Request")]
}


class ResponseHead:
    """A response as its upstream meant it; header names are in lower case, values without outer space.

    It may be that of several responses, and is not changed once it is made.
    """

    __slots__ = (
        "chunked",
        "content_length",
        "found",
        "headers",
        "hop_by_hop",
        "is_http10",
        "keep_alive",
        "reason",
        "status",
    )

    def __init__(self, status: int, reason: bytes, is_http10: bool) -> None:
        self.status = status
        self.reason = reason
        self.is_http10 = is_http10
        self.headers: list[Field] = []
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = not is_http10
        self.hop_by_hop: frozenset[bytes] = frozenset()  # named by Connection
        # What was found out from it alone, by name, where it is expected to come again; else None.
        self.found: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status}, {len(self.headers)} fields>"

    def get(self, name: bytes) -> bytes | None:
        """The value of the first field of that (lower-case) name."""
        for found, value in self.headers:
            if found == name:
                return value
        return None


class ResponseReader:
    """The heads of one upstream connection, one after the other."""

    __slots__ = ("_collector",)

    def __init__(self, header_bytes: int = LARGEST_HEAD) -> None:
        self._collector = HeadCollector(header_bytes, _judge_first_byte, _judge_status_line)

    def __repr__(self) -> str:
        return f"<ResponseReader {self._collector!r}>"

    @property
    def is_empty(self) -> bool:
        """No byte of a head has come."""
        return self._collector.is_empty

    def feed(self, data: bytes | memoryview) -> ResponseHead | None:
        """The head once it is complete, else None; HttpError upstream_bad, and again on every later call."""
        try:
            head = self._collector.feed(data)
            return parse_response_head(head) if head is not None else None
        except HttpError as refused:
            self._collector.latch(refused)
            raise _as_bad(refused) from None

    def take_rest(self) -> bytes:
        """What followed the head: its body, or the next head after an interim one."""
        return self._collector.take_rest()


def parse_response_head(head: bytes) -> ResponseHead:
    """`head` ends with its empty line. Pure but for what it remembers; raises HttpError upstream_bad."""
    is_short = len(head) <= _LONGEST_KNOWN
    known = _known[head] if is_short else None
    if known is not None:
        return known
    response = _judge_status_line(head)
    lines = count_clean_lines(head)
    if lines < 0 and grammar.find_bare_line_end(head):
        raise _bad(_LINE_END)
    response.headers = cut_response(head)
    if len(response.headers) != lines - 2:
        raise _bad("The head of the answer is malformed.")
    _judge_fields(response)
    if is_short and b"\nset-cookie:" not in head.lower():
        response.found = {}
        _known.keep(head, response)
    return response


def body_framing(method: bytes, head: ResponseHead, limit: int | None = None) -> Body:
    """The decoder for the answer to `method` (RFC 9112, 6.3)."""
    if method == b"HEAD" or head.status < 200 or head.status == 204 or head.status == 304:
        return NoBody(Source.UPSTREAM)
    if head.chunked:
        return Chunked(limit=limit, source=Source.UPSTREAM)
    if head.content_length is not None:
        return Counted(head.content_length, limit=limit, source=Source.UPSTREAM)
    return UntilClose(Source.UPSTREAM)


def status_line(status: int, reason: bytes | None = None) -> bytes:
    """The ready line of a known status, unless another reason phrase is asked for."""
    if reason is None:
        ready = STATUS_LINES.get(status)
        if ready is not None:
            return ready
    return b"HTTP/1.1 %d %b\r\n" % (status, reason or b"")


def build_response_head(status: int, reason: bytes | None, headers: Iterable[Field]) -> bytes:
    """The bytes of a head, empty line included; ValueError when a value would split it."""
    lines = [b": ".join(field) for field in headers]
    head = status_line(status, reason) + b"\r\n".join([*lines, b"\r\n"])
    # The last line of defence against response splitting (CVE-2018-1000164): what is sent is what was meant.
    if head.count(b"\n") != len(lines) + 2 or head.count(b"\r") != len(lines) + 2:
        raise ValueError("a header holds CR or LF")
    return head


def _judge_first_byte(byte: int) -> None:
    if byte != 0x48:  # "H"
        raise _bad("The answer does not begin like HTTP.")


def _judge_status_line(line: bytes) -> ResponseHead:
    """The status line at the start of `line`."""
    found = grammar.match_status_line(line)
    if found is None:
        _judge_first_byte(line[0])
        raise _bad("The status line is malformed.")
    minor, status, reason = found.groups()
    return ResponseHead(int(status), (reason or b"").strip(OWS), minor == b"0")


def _judge_fields(response: ResponseHead) -> None:
    judged: dict[bytes, bytes] = {}
    for name, value in response.headers:
        if name in _JUDGED:
            if name in judged and name != b"connection":
                raise _bad(f"The answer has more than one {name.decode('ascii')} field.")
            judged[name] = judged[name] + b"," + value if name in judged else value
    if judged:
        _judge_connection(response, judged.get(b"connection"))
        _judge_framing(response, judged.get(b"content-length"), judged.get(b"transfer-encoding"))


def _judge_connection(response: ResponseHead, value: bytes | None) -> None:
    if value is None:
        return
    options = {option.strip(OWS) for option in value.lower().split(b",")}
    if b"close" in options:
        response.keep_alive = False
    elif b"keep-alive" in options:
        response.keep_alive = True
    response.hop_by_hop = frozenset(options - _NOT_NOMINATED)


def _judge_framing(response: ResponseHead, length: bytes | None, coding: bytes | None) -> None:
    """RFC 9112, 6.3, without its leniences: two framings in one answer are a desync waiting to happen."""
    if coding is not None:
        if length is not None:
            raise _bad("The answer has both Content-Length and Transfer-Encoding.")
        if response.is_http10 or coding.lower() != b"chunked":
            raise _bad("The answer's Transfer-Encoding is not exactly chunked.")
        response.chunked = True
    elif length is not None:
        if not length.isdigit() or len(length) > 19:
            raise _bad("The answer's Content-Length is not a number.")
        response.content_length = int(length)


def _bad(detail: str) -> HttpError:
    return refuse("upstream_bad", detail)


def _as_bad(refused: HttpError) -> HttpError:
    """What the collector refuses, in words that fit an answer."""
    return _bad(_LINE_END if refused.why in ("bad_head:bare_lf", "bad_head:bare_cr") else refused.detail)
