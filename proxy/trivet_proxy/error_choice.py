"""Which page an error of a route gets: one of the operator's own by status, then by class, else Trivet's.

Pages are read and cut up at load. What is put into them comes from tables and request ids, and is escaped all
the same. Knows no connection; HEAD and framing are the writer's.
"""

from __future__ import annotations

import errno
import html
import json
import os
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from trivet_common.config.settings_errors import LARGEST_PAGE, PAGE_PLACEHOLDERS, ErrorPage
from trivet_common.http1.errors import HttpError

from . import error_pages
from .content_types import content_type_of
from .error_pages import Header

if TYPE_CHECKING:
    from .request import Request

MAINTENANCE = "maintenance"  # why=

Read: TypeAlias = "Callable[[Path], bytes]"

_PLACEHOLDER = re.compile(r"\{(" + "|".join(PAGE_PLACEHOLDERS) + r")\}")
_WHOLE_STATUS = '"{status}"'
# RFC 9111, 4.2.2 lets caches keep a 404 by their own rule; this one may be gone in a second.
_NO_STORE: Header = (b"cache-control", b"no-store")
_NOSNIFF: Header = (b"x-content-type-options", b"nosniff")
_JSON = b"application/json"


class Page:
    """One page with what is to be put into it; bytes that are no text are left alone."""

    __slots__ = ("_escape", "_headers", "_parts")

    def __init__(self, body: bytes, content_type: bytes) -> None:
        bare = content_type.partition(b";")[0]
        self._headers: list[Header] = [(b"content-type", content_type), _NOSNIFF, _NO_STORE]
        self._escape = _escape_of(bare)
        text = body.decode("utf-8", "surrogateescape")
        if bare.endswith(b"json"):
            text = text.replace(_WHOLE_STATUS, "{status}")  # a number, where it is all there is of the text
        self._parts = _PLACEHOLDER.split(text) if self._escape is not None else [text]

    def __repr__(self) -> str:
        return f"<Page {self._headers[0][1].decode('latin-1')}, {len(self._parts) // 2} places>"

    def render(self, error: HttpError, request_id: str) -> tuple[list[Header], bytes]:
        """Headers and body; those that the error carries (Allow, Retry-After) are among them."""
        parts = self._parts
        if len(parts) > 1 and self._escape is not None:
            values = {
                "status": str(error.status),
                "reason": phrase_of(error.status),
                "why": error.why,
                "request_id": request_id,
            }
            parts = [self._escape(values[part]) if number % 2 else part for number, part in enumerate(parts)]
        return [*self._headers, *error.headers], "".join(parts).encode("utf-8", "surrogateescape")


class ErrorChoice:
    """Of a route, or of the site where no route matches."""

    __slots__ = ("_closed", "_intercepted", "_pages")

    def __init__(self, pages: Iterable[ErrorPage], read: Read, closed: Path | None = None) -> None:
        """`read` gives a page's bytes; `closed`: the page for maintenance. Raises OSError."""
        pages = list(pages)
        self._pages = {page.status: _compile(page, read) for page in pages}
        self._intercepted = {page.status: page.intercept for page in pages}
        self._closed = Page(read(closed), content_type_of(os.fsencode(closed.name))) if closed else None

    def __repr__(self) -> str:
        return f"<ErrorChoice {sorted(self._pages)}>"

    @property
    def does_intercept(self) -> bool:
        return any(self._intercepted.values())

    def is_intercepted(self, status: int) -> bool:
        """Whether an application's answer is to be replaced."""
        intercepted = self._intercepted
        return status >= 400 and intercepted.get(status, intercepted.get(status // 100, False))

    def page_for(self, error: HttpError) -> Page | None:
        """None: Trivet's own."""
        if error.why == MAINTENANCE and self._closed is not None:
            return self._closed
        pages, status = self._pages, error.status
        return pages[status] if status in pages else pages.get(status // 100)


def render_for(
    request: Request, error: HttpError, elsewhere: ErrorChoice | None
) -> tuple[list[Header], bytes]:
    """The answer to a request; `elsewhere` chooses where no route matches."""
    choice = request.route.errors if request.route is not None else elsewhere
    page = choice.page_for(error) if choice is not None else None
    if page is not None:
        return page.render(error, request.request_id)
    return error_pages.render(error, request.request_id, request.head.get(b"accept"))


def read_page(path: Path) -> bytes:
    """Raises OSError."""
    with open(path, "rb") as file:
        body = file.read(LARGEST_PAGE + 1)
    if len(body) > LARGEST_PAGE:
        raise OSError(errno.EFBIG, "it has become too large", os.fspath(path))
    return body


def phrase_of(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _compile(page: ErrorPage, read: Read) -> Page | None:
    if page.json is not None:
        return Page(page.json.encode("utf-8", "replace") + b"\n", _JSON)
    if page.file is not None:
        return Page(read(page.file), content_type_of(os.fsencode(page.file.name)))
    return None


def _escape_of(bare: bytes) -> Callable[[str], str] | None:
    """How a value is written in a page of this type; None: nothing is put into it."""
    if bare.endswith(b"json"):
        return lambda value: json.dumps(value)[1:-1]
    if bare in (b"text/html", b"text/xml") or bare.endswith(b"+xml"):
        return html.escape
    return str if bare.startswith(b"text/") else None
