"""`server_timing: true`: the browser is told how long a request waited, and how long its application took.

A kind of exchange that is chosen when the file is loaded: a pool without it does not know of it. The field is
W3C Server Timing's (4: metrics are separated by commas; dur is in milliseconds).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .exchange import Exchange

if TYPE_CHECKING:
    from ..request import Request
    from ..shape import Headers, Shape
    from ..writer import ResponseWriter
    from .pool import PoolDispatch
    from .slots import SlotLink


class TimedExchange(Exchange):
    """Says it in every answer whose request was given a slot, our own 504 included."""

    __slots__ = ("_shape",)

    def __init__(self, dispatch: PoolDispatch, request: Request, writer: ResponseWriter) -> None:
        super().__init__(dispatch, request, writer)
        self._shape = writer.shape  # the route's

    def begin(self, link: SlotLink) -> None:
        self._writer.shape = _timed(self._shape, self._request.record.queued, time.monotonic())
        super().begin(link)


def _timed(shape: Shape | None, queued: float, claimed: float) -> Shape:
    """`shape`, and the times up to the moment in which the head is made. All in seconds."""

    def add_times(headers: Headers) -> Headers:
        said = b"queue;dur=%.1f, app;dur=%.1f" % (queued * 1000, (time.monotonic() - claimed) * 1000)
        # A line of its own: RFC 9110, 5.3 joins it to those of the application.
        return [*(headers if shape is None else shape(headers)), (b"server-timing", said)]

    return add_times
