"""`intercept: true`: an application's error is held back before any of it is sent, and becomes one of ours.

Owns which of its fields the page goes out with. Knows no page: which one it is, is error_choice.py's matter.
"""

from __future__ import annotations

from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import REASONS

from .error_choice import ErrorChoice
from .request import Request
from .route import Handler
from .shape import Headers
from .writer import ResponseWriter
from .writer_stage import WriterStage

INTERCEPTED = "intercepted"  # why=
# What tells the client what to do, whatever the page says: all else describes a body that is gone.
# Cookies are among them (nginx loses them): who is logged out by a 403 stays so.
_KEPT = frozenset(b"allow clear-site-data retry-after set-cookie www-authenticate".split())
_KEPT_PREFIX = b"access-control-"


class Interception(WriterStage):
    """Refuses to begin an answer that is to be replaced."""

    __slots__ = ("_choice",)

    def __init__(self, writer: ResponseWriter, choice: ErrorChoice) -> None:
        super().__init__(writer)
        self._choice = choice

    async def send(
        self, status: int, headers: Headers, body: bytes = b"", reason: bytes | None = None
    ) -> None:
        self._judge(status, headers)
        await self.next.send(status, headers, body, reason)

    def start(self, status: int, reason: bytes | None, headers: Headers, length: int | None) -> None:
        self._judge(status, headers)
        self.next.start(status, reason, headers, length)

    def _judge(self, status: int, headers: Headers) -> None:
        """Raises HttpError for what is to be replaced."""
        if self._choice.is_intercepted(status):
            kept = tuple(field for field in headers if field[0] in _KEPT or field[0].startswith(_KEPT_PREFIX))
            reason = REASONS[INTERCEPTED]
            raise HttpError(status, INTERCEPTED, reason.source, reason.meaning, headers=kept)


def intercepting(choice: ErrorChoice, inner: Handler) -> Handler:
    """`inner`: a pool's or an upstream's."""

    async def ask(request: Request, writer: ResponseWriter) -> None:
        await inner(request, Interception(writer, choice))

    return ask
