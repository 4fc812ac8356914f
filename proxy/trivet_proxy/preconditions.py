"""Whether a client already has a file, or wants it only unchanged: RFC 9110, 13, and If-Range.

Decides from header values alone, in the order of 13.2.2; opens and sends nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from enum import Enum

from trivet_common.http1.dates import parse_date
from trivet_common.http1.request import RequestHead

from .validators import FileHeaders, Header

Asked = Mapping[bytes, bytes]  # the fields this room looks at, by name

_LOOKED_AT = frozenset(b"if-match if-none-match if-modified-since if-unmodified-since if-range range".split())
_TAG = re.compile(rb'(W/)?"([^"]*+)"')


class Verdict(Enum):
    """What becomes of a GET or HEAD before its ranges are looked at."""

    SEND = 200
    UNCHANGED = 304
    FAILED = 412


def asked_in(head: RequestHead) -> Asked:
    """The conditional fields of a request."""
    found = head.found
    asked: Asked | None = found.get("asked") if found is not None else None
    if asked is None:
        asked = asked_of(head.headers)
        if found is not None:
            found["asked"] = asked
    return asked


def asked_of(headers: Iterable[Header]) -> Asked:
    """The conditional fields among these; one that came twice is joined, so that a date is none any more."""
    asked: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _LOOKED_AT:
            asked[name] = asked[name] + b", " + value if name in asked else value
    return asked


def judge(asked: Asked, file: FileHeaders) -> Verdict:
    """RFC 9110, 13.2.2, steps 1 to 4."""
    tags, since = asked.get(b"if-match"), asked.get(b"if-unmodified-since")
    if tags is not None:
        if not _matches_strongly(tags, file):
            return Verdict.FAILED
    elif since is not None and not _is_unmodified_since(since, file):
        return Verdict.FAILED
    tags, since = asked.get(b"if-none-match"), asked.get(b"if-modified-since")
    if tags is not None:
        return Verdict.UNCHANGED if _matches_weakly(tags, file) else Verdict.SEND
    if since is not None and _is_known_since(since, file):
        return Verdict.UNCHANGED
    return Verdict.SEND


def range_of(asked: Asked, file: FileHeaders) -> bytes | None:
    """The Range field, unless If-Range says that the client's other bytes are of another file (13.1.5)."""
    wanted, condition = asked.get(b"range"), asked.get(b"if-range")
    if wanted is None or condition is None or condition == file.etag:
        return wanted
    # A date stands for one state only if the second it names was over when the file got it (8.8.2.2).
    is_date = bool(file.last_modified) and condition == file.last_modified
    return wanted if is_date and time.time() >= file.mtime + 2 else None


def _matches_strongly(tags: bytes, file: FileHeaders) -> bool:
    return tags == b"*" or (b"", file.etag[1:-1]) in _TAG.findall(tags)


def _matches_weakly(tags: bytes, file: FileHeaders) -> bool:
    if tags == file.etag or tags == b"*":
        return True
    return any(tag == file.etag[1:-1] for _, tag in _TAG.findall(tags))


def _is_unmodified_since(since: bytes, file: FileHeaders) -> bool:
    date = parse_date(since)
    return date is None or not file.last_modified or file.mtime <= date


def _is_known_since(since: bytes, file: FileHeaders) -> bool:
    if not file.last_modified:
        return False
    if since == file.last_modified:
        return True
    date = parse_date(since)
    # RFC 9110, 13.1.3: a date in the future says nothing but that the client's clock is wrong.
    return date is not None and file.mtime <= date <= time.time()
