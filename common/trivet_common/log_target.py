"""Where log lines go: a file, a pipe, a terminal, a socket; none of them is ever waited for.

Owns opening, reopening and the bound on what waits. Knows no format.
"""

import errno
import os
import select
import socket
import stat
from enum import Enum, auto
from pathlib import Path
from typing import Literal

Target = Literal["stdout", "stderr"] | Path | None

# What may wait for a target that does not take it (a full disk, a pipe without a reader), in bytes.
_MOST_WAITING = 1024 * 1024
_WORTH_IT = 64 * 1024
# A write of at most PIPE_BUF bytes to a pipe that poll(2) calls writable does not block, and is not mixed
# with what other processes write to it (pipe(7)).
_PIPE_STEP = 4096


class _Kind(Enum):
    """What is behind a descriptor: each has its own way of not being waited for."""

    NONE = auto()
    FILE = auto()
    SOCKET = auto()  # systemd's journal
    OTHER = auto()  # a pipe, a terminal


class LogError(Exception):
    """A log file that cannot be opened; the text is one sentence."""


class LogTarget:
    """Where lines go. Lines are appended whole; what cannot be written is counted, never waited for."""

    __slots__ = ("_fd", "_is_stuck", "_kind", "_name", "_waiting", "_waiting_size", "lost")

    def __init__(self, target: Target) -> None:
        self._name = target
        self._fd = -1
        self._kind = _Kind.NONE
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._is_stuck = False
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
        # One that took nothing a moment ago is tried again each second, not with each line.
        return self._waiting_size >= _WORTH_IT and not self._is_stuck

    def flush(self) -> None:
        """Write what waits, as far as the target takes it at once."""
        # Taken out first: a destructor that runs in here and prints would find, and write, the same lines.
        waiting, self._waiting, self._waiting_size = self._waiting, [], 0
        if not waiting or self._fd < 0:
            return
        data = b"".join(waiting)
        written = self._write(data)
        self._is_stuck = written < len(data)
        if self._is_stuck:
            # The end of a line that was cut comes first when there is room again.
            self._waiting.insert(0, data[written:])
            self._waiting_size += len(data) - written

    def forget_waiting(self) -> None:
        """In a forked child: what waits is its parent's to write."""
        self._waiting, self._waiting_size = [], 0

    def reopen(self) -> None:
        """Open the file again under its name; if that fails the old one is kept. Raises LogError."""
        self.flush()
        if not isinstance(self._name, Path):
            return
        old = self._fd
        self._open()
        if old >= 0:
            os.close(old)

    def fileno(self) -> int:
        """-1 where nothing is open."""
        return self._fd

    @property
    def path(self) -> str:
        """ "" for what is no file."""
        return str(self._name) if isinstance(self._name, Path) else ""

    def take(self, fd: int, path: str) -> None:
        """This file, opened again by somebody who may open it; the descriptor is ours from here on.

        Raises LogError when it is not our file, and ours cannot be opened.
        """
        if path != self.path:
            os.close(fd)
            return self.reopen()
        self.flush()
        old, self._fd, self._kind = self._fd, fd, _kind(fd)
        if old >= 0:
            os.close(old)

    def close(self) -> None:
        self.flush()
        if isinstance(self._name, Path) and self._fd >= 0:
            os.close(self._fd)
        self._fd, self._kind = -1, _Kind.NONE

    def _open(self) -> None:
        if isinstance(self._name, Path):
            fd = _open_file(self._name)
        else:
            fd = {"stdout": 1, "stderr": 2, None: -1}[self._name]
        try:
            self._kind = _kind(fd)
            self._fd = fd
        except OSError:
            self._fd = -1  # started with a closed stdout

    def _write(self, data: bytes) -> int:
        """How much was written. A full disk, a reader that left or is slow: the rest is for the next time."""
        done = 0
        try:
            while done < len(data):
                step = data[done:] if self._kind is _Kind.FILE else _step(data, done)
                if self._kind is _Kind.SOCKET:
                    done += _send(self._fd, step)
                elif self._kind is _Kind.FILE or _is_writable(self._fd):
                    done += os.write(self._fd, step)
                else:
                    break
        except OSError:
            pass
        if self._kind is _Kind.FILE and 0 < done < len(data):
            done -= self._take_back(done - data.rfind(b"\n", 0, done) - 1)
        return done

    def _take_back(self, cut: int) -> int:
        """Cut the beginning of a line off a full disk's file: another process may write there next.

        How much that was; nothing if another process has written since.
        """
        try:
            end = os.lseek(self._fd, 0, os.SEEK_CUR)
            if not cut or os.fstat(self._fd).st_size != end:
                return 0
            os.ftruncate(self._fd, end - cut)
            return cut
        except OSError:
            return 0


def _open_file(path: Path) -> int:
    """Raises LogError."""
    # O_NONBLOCK: a FIFO without a reader is an error, not a stop; no effect on files.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    owners, whose = _who_may_put_it(path.parent)
    try:
        # Where others may write, a link would let them choose which of our files is written to, and a file
        # that was there before us would be read by whoever put it there.
        fd = os.open(path, flags | (os.O_NOFOLLOW if owners is not None else 0), 0o640)
    except OSError as error:
        reasons = {
            errno.ENXIO: "a pipe without a reader, or a socket",
            errno.ELOOP: f"a link, in a folder {whose}" if whose else "a link that leads to itself",
        }
        reason = reasons.get(error.errno or 0, error.strerror)
        raise LogError(f"{path}: cannot be opened for the log ({reason})") from error
    found = os.fstat(fd)
    if owners is not None and (found.st_uid not in owners or found.st_nlink > 1):
        os.close(fd)
        raise LogError(f"{path}: cannot be opened for the log (another user's, in a folder {whose})")
    return fd


def _who_may_put_it(folder: Path) -> tuple[set[int] | None, str]:
    """Whose file it may be, where others than we could have put it there; None where nobody could."""
    try:
        found = folder.stat()
    except OSError:
        return None, ""  # opening will say what is wrong
    ours = os.geteuid()
    if found.st_mode & stat.S_IWOTH:
        return {ours}, "anyone may write to"
    if ours == 0 and found.st_uid != 0:
        # The application's own folder of logs, in Debian's nginx (CVE-2016-1247): who owns it became root.
        return {0, found.st_uid}, "that is not root's"
    return None, ""


def _kind(fd: int) -> _Kind:
    if fd < 0:
        return _Kind.NONE
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return _Kind.FILE
    return _Kind.SOCKET if stat.S_ISSOCK(mode) else _Kind.OTHER


def _step(data: bytes, start: int) -> bytes:
    """Whole lines, as many as one write to a pipe may be; a part of a line only if it is longer than that."""
    step = data[start : start + _PIPE_STEP]
    return step[: step.rfind(b"\n") + 1] or step


def _send(fd: int, step: bytes) -> int:
    # MSG_DONTWAIT and not O_NONBLOCK: that would hold for everyone who shares this stdout.
    with socket.socket(fileno=os.dup(fd)) as sock:
        return sock.send(step, socket.MSG_DONTWAIT)


def _is_writable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(events & select.POLLOUT for _, events in poll.poll(0))
