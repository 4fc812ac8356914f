"""A fixed answer, ready at load; of a bare status of an error the page that the route has for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trivet_common.config.settings import Respond
from trivet_common.http1.errors import HttpError, Source

from ..error_choice import ErrorChoice
from ..router import Handler

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter


def respond_handler(respond: Respond, pages: ErrorChoice | None = None) -> Handler:
    """Status, headers and body as the file says; HEAD and bodiless statuses are the writer's.

    `pages` are asked where it says an error's status and no body: nginx's `return 404` has its page, too.
    """
    status, body = respond.status, respond.body
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in respond.headers]
    if respond.type is not None and all(name != b"content-type" for name, _ in headers):
        headers.insert(0, (b"content-type", respond.type.encode("latin-1")))

    error = HttpError(status, "respond", Source.US)
    page = pages.page_for(error) if pages is not None and status >= 400 and respond.type is None else None

    async def answer(request: Request, writer: ResponseWriter) -> None:
        await writer.send(status, headers, body)

    async def answer_with_page(request: Request, writer: ResponseWriter) -> None:
        assert page is not None
        fields, text = page.render(error, request.request_id)
        await writer.send(status, [*headers, *fields], text)

    return answer if page is None else answer_with_page
