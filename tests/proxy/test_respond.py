"""A fixed answer is what the file says, every time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from trivet_common.config.settings import Respond
from trivet_common.config.settings_errors import ErrorPage
from trivet_proxy.error_choice import ErrorChoice
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


async def test_a_bare_error_has_the_page_of_its_status():
    pages = ErrorChoice([ErrorPage(4, json='{"error": "{reason}", "id": "{request_id}"}')], lambda path: b"")
    request = SimpleNamespace(request_id="x1")

    async def said(respond):
        writer = FakeWriter()
        await respond_handler(respond, pages)(request, writer)
        return writer.sent

    status, headers, body = await said(Respond(404, b"", None, (("X-A", "1"),)))
    assert (status, body) == (404, b'{"error": "Not Found", "id": "x1"}\n')
    assert {(b"x-a", b"1"), (b"content-type", b"application/json")} <= set(headers)
    assert await said(Respond(503, b"", None, ())) == (503, [], b"")
    assert await said(Respond(204, b"", None, ())) == (204, [], b"")
    assert await said(Respond(404, b"no", "text/plain", ())) == (
        404,
        [(b"content-type", b"text/plain")],
        b"no",
    )
