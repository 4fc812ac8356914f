"""A fixed answer, ready at load. Knows nothing of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trivet_common.config.settings import Respond

from ..router import Handler

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter


def respond_handler(respond: Respond) -> Handler:
    """Status, headers and body as the file says; HEAD and bodiless statuses are the writer's."""
    status, body = respond.status, respond.body
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in respond.headers]
    if respond.type is not None and all(name != b"content-type" for name, _ in headers):
        headers.insert(0, (b"content-type", respond.type.encode("latin-1")))

    async def answer(request: Request, writer: ResponseWriter) -> None:
        await writer.send(status, headers, body)

    return answer
