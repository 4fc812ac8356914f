"""Runs a piece of work in a process of its own and brings back its result.

Reading a configuration imports pydantic and PyYAML: 6 MiB that every process forked later would carry, for
something that is needed once; and it may wait for a dead network mount. Knows nothing of what it runs.
"""

import gc
import os
import pickle
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import setproctitle

from trivet_common.forking import fork
from trivet_common.loop import Loop

from .refusal import Refusal

Result = TypeVar("Result")
# Far above what a large configuration on a busy machine needs; a folder on a dead network mount may hang.
_LONGEST = 60.0
_LARGEST = 64 * 1024 * 1024
_FIRST = 3  # after the standard streams


def run_apart(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises. Raises Refusal after a minute, and if the process died."""
    apart = Apart(work)
    until = time.monotonic() + _LONGEST
    poll = select.poll()
    poll.register(apart, select.POLLIN)
    try:
        while not apart.has_ended:
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                break
            apart.hear()
    finally:
        apart.close()
        os.waitid(os.P_PID, apart.pid, os.WEXITED)
    return apart.result()


def begin_apart(work: Callable[[], Result], loop: Loop, then: Callable[[Callable[[], Result]], None]) -> None:
    """The same while the loop turns: `then` is given what returns or raises the same. Raises OSError.

    The loop's owner reaps the process.
    """
    apart = Apart(work)

    def end() -> None:
        if not apart.is_closed:
            loop.unwatch(apart)
            apart.close()
            then(apart.result)

    def hear() -> None:
        apart.hear()
        if apart.has_ended:
            end()

    loop.watch(apart, hear)
    loop.call_later(_LONGEST, end)


class Apart(Generic[Result]):
    """One piece of work that has begun. Raises OSError where no process is left for it."""

    __slots__ = ("_process", "_socket", "_told", "has_ended", "is_closed", "pid")

    def __init__(self, work: Callable[[], Result]) -> None:
        self._socket, theirs = socket.socketpair()
        self._told = bytearray()
        self.has_ended = self.is_closed = False
        gc.freeze()  # the child's collections must not copy our pages
        try:
            self.pid = fork(lambda: _tell(work, theirs), lambda trace: None)
        except OSError:
            self._socket.close()
            raise
        finally:
            theirs.close()
        self._socket.setblocking(False)
        try:
            # When we end it its number may be another's: a master reaps whatever has ended.
            self._process = os.pidfd_open(self.pid)
        except OSError:
            os.kill(self.pid, signal.SIGKILL)
            self._socket.close()
            raise

    def __repr__(self) -> str:
        return f"<Apart {self.pid} told={len(self._told)}>"

    def fileno(self) -> int:
        return self._socket.fileno()

    def hear(self) -> None:
        """What it has said since, without waiting."""
        try:
            piece = self._socket.recv(1024 * 1024)
        except BlockingIOError:
            return
        except ConnectionError:
            piece = b""
        self._told += piece
        self.has_ended = not piece or len(self._told) > _LARGEST

    def close(self) -> None:
        """It has said all it had to say, or it is late."""
        self.is_closed = True
        try:
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.close(self._process)
        self._socket.close()

    def result(self) -> Result:
        """What the work returned, or raise what it raised."""
        if not self.has_ended:
            raise Refusal(f"reading the configuration took longer than {_LONGEST:g} s")
        if not self._told:
            raise Refusal("the process that reads the configuration ended without a word")
        # From our own child over an inherited socket: as trusted as our own memory.
        is_good, result = pickle.loads(self._told)
        if is_good:
            found: Result = result
            return found
        raise result


def _tell(work: Callable[[], object], ours: socket.socket) -> int:
    """In the child. It may hang where nothing can end it: it keeps no port and no end of our channels."""
    setproctitle.setproctitle("trivet: reading the configuration")  # not one more `serve` among what runs
    number = ours.fileno()
    os.closerange(_FIRST, number)
    os.closerange(number + 1, os.sysconf("SC_OPEN_MAX"))
    threading.Thread(target=_leave_with_parent, args=(ours,), daemon=True).start()
    try:
        told = pickle.dumps((True, work()))
    except Exception as error:
        told = _pickled(error)
    try:
        ours.sendall(told)
    except OSError:
        pass  # nobody waits for it any more
    return 0


def _leave_with_parent(ours: socket.socket) -> None:
    poll = select.poll()
    poll.register(ours, 0)  # its end alone
    poll.poll()
    os._exit(1)


def _pickled(error: Exception) -> bytes:
    try:
        told = pickle.dumps((False, error))
        pickle.loads(told)
    except Exception:  # some exceptions cannot be made again from their arguments
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return told
