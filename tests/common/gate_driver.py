"""A server without sockets: feeds pieces to the gate as a connection would, and says what came of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.requests.corpus import Request
from trivet_common.http1.errors import HttpError, Source
from trivet_common.http1.framing import Body
from trivet_common.http1.request import (
    HeadLimits,
    RequestHead,
    RequestReader,
    body_framing,
    parse_request_head,
)

LIMITS = HeadLimits(32 * 1024, 100)
LARGEST_BODY = 64 * 1024 * 1024


@dataclass
class Verdict:
    """`ends`: after how many bytes each request was complete; `status` and `why` of the refusal, or 0, None;
    `is_waiting`: the connection ended amid a request."""

    requests: list[Request] = field(default_factory=list)
    names: list[set[bytes]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    status: int = 0
    why: str | None = None
    is_waiting: bool = False
    heads: list[RequestHead] = field(default_factory=list, compare=False)


def read(pieces: Iterable[bytes], *, at_eof: bool = True, limits: HeadLimits = LIMITS) -> Verdict:
    """What a server makes of a connection that sends these pieces and, `at_eof`, then ends."""
    connection = _Connection(limits)
    verdict = connection.verdict
    try:
        for piece in pieces:
            connection.feed(piece)
            if connection.is_closed:
                return verdict
        verdict.is_waiting = connection.is_amid_request
        if at_eof and connection.body is not None:
            connection.body.eof()
    except HttpError as refused:
        verdict.status, verdict.why = refused.status, refused.why
        verdict.is_waiting = False
    return verdict


def bytewise(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def two_pieces(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every split of short data; of long data the splits near its ends, near the limits, and some between."""
    size = len(data)
    if size <= 1500:
        points: Iterable[int] = range(1, size)
    else:
        limit = 32 * 1024
        marks = {
            *range(1, 120),
            *range(limit - 4, limit + 4),
            *range(size - 40, size),
            *range(0, size, size // 9),
        }
        points = sorted(mark for mark in marks if 0 < mark < size)
    return ((data[:at], data[at:]) for at in points)


def parse(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes | None = b"a.example") -> RequestHead:
    """A head of that request line and these fields, with a Host unless told otherwise."""
    lines = [line, *([b"Host: " + host] if host is not None else []), *fields, b"", b""]
    return parse_request_head(b"\r\n".join(lines), LIMITS)


def why(read: Callable[[], object]) -> str:
    """The reason for which a client is refused."""
    with pytest.raises(HttpError) as refused:
        read()
    assert refused.value.source is Source.CLIENT
    return refused.value.why


def feed_body(body: Body, *pieces: bytes) -> bytes:
    """The data of all pieces, as a connection would feed them; what follows the end stays in `rest`."""
    data = b""
    for piece in pieces:
        if body.is_complete:
            body.rest += piece
        else:
            data += body.feed(piece)
    return data


class _Connection:
    def __init__(self, limits: HeadLimits) -> None:
        self.verdict = Verdict()
        self.is_closed = False
        self.reader = RequestReader(limits)
        self.head: RequestHead | None = None
        self.body: Body | None = None
        self.received: list[bytes] = []
        self.fed = 0  # bytes, over all pieces

    @property
    def is_amid_request(self) -> bool:
        return self.body is not None or not self.reader.is_between_requests

    def feed(self, data: bytes) -> None:
        self.fed += len(data)
        while data and not self.is_closed:
            data = self._feed_head(data) if self.body is None else self._feed_body(self.body, data)

    def _feed_head(self, data: bytes) -> bytes:
        self.head = self.reader.feed(data)
        if self.head is None:
            return b""
        self.body = body_framing(self.head, LARGEST_BODY)
        rest = self.reader.take_rest()
        if self.body.is_complete:
            self._finish(self.head, rest)
        return rest

    def _feed_body(self, body: Body, data: bytes) -> bytes:
        assert self.head is not None
        self.received.append(body.feed(data))
        if body.is_complete:
            self._finish(self.head, body.rest)
        return body.rest

    def _finish(self, head: RequestHead, rest: bytes) -> None:
        self.verdict.requests.append(Request(head.method, head.target, b"".join(self.received)))
        self.verdict.ends.append(self.fed - len(rest))
        self.verdict.heads.append(head)
        self.verdict.names.append({name for name, _ in head.headers})
        self.body, self.received = None, []
        self.is_closed = not head.keep_alive
