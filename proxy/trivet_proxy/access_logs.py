"""The access logs of one configuration: the site's, and those that routes have for themselves.

Owns that each file is open once. Knows no format, and not what a line is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trivet_common.access_log import AccessLog
from trivet_common.log_target import LogError

if TYPE_CHECKING:
    from trivet_common.config import Settings


class AccessLogs:
    """`main` is None where the site's is off."""

    __slots__ = ("_by_file", "main")

    def __init__(
        self, main: AccessLog | None = None, by_file: dict[str | Path, AccessLog] | None = None
    ) -> None:
        self.main = main
        self._by_file = by_file or {}

    def __repr__(self) -> str:
        return f"<AccessLogs {self.main!r} and {len(self._by_file)} of routes, {self.lost} lines lost>"

    def __iter__(self) -> Iterator[AccessLog]:
        if self.main is not None:
            yield self.main
        yield from self._by_file.values()

    @property
    def lost(self) -> int:
        """Lines that could not be written and were dropped."""
        return sum(log.lost for log in self)

    def of(self, file: str | Path | None) -> AccessLog | None:
        """A route's; the site's where it has none, and for the last requests of a route that is gone."""
        return self.main if file is None else self._by_file.get(file, self.main)

    def flush(self, tell: Callable[[str], None]) -> None:
        """Once a second. `tell` hears of lines that were lost."""
        for log in self:
            log.flush()
            log.tell_lost(tell)

    def reopen(self, tell: Callable[[str], None]) -> None:
        """`tell` hears of what cannot be opened: its old file is kept."""
        for log in self:
            try:
                log.reopen()
            except LogError as error:
                tell(str(error))

    def close(self) -> None:
        for log in self:
            log.close()


def open_access_logs(settings: Settings) -> AccessLogs:
    """Raises LogError, and then nothing is open."""
    log = settings.log
    logs = AccessLogs()
    try:
        if log.access is not None:
            logs.main = AccessLog(log.access, log.format)  # type: ignore[arg-type]
        by_file = logs._by_file
        for file in settings.route_log_files:
            by_file[file] = AccessLog(file, log.format, title=str(file))  # type: ignore[arg-type]
    except LogError:
        logs.close()
        raise
    return logs
