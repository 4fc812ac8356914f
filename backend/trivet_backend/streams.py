"""What a worker's threads write: the error log they share, and what stands in for stdout and stderr.

Owns that lines of two threads do not mix. Knows no request.
"""

import io
import threading

from trivet_common.config import Settings
from trivet_common.logs import ErrorLog, LineStream


class WorkerLog(ErrorLog):
    """The error log of a process whose threads write to it at the same time."""

    __slots__ = ("_lock",)

    def __init__(self, settings: Settings, who: str) -> None:
        super().__init__(settings.log.error, who, settings.log.level)  # type: ignore[arg-type]
        # Reentrant: the collector may run in here, and a destructor of the application may print.
        self._lock = threading.RLock()

    def _log(self, level: str, text: str) -> None:
        with self._lock:
            super()._log(level, text)


class WorkerStream(io.TextIOBase):
    """sys.stdout or sys.stderr: print() writes a line in two parts, so each thread has its own."""

    def __init__(self, log: ErrorLog, level: str) -> None:
        self._log = log
        self._level = level
        self._own = threading.local()

    def __repr__(self) -> str:
        return f"<WorkerStream {self._level} to {self._log!r}>"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return self._lines().write(text)

    def end_line(self) -> None:
        """Log what this thread wrote without an end of line."""
        self._lines().end_line()

    def _lines(self) -> LineStream:
        lines: LineStream | None = getattr(self._own, "lines", None)
        if lines is None:
            lines = self._own.lines = LineStream(self._log, self._level)
        return lines
