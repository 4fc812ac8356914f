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
from typing import TypeVar

from trivet_common.forking import fork

from .refusal import Refusal

Result = TypeVar("Result")
# Far above what a large configuration on a busy machine needs; a folder on a dead network mount may hang.
_LONGEST = 60.0
_EVERY = 1.0
_LARGEST = 64 * 1024 * 1024


def run_apart(work: Callable[[], Result], meanwhile: Callable[[], None] = lambda: None) -> Result:
    """What `work` returns or raises. Raises Refusal after a minute, and if the process died.

    `meanwhile` is called every second: the caller's loop stands still, and someone may watch it.
    """
    reading, writing = os.pipe()
    gc.freeze()  # the child's collections must not copy our pages
    pid = fork(lambda: _tell(work, writing), lambda trace: None)
    os.close(writing)
    try:
        told = _read(reading, meanwhile)
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


def _tell(work: Callable[[], object], writing: int) -> int:
    """In the child."""
    try:
        told = pickle.dumps((True, work()))
    except Exception as error:
        told = _pickled(error)
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(told)
    return 0


def _pickled(error: Exception) -> bytes:
    try:
        told = pickle.dumps((False, error))
        pickle.loads(told)
    except Exception:  # some exceptions cannot be made again from their arguments
        return pickle.dumps((False, RuntimeError(f"{type(error).__name__}: {error}")))
    return told


def _read(reading: int, meanwhile: Callable[[], None]) -> bytes:
    until = time.monotonic() + _LONGEST
    told = bytearray()
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while len(told) < _LARGEST:
        left = until - time.monotonic()
        if not poll.poll(max(0.0, min(left, _EVERY)) * 1000):
            if left <= _EVERY:
                raise Refusal(f"reading the configuration took longer than {_LONGEST:g} s")
            meanwhile()
            continue
        piece = os.read(reading, 65536)
        if not piece:
            break
        told += piece
    return bytes(told)
