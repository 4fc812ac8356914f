"""Runs a piece of work in a process of its own and brings back its result.

Reading a configuration imports pydantic and PyYAML: 6 MiB that every process forked later would carry, for
something that is needed once. Knows nothing of what it runs.
"""

import gc
import os
import pickle
import select
import signal
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

from .refusal import Refusal

Result = TypeVar("Result")
# Far above what a large configuration on a busy machine needs; a folder on a dead network mount may hang.
_LONGEST = 60.0
_LARGEST = 64 * 1024 * 1024
_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGCHLD,
)


def run_apart(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises. Raises Refusal after a minute, and if the process died."""
    reading, writing = os.pipe()
    gc.freeze()  # the child's collections must not copy our pages
    # Signals wait while there are two of us: one to the whole group must not reach our loop twice.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _work_and_tell(work, writing, mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.close(writing)
    try:
        told = _read(reading)
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)  # it has said all it had to say, or it is late
        os.waitpid(pid, 0)
    if not told:
        raise Refusal("the process that reads the configuration ended without a word")
    # From our own child over an inherited pipe: as trusted as our own memory.
    is_good, result = pickle.loads(told)
    if is_good:
        found: Result = result
        return found
    raise result


def _work_and_tell(work: Callable[[], object], writing: int, mask: set[int | signal.Signals]) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for signum in _SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            told = pickle.dumps((True, work()))
        except Exception as error:
            told = _pickled(error)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(told)
    finally:
        os._exit(0)


def _pickled(error: Exception) -> bytes:
    try:
        told = pickle.dumps((False, error))
        pickle.loads(told)
    except Exception:  # some exceptions cannot be made again from their arguments
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return told


def _read(reading: int) -> bytes:
    until = time.monotonic() + _LONGEST
    told = bytearray()
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while len(told) < _LARGEST:
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise Refusal(f"reading the configuration took longer than {_LONGEST:g} s")
        piece = os.read(reading, 65536)
        if not piece:
            break
        told += piece
    return bytes(told)
