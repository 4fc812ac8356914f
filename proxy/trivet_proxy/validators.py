"""The headers of one state of one file: type, ETag, Last-Modified, and what its route adds.

Knows sizes, times and header values; opens nothing, judges nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from trivet_common.http1.dates import format_date

Header = tuple[bytes, bytes]

# What a 304 must repeat of the 200 that it stands for (RFC 9110, 15.4.5), as far as we ever send it.
_IN_UNCHANGED = frozenset(
    b"etag last-modified cache-control vary expires content-location set-cookie".split()
)
_ACCEPTS = (b"accept-ranges", b"bytes")
# 1980-01-03. Builds that are to be reproducible give all files one time, of the beginning of Unix or of zip:
# it is the same for the next build's other content.
_TELLING = 315_705_600


class FileHeaders:
    """Ready to be sent with 200 (`full`) and with 304 (`unchanged`)."""

    __slots__ = ("content_type", "etag", "full", "last_modified", "mtime", "size", "unchanged")

    def __init__(
        self,
        content_type: bytes,
        size: int,
        mtime_ns: int,
        extra: Sequence[Header] = (),
        coding: bytes = b"",
        ctime_ns: int = 0,
    ) -> None:
        """`extra`: what the route says about the name; `coding`: the file's content coding, if it has one."""
        self.content_type = content_type
        self.size = size
        self.mtime = mtime_ns // 1_000_000_000
        is_telling = self.mtime >= _TELLING
        # The coding too: two siblings may be of one size and time.
        self.etag = b'"%x-%x%b%b"' % (
            size,
            mtime_ns,
            b"" if is_telling else b"-%x" % ctime_ns,
            b"-" + coding if coding else b"",
        )
        self.last_modified = b""
        validators = [(b"etag", self.etag)]
        # RFC 9110, 8.8.2.1: never later than the Date beside it.
        if is_telling and self.mtime <= time.time():
            self.last_modified = format_date(self.mtime)
            validators.append((b"last-modified", self.last_modified))
        self.full: list[Header] = [(b"content-type", content_type), *validators, _ACCEPTS, *extra]
        if coding:
            self.full.insert(1, (b"content-encoding", coding))
        self.unchanged = unchanged_of(self.full)

    def __repr__(self) -> str:
        return f"<FileHeaders {self.etag.decode()} {self.content_type.decode()}>"


def unchanged_of(full: Sequence[Header]) -> list[Header]:
    """The headers of a 304 that stands for a 200 with these."""
    return [field for field in full if field[0] in _IN_UNCHANGED]
