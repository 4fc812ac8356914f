"""A fixed answer is what the file says, every time."""

from __future__ import annotations

import pytest

from trivet_common.config.settings import Respond
from trivet_proxy.handlers.respond import respond_handler


class FakeWriter:
    async def send(self, status, headers, body=b"", reason=None):
        self.sent = status, headers, body


TABLE = [
    (Respond(204, b"", None, ()), (204, [], b"")),
    (
        Respond(200, b"hi", "text/plain; charset=utf-8", ()),
        (200, [(b"content-type", b"text/plain; charset=utf-8")], b"hi"),
    ),
    (
        Respond(418, b"{}", "application/json", (("X-A", "1"), ("X-A", "2"))),
        (418, [(b"content-type", b"application/json"), (b"x-a", b"1"), (b"x-a", b"2")], b"{}"),
    ),
    (Respond(200, b"x", "text/plain", (("Content-Type", "a/b"),)), (200, [(b"content-type", b"a/b")], b"x")),
]


@pytest.mark.parametrize(("respond", "expected"), TABLE)
async def test_answers(respond, expected):
    handler = respond_handler(respond)
    for _ in range(2):
        writer = FakeWriter()
        await handler(object(), writer)
        assert writer.sent == expected
