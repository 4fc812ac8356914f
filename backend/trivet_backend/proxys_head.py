"""The head of a request that our own proxy sends with a claim: cut into fields, and not judged a second time.

The proxy wrote it from values that had passed the same gate (http1/request.py), and its end of the socket is
believed by its uid: to judge it again finds nothing new, and was a quarter of what a slot does for a request.
"""

from trivet_common.http1.collector import HeadLimits
from trivet_common.http1.request import RequestHead, parse_request_head
from trivet_common.http1.target import decode_path

_CLAIM = b"\r\ntrivet-claim: "
# The proxy sends none of these, or one only: with them it is somebody else's head, and judged as such.
_UNUSUAL = frozenset({b"connection", b"expect", b"upgrade", b"te", b"trailer"})


def parse_proxys_head(head: bytes, limits: HeadLimits) -> RequestHead:
    """As parse_request_head, for a believed peer. Raises HttpError."""
    if _CLAIM in head:
        first, *lines = head[:-4].split(b"\r\n")
        words = first.split(b" ")
        fields = [(name, value) for name, _, value in [line.partition(b": ") for line in lines]]
        said = dict(fields)
        is_ours = len(words) == 3 and words[2] == b"HTTP/1.1" and b"host" in said
        if is_ours and _UNUSUAL.isdisjoint(said) and said.get(b"content-length", b"0").isdigit():
            return _fill(words[0], words[1], fields, said)
    return parse_request_head(head, limits)


def _fill(
    method: bytes, target: bytes, fields: list[tuple[bytes, bytes]], said: dict[bytes, bytes]
) -> RequestHead:
    raw_path, _, query = target.partition(b"?")
    path = decode_path(raw_path) if b"%" in raw_path or b"//" in raw_path else raw_path
    request = RequestHead(method, target, raw_path, path, query, False)
    request.headers = fields
    request.authority = said[b"host"]
    length = said.get(b"content-length")
    if length is not None:
        request.content_length = int(length)
    elif b"transfer-encoding" in said:
        request.chunked = True
    return request
