"""ETag and Last-Modified of a file, and whether a client already has it (RFC 9110, 8.8 and 13).

Knows sizes, times and header values; opens nothing.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache

from trivet_common.http1.dates import format_date, parse_date

Header = tuple[bytes, bytes]

_ETAG = re.compile(rb'"([^"]*+)"')  # a W/ in front does not matter to the weak comparison of If-None-Match


class FileHeaders:
    """The headers of one state of one file, ready to be sent with 200 and with 304."""

    __slots__ = ("etag", "full", "last_modified", "mtime", "unchanged")

    def __init__(self, content_type: bytes, size: int, mtime_ns: int) -> None:
        self.mtime = mtime_ns // 1_000_000_000
        self.etag = b'"%x-%x"' % (size, mtime_ns)
        self.unchanged: list[Header] = [(b"etag", self.etag)]
        self.last_modified = b""
        # RFC 9110, 8.8.2.1: never later than the Date beside it.
        if 0 <= self.mtime <= time.time():
            self.last_modified = format_date(self.mtime)
            self.unchanged.append((b"last-modified", self.last_modified))
        self.full: list[Header] = [(b"content-type", content_type), *self.unchanged]

    def is_known_to(self, headers: list[Header]) -> bool:
        """Whether these request headers make the answer 304; If-None-Match, if there, decides alone."""
        since = None
        tags = None
        for name, value in headers:
            if name == b"if-none-match":
                tags = value if tags is None else tags + b"," + value
            elif name == b"if-modified-since":
                since = value
        if tags is not None:
            return self._matches(tags)
        return since is not None and self._is_unmodified_since(since)

    def _matches(self, tags: bytes) -> bool:
        if tags == self.etag or tags.strip() == b"*":
            return True
        return self.etag[1:-1] in _ETAG.findall(tags)

    def _is_unmodified_since(self, since: bytes) -> bool:
        if not self.last_modified:
            return False
        if since == self.last_modified:
            return True
        date = parse_date(since)
        # RFC 9110, 13.1.3: a date in the future says nothing but that the client's clock is wrong.
        return date is not None and self.mtime <= date <= time.time()


@lru_cache(maxsize=4096)  # a function of its arguments only: an entry cannot be out of date
def file_headers(content_type: bytes, size: int, mtime_ns: int) -> FileHeaders:
    return FileHeaders(content_type, size, mtime_ns)
