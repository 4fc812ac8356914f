"""A sign of life of the masters, for health checks that other processes answer: one moment in a small file.

Written by the topmost master of a run while its loop turns and those of the masters below it do. Knows no
loop; a file without a moment is a run that gives no sign.
"""

import os
import time
from pathlib import Path

EVERY = 2.0  # seconds
# Long enough for a machine that swaps: an orchestrator kills what is not alive.
LONGEST = 10.0


def beat(path: Path) -> None:
    """Now. Never raises: on a full disk the moment before stays."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return
    try:
        os.pwrite(fd, b"%020d\n" % time.monotonic_ns(), 0)
    except OSError:
        pass
    finally:
        os.close(fd)


def is_beating(path: Path) -> bool:
    """False if the last sign was longer ago than LONGEST; a run that gives none is taken for alive."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return True
    try:
        text = os.pread(fd, 32, 0).strip()
    except OSError:
        return True
    finally:
        os.close(fd)
    return not text.isdigit() or time.monotonic_ns() - int(text) < LONGEST * 1e9
