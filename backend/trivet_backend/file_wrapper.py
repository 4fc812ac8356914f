"""wsgi.file_wrapper, when a file behind it is one that the kernel can send, and when our proxy takes it.

Knows no response and no socket.
"""

import io
import os
import stat
import sys
from collections.abc import Iterator
from typing import Any

from trivet_common.http1.request import RequestHead
from trivet_common.pool.handover import SMALLEST


class FileWrapper:
    """wsgi.file_wrapper: an iterable over a file; a real one is sent by the kernel instead."""

    def __init__(self, filelike: Any, block_size: int = 65536) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __repr__(self) -> str:
        return f"<FileWrapper {self.filelike!r}>"

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.filelike.read(self.block_size):
            yield piece


def real_file(filelike: Any) -> tuple[int, int, int] | None:
    """Descriptor, position and size of a regular file; by exact type, because a GzipFile has a fileno too."""
    # Not imported for this: where nobody has, there is no such file.
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None and isinstance(filelike, tempfile._TemporaryFileWrapper):
        filelike = filelike.file
    kind = type(filelike)
    if kind is not io.FileIO and not (
        kind in (io.BufferedReader, io.BufferedRandom) and type(filelike.raw) is io.FileIO
    ):
        return None
    try:
        if kind is io.BufferedRandom:
            filelike.flush()
        fd, offset = filelike.fileno(), filelike.tell()
        info = os.fstat(fd)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(info.st_mode):
        return None
    return fd, offset, max(info.st_size - offset, 0)


def file_line(request: RequestHead, offset: int, count: int) -> str:
    """The line by which our proxy takes the open file itself, so that the slot is free at once.

    Empty where it has not said that it can, and where sending the bytes takes less than that.
    """
    if count < SMALLEST or request.get(b"trivet-takes") != b"file":
        return ""
    return f"trivet-file: {offset}\r\n"
