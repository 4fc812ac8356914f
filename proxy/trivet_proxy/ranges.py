"""Which bytes of a file a Range field asks for (RFC 9110, 14), and the parts of a multipart answer.

Knows sizes and header values; opens nothing. Never more bytes than the file has, never more than a few dozen
parts (CVE-2011-3192, CVE-2024-26141).
"""

from __future__ import annotations

import os
import re

Span = tuple[int, int]  # the first byte, and the one behind the last

# A viewer of large documents asks for a handful; who asks for more gets the whole file.
MOST = 50
# About what a part costs beside its bytes: a smaller gap is sent with its neighbours (RFC 9110, 15.3.7.2).
_GAP = 100

_UNIT = re.compile(rb"bytes=", re.IGNORECASE)
# 20 digits hold any size there is; more would only be work to read.
_SPEC = re.compile(rb"(?:(?P<first>\d{1,20})-(?P<last>\d{0,20})|-(?P<suffix>\d{1,20}))")


def select(field: bytes, size: int) -> list[Span] | None:
    """The spans to send, in the order asked for; [] if none lies in the file, None to send the whole file."""
    unit = _UNIT.match(field)
    if unit is None:
        return None
    specs = [spec for spec in map(_strip, field[unit.end() :].split(b",", MOST)) if spec]
    if not specs or len(specs) > MOST:
        return None
    spans = []
    for spec in specs:
        found = _SPEC.fullmatch(spec)
        if found is None:
            return None
        first, last, suffix = found.groups()
        if suffix is not None:
            if not size and int(suffix):
                return None  # satisfiable, and no Content-Range can say so (RFC 9110, 14.1.2)
            spans.append((max(size - int(suffix), 0), size))
            continue
        end = int(last) + 1 if last else size
        if last and end <= int(first):
            return None
        spans.append((int(first), min(end, size)))
    return _merged([span for span in spans if span[0] < span[1]])


def content_range(span: Span, size: int) -> bytes:
    return b"bytes %d-%d/%d" % (span[0], span[1] - 1, size)


class Multipart:
    """What stands between the spans of one answer: `heads`, one before each, and `end`."""

    __slots__ = ("content_type", "end", "heads", "length")

    def __init__(self, spans: list[Span], size: int, content_type: bytes) -> None:
        # By chance, so that no file can hold it on purpose.
        boundary = os.urandom(12).hex().encode()
        self.content_type = b"multipart/byteranges; boundary=" + boundary
        self.heads = [
            b"\r\n--%b\r\ncontent-type: %b\r\ncontent-range: %b\r\n\r\n"
            % (boundary, content_type, content_range(span, size))
            for span in spans
        ]
        self.end = b"\r\n--%b--\r\n" % boundary
        self.length = sum(map(len, self.heads)) + sum(end - first for first, end in spans) + len(self.end)


def _strip(spec: bytes) -> bytes:
    return spec.strip(b" \t")


def _merged(spans: list[Span]) -> list[Span]:
    """Without overlaps and small gaps; each where the first of its parts was asked for."""
    merged: list[tuple[int, int, int]] = []
    for first, end, place in sorted((first, end, place) for place, (first, end) in enumerate(spans)):
        if merged and first <= merged[-1][1] + _GAP:
            before = merged[-1]
            merged[-1] = before[0], max(before[1], end), min(before[2], place)
        else:
            merged.append((first, end, place))
    return [(first, end) for first, end, _ in sorted(merged, key=lambda span: span[2])]
