"""`maintenance`: 503 to all but a few while there is a certain file.

Whether it is there is looked at once a second at most, for all routes that name it together. What is answered
is error_choice.py's matter.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from trivet_common.config.settings_errors import Maintenance
from trivet_common.http1.reasons import refuse

from ..networks import Networks
from ..request import Request
from ..route import Handler
from ..writer import ResponseWriter

_LOOK_AGAIN = 1.0  # seconds


class Flag:
    """A file that says something by being there."""

    __slots__ = ("_is_up", "_look_at", "_path")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_up = False
        self._look_at = 0.0

    def __repr__(self) -> str:
        return f"<Flag {self._path} {'up' if self._is_up else 'down'}>"

    def is_up(self) -> bool:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_AGAIN
            self._is_up = os.path.exists(self._path)
        return self._is_up


def maintenance_gate(maintenance: Maintenance, flag: Flag, inner: Handler) -> Handler:
    seconds = maintenance.retry_after
    headers = ((b"retry-after", b"%d" % max(round(seconds), 1)),) if seconds is not None else ()
    let_in = Networks(maintenance.except_) if maintenance.except_ is not None else None

    async def let_through_or_refuse(request: Request, writer: ResponseWriter) -> None:
        if flag.is_up() and (let_in is None or not let_in.has(request.client.address)):
            raise refuse("maintenance", headers=headers)
        await inner(request, writer)

    return let_through_or_refuse
