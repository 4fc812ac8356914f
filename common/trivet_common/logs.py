"""Log files: a target that never blocks the loop, the error log, and the stream that stands in for stdout.

Owns opening, reopening, escaping and the bound on what waits. The access log's lines are in access_log.py.
"""

import errno
import io
import os
import select
import stat
import time
from pathlib import Path
from typing import Literal

Target = Literal["stdout", "stderr"] | Path | None

# What may wait for a target that does not take it (a full disk, a pipe without a reader), in bytes.
_MOST_WAITING = 1024 * 1024
# A write of at most PIPE_BUF bytes to a pipe that poll(2) calls writable does not block (pipe(7)).
_PIPE_STEP = 4096
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


class LogError(Exception):
    """A log file that cannot be opened; the text is one sentence."""


class LogTarget:
    """Where lines go. Lines are appended whole; what cannot be written is counted, never waited for."""

    __slots__ = ("_fd", "_is_file", "_name", "_waiting", "_waiting_size", "lost")

    def __init__(self, target: Target) -> None:
        self._name = target
        self._fd = -1
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self.lost = 0
        self._open()

    def __repr__(self) -> str:
        return f"<LogTarget {self._name} waiting={self._waiting_size} lost={self.lost}>"

    def add(self, line: bytes) -> bool:
        """Take a line (with its end). True when enough waits that a flush is worth it (64 KiB)."""
        if self._waiting_size > _MOST_WAITING:
            self.lost += 1
            return False
        self._waiting.append(line)
        self._waiting_size += len(line)
        return self._waiting_size >= 65536

    def flush(self) -> None:
        """Write what waits, as far as the target takes it at once."""
        if not self._waiting or self._fd < 0:
            self._waiting.clear()
            self._waiting_size = 0
            return
        data = b"".join(self._waiting)
        written = self._write(data)
        self._waiting = [data[written:]] if written < len(data) else []
        self._waiting_size = len(data) - written

    def reopen(self) -> None:
        """Open the file again under its name; if that fails the old one is kept. Raises LogError."""
        self.flush()
        if not isinstance(self._name, Path):
            return
        old = self._fd
        try:
            self._open()
        except LogError:
            self._fd = old
            raise
        os.close(old)

    def close(self) -> None:
        self.flush()
        if isinstance(self._name, Path):
            os.close(self._fd)
        self._fd = -1

    def _open(self) -> None:
        if isinstance(self._name, Path):
            # O_NONBLOCK: a FIFO without a reader is an error, not a stop; no effect on files.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            try:
                self._fd = os.open(self._name, flags, 0o640)
            except OSError as error:
                reason = "no reader" if error.errno == errno.ENXIO else error.strerror
                raise LogError(f"{self._name}: cannot be opened for the log ({reason})") from error
        else:
            self._fd = {"stdout": 1, "stderr": 2, None: -1}[self._name]
        try:
            self._is_file = self._fd >= 0 and stat.S_ISREG(os.fstat(self._fd).st_mode)
        except OSError:
            self._fd = -1  # started with a closed stdout

    def _write(self, data: bytes) -> int:
        done = 0
        view = memoryview(data)
        try:
            while done < len(data):
                if self._is_file:
                    done += os.write(self._fd, view[done:])
                elif _is_writable(self._fd):
                    done += os.write(self._fd, view[done : done + _PIPE_STEP])
                else:
                    break
        except BlockingIOError:
            pass
        except OSError:
            # A full disk or a reader that left: keep what fits the bound and try again with the next flush.
            pass
        return done


class ErrorLog:
    """One line an event: time, level, [who], text. Written at once; several processes append to one file."""

    __slots__ = ("_level", "_target", "who")

    def __init__(self, target: Target, who: str, level: str = "info") -> None:
        self._target = LogTarget(target)
        self._level = LEVELS[level]
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
        try:
            self._target.reopen()
        except LogError as error:
            self.error(str(error))

    def flush(self) -> None:
        """Try again with what a busy target did not take."""
        self._target.flush()

    def _log(self, level: str, text: str) -> None:
        if LEVELS[level] < self._level:
            return
        head = f"{_now()} {level} [{self.who} {os.getpid()}] "
        # A traceback is several events of one line each, so that every line says whose it is.
        for line in text.rstrip("\n").split("\n"):
            self._target.add((head + escape(line) + "\n").encode())
        self._target.flush()


class LineStream(io.TextIOBase):
    """Stands in for sys.stdout or sys.stderr of a worker: each line goes to the error log under its name."""

    def __init__(self, log: ErrorLog, level: str) -> None:
        self._log = log
        self._level = level
        self._part = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._part = (self._part + text).split("\n")
        for line in lines:
            self._log._log(self._level, line)
        if len(self._part) > 65536:  # a "line" without an end is cut rather than kept for ever
            self.end_line()
        return len(text)

    def end_line(self) -> None:
        """Log a line that has no end yet: what the application printed before it died."""
        if self._part:
            part, self._part = self._part, ""
            self._log._log(self._level, part)


def _is_writable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(events & select.POLLOUT for _, events in poll.poll(0))


def _now() -> str:
    now = time.time()
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"
