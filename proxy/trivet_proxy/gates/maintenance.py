"""`maintenance`: 503 to all but a few while there is a certain file.

Whether it is there is looked at once a second at most, for all routes that name it together, and in a thread:
a mount that hangs must not take the site with it. What is answered is error_choice.py's matter.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import trio

from trivet_common.config.settings_errors import Maintenance
from trivet_common.http1.reasons import refuse

from ..networks import Networks
from ..request import Request
from ..route import Handler
from ..writer import ResponseWriter

_LOOK_AGAIN = 1.0  # seconds
_PATIENCE = 1.0  # of the one request that looks


class Flag:
    """A file that says something by being there. What cannot be looked at is as it was last."""

    __slots__ = ("_is_known", "_is_looking", "_look_at", "_path", "_problem", "_reader", "_warn", "is_up")

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self.is_up = False
        self._look_at = 0.0
        self._is_looking = False
        self._is_known = False
        self._problem = ""
        self._reader = trio.CapacityLimiter(1)  # a disk that hangs holds up one thread

    def __repr__(self) -> str:
        return f"<Flag {self._path} {'up' if self.is_up else 'down'}>"

    @property
    def is_due(self) -> bool:
        """The first look is waited for by all: after a reload nobody slips in beside it."""
        return not self._is_known or (time.monotonic() >= self._look_at and not self._is_looking)

    async def look(self) -> None:
        self._is_looking = True
        problem = "the disk does not answer"
        try:
            with trio.move_on_after(_PATIENCE):
                self.is_up = await trio.to_thread.run_sync(
                    _is_there, self._path, limiter=self._reader, abandon_on_cancel=True
                )
                problem = ""
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be had
            problem = getattr(error, "strerror", None) or str(error)
        finally:
            self._is_looking = False
            self._look_at = time.monotonic() + _LOOK_AGAIN
        self._is_known = True
        if problem and problem != self._problem:
            state = "closed" if self.is_up else "open"
            self._warn(f"maintenance: {self._path} cannot be looked at ({problem}): its routes stay {state}")
        self._problem = problem


def _is_there(path: Path) -> bool:
    """Raises OSError where that cannot be told: what may not be seen is not missing."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def maintenance_gate(maintenance: Maintenance, flag: Flag, inner: Handler) -> Handler:
    seconds = maintenance.retry_after
    headers = ((b"retry-after", b"%d" % max(round(seconds), 1)),) if seconds is not None else ()
    let_in = Networks(maintenance.except_) if maintenance.except_ is not None else None

    async def let_through_or_refuse(request: Request, writer: ResponseWriter) -> None:
        if flag.is_due:
            await flag.look()
        if flag.is_up and (let_in is None or not let_in.has(request.client.address)):
            raise refuse("maintenance", headers=headers)
        await inner(request, writer)

    return let_through_or_refuse
