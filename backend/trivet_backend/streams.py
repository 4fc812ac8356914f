"""What a worker's threads write: the error log they share, and what stands in for stdout and stderr.

Owns that lines of two threads do not mix. Knows no request.
"""

import io
import threading
from collections.abc import Callable

from trivet_backend.interrupt import of_this_thread
from trivet_common.config import Settings
from trivet_common.logs import ErrorLog

# A "line" without an end is cut there (characters) rather than kept for ever.
_LONGEST = 65536


class WorkerLog(ErrorLog):
    """The error log of a process whose threads write to it at the same time."""

    __slots__ = ("_lock",)

    def __init__(self, settings: Settings, who: str) -> None:
        super().__init__(settings.log.error, who, settings.log.level)  # type: ignore[arg-type]
        # Reentrant: the collector may run in here, and a destructor of the application may print.
        self._lock = threading.RLock()

    def begin_anew(self) -> None:
        """In a forked copy: a thread that is not there would hold the lock for ever."""
        self._lock = threading.RLock()
        self.forget_waiting()

    def reopen(self) -> None:
        with self._lock:
            super().reopen()

    def take(self, fd: int, path: str) -> None:
        with self._lock:
            super().take(fd, path)

    def _log(self, level: str, text: str) -> None:
        # What would interrupt the application waits until its line is written; others' lines are with it.
        alarm = of_this_thread()
        paused = -1 if alarm is None else alarm.pause()
        try:
            with self._lock:
                super()._log(level, text)
        finally:
            if alarm is not None:
                alarm.resume(paused)


class WorkerStream(io.TextIOBase):
    """sys.stdout or sys.stderr: `say` is given each whole line. print() writes one in two parts, so each
    thread has a line of its own."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._own = _Begun()

    def __repr__(self) -> str:
        return f"<WorkerStream to {self._say!r}>"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._own.line = (self._own.line + text).split("\n")
        for line in lines:
            self._say(line)
        if len(self._own.line) > _LONGEST:
            self.end_line()
        return len(text)

    def end_line(self) -> None:
        """Log what this thread wrote without an end of line, perhaps its last words."""
        if self._own.line:
            line, self._own.line = self._own.line, ""
            self._say(line)


class _Begun(threading.local):
    """A thread's line that has no end yet."""

    line = ""
