"""The error log; what makes a text safe in a log line.

Knows nothing of what is behind the target (log_target.py). The access log's lines are in access_log.py.
"""

import os
import time
from itertools import takewhile

from trivet_common.log_target import LogError, LogTarget, Target

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

# C0, DEL and C1 would let a logged text start a new line or drive the operator's terminal (CVE-2009-4487);
# U+2028/2029 are lines to some readers.
_ESCAPES = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)]}
_ESCAPES |= {0x2028: "\\u2028", 0x2029: "\\u2029"}


def escape(text: str) -> str:
    """`text` without control characters and lone surrogates: safe as a part of one log line."""
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_ESCAPES).encode("utf-8", "backslashreplace").decode()


def without_trace(problem: str) -> str:
    """A problem's sentence and hint. Its traceback stands in the log once already, from where it happened."""
    lines = problem.split("\n")
    return "\n".join(takewhile(lambda line: not line.startswith(("Traceback (", '  File "')), lines))


class ErrorLog:
    """One line an event: time, level, [who], text. Written at once; several processes append to one file."""

    __slots__ = ("_level", "_target", "_told_lost", "who")

    def __init__(self, target: Target, who: str, level: str = "info") -> None:
        self._target = LogTarget(target)
        self._level = LEVELS[level]
        self._told_lost = 0
        self.who = who

    def __repr__(self) -> str:
        return f"<ErrorLog {self.who} {self._target!r}>"

    def debug(self, text: str) -> None:
        self._log("debug", text)

    def info(self, text: str) -> None:
        self._log("info", text)

    def warning(self, text: str) -> None:
        self._log("warning", text)

    def error(self, text: str) -> None:
        self._log("error", text)

    def reopen(self) -> None:
        """One that cannot be opened again goes on into the old file, and says so there."""
        try:
            self._target.reopen()
        except LogError as error:
            self.error(str(error))

    def fileno(self) -> int:
        """Of what is written to; -1 where nothing is open."""
        return self._target.fileno()

    @property
    def path(self) -> str:
        """ "" for a log that is no file."""
        return self._target.path

    def take(self, fd: int, path: str) -> None:
        """Like `reopen`, for who may not: this file's descriptor, opened by somebody else, is ours then."""
        try:
            self._target.take(fd, path)
        except LogError as error:
            self.error(str(error))

    def flush(self) -> None:
        """Try again with what a busy target did not take."""
        self._target.flush()

    def forget_waiting(self) -> None:
        """In a forked child: what waits is its parent's to write."""
        self._target.forget_waiting()

    def _log(self, level: str, text: str) -> None:
        if LEVELS[level] < self._level:
            return
        lost = self._target.lost
        self._add(level, text)
        self._target.flush()
        if self._target.lost == lost > self._told_lost:
            self._told_lost = lost
            self._add("warning", f"{lost} lines of this process could not be written so far")
            self._target.flush()

    def _add(self, level: str, text: str) -> None:
        head = f"{_now()} {level} [{self.who} {os.getpid()}] "
        # A traceback is several events of one line each, so that every line says whose it is.
        for line in text.rstrip("\n").split("\n"):
            self._target.add((head + escape(line) + "\n").encode())


def _now() -> str:
    now = time.time()
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"
