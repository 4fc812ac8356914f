"""A writer that keeps what was answered, and requests through the real gate."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import SimpleNamespace

from trivet_common.http1.errors import HttpError
from trivet_common.http1.request import HeadLimits, RequestHead, RequestReader
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.orders import Order


@dataclass
class FakeRequest:
    head: RequestHead
    order: Order | None = None
    asked: RequestHead = field(init=False)
    resources: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(deadlines=Deadlines()))

    def __post_init__(self) -> None:
        self.asked = self.head


@dataclass
class Sent:
    """`send_file` reads the file as sendfile does."""

    method: bytes = b"GET"
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    length: int | None = None
    body: bytes = b""
    sends: int = 0
    is_finished: bool = False
    problem: HttpError | None = None
    has_room = True
    shape = None

    async def send(self, status, headers, body=b"", reason=None):
        self.status, self.headers, self.length = status, dict(headers), len(body)
        self.body = b"" if self.method == b"HEAD" else body
        self.sends += 1
        self.is_finished = True

    async def send_ready(self, headers, head, body, status=200):
        await self.send(status, headers, body)

    def start_ready(self, headers, head, length, status=200):
        self.start(status, None, headers, length)

    def start(self, status, reason, headers, length):
        self.status, self.headers, self.length = status, dict(headers), length

    def write(self, piece):
        self.body += piece

    async def send_file(self, fd, offset, count):
        data = os.pread(fd, count, offset)
        self.body += data
        return len(data)

    async def finish(self):
        self.is_finished = True


def head_of(target: bytes, method: bytes = b"GET", headers: bytes = b"") -> RequestHead:
    reader = RequestReader(HeadLimits(32768, 100))
    head = reader.feed(method + b" " + target + b" HTTP/1.1\r\nhost: h\r\n" + headers + b"\r\n")
    assert head is not None
    return head


def request_of(method: bytes = b"GET", target: bytes = b"/", **fields: bytes) -> FakeRequest:
    lines = (name.replace("_", "-").encode() + b": " + value + b"\r\n" for name, value in fields.items())
    return FakeRequest(head_of(target, method, b"".join(lines)))


async def ask(handler, target: bytes, method: bytes = b"GET", headers: bytes = b"", order=None) -> Sent:
    """Through the real gate, as a client would; the gate's refusals count as answers."""
    sent = Sent(method)
    try:
        request = FakeRequest(head_of(target, method, headers), order)
        await handler(request, sent)
        if request.order is not order:
            sent.status = -1  # left to another
    except HttpError as error:
        sent.problem = error
        if not sent.status:
            sent.status, sent.headers = error.status, dict(error.headers)
    return sent
