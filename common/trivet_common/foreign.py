"""Descriptors that others hand us (SCM_RIGHTS): kept out, all seen, and closed where it may take long.

The last close(2) of a socket with SO_LINGER, or of a file of somebody's FUSE, returns when its owner pleases.
Knows no message and no loop.
"""

import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable

# What one message may carry (SCM_MAX_FD). With room for fewer the kernel closes the rest, in our context.
MOST = 253
_INT = struct.Struct("i")
_ROOM = socket.CMSG_LEN(MOST * _INT.size)
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
# Linux 6.16, asm-generic/socket.h: whoever sends descriptors to such a socket gets EPERM.
_PASS_RIGHTS = 83
_NO_LINGER = struct.pack("ii", 0, 0)

# Threads that may be stuck at once, and descriptors that may wait for one, before it is_full.
_THREADS = 4
_WAITING = 64

Start = Callable[[Callable[[], None]], object]


def refuse_descriptors(sock: socket.socket, is_refusing: bool = True) -> bool:
    """Let nobody send any, not even to where they would lie unread; False where the kernel cannot."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _PASS_RIGHTS, not is_refusing)
    except OSError:
        return False
    return True


def receive(sock: socket.socket, count: int) -> tuple[bytes, list[int], bool]:
    """Data, the descriptors that came with it, and whether some were lost because we had no room for them.

    socket.recv_fds ignores its flags: what it returns a program we start would inherit.
    """
    data, extra, flags, _ = sock.recvmsg(count, _ROOM, _CLOSE_ON_EXEC)
    fds = [
        fd
        for level, kind, piece in extra
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (fd,) in _INT.iter_unpack(piece[: len(piece) - len(piece) % _INT.size])
    ]
    return data, fds, bool(flags & socket.MSG_CTRUNC)


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


class Closer:
    """`close` returns at once. When it `is_full`, whoever sends such descriptors is asked for no more."""

    __slots__ = ("_lock", "_start", "_threads", "_waiting")

    def __init__(self, start: Start = _in_thread) -> None:
        """`start` runs something in a thread of its own."""
        self._start = start
        self._lock = threading.Lock()
        self._threads = 0
        self._waiting: deque[int] = deque()

    def __repr__(self) -> str:
        return f"<Closer {self._threads} threads, {len(self._waiting)} waiting>"

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= _WAITING

    def close(self, fd: int) -> None:
        with self._lock:
            self._waiting.append(fd)
            if self._threads >= _THREADS:
                return
            self._threads += 1
        try:
            self._start(self._run)
        except RuntimeError:  # no thread to be had: the next one takes it along
            with self._lock:
                self._threads -= 1

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                fd = self._waiting.popleft()
            _close(fd)


def _close(fd: int) -> None:
    """The sender may hold it too and set what it likes: this only makes it short where nobody is at war."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        pass  # no socket
    else:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        except OSError:
            pass
        sock.detach()
    try:
        os.close(fd)
    except OSError:
        pass
