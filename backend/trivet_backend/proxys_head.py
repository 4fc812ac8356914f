"""The head of a request that our own proxy sends with a claim: cut into fields, and not judged a second time.

The proxy wrote it from values that had passed the same gate (http1/request.py), and its end of the socket is
believed by its uid: to judge it again finds nothing new, and was a quarter of what a slot does for a request.
"""

import re

from trivet_backend.regulars import Field, Fields, Regular, Regulars, cut_lines
from trivet_common.http1.collector import HeadLimits
from trivet_common.http1.request import RequestHead, parse_request_head
from trivet_common.http1.target import decode_path
from trivet_common.pool.claims import Claim

_CLAIM = b"\r\ntrivet-claim: "
# The proxy sends none of these, or one only: with them it is somebody else's head, and judged as such.
_UNUSUAL = frozenset({b"connection", b"expect", b"upgrade", b"te", b"trailer"})

# Where what a client's requests have in common ends, and what comes then (proxy/forwarded.py). The lines at
# the end are in common again: they are the route's. A head that is written otherwise is not a wrong one.
_STEADY_END = b"\r\nx-request-id: "
_match_line = re.compile(rb"([A-Z]+) (([!->@-~]+)\??([!-~]*)) HTTP/1\.1(?=\r\nhost: )").match
_match_varying = re.compile(
    rb"\r\nx-request-id: ([!-~]+)"
    rb"(?:\r\ncontent-length: (0|[1-9][0-9]{0,18})|(\r\ntransfer-encoding: chunked))?"
    rb"\r\ntrivet-claim: ([0-9]{1,19}) ([0-9]{1,19}) ([0-9]{1,19})"
    rb"(?:\r\ntrivet-queued: ([0-9]{1,11}))?"
    rb"((?:\r\ntrivet-(?:takes|mount|timeout|user|stream): [^\r\n]*)*)\r\n\r\n"
).fullmatch


class ClaimedHead(RequestHead):
    """A request of our own proxy, with what it says to the slot alone.

    `orders`: these fields by name, of several the last; all fields may be among them. `queued` is in seconds.
    """

    __slots__ = ("claim", "orders", "queued", "request_id")

    claim: Claim
    orders: Fields
    queued: float
    request_id: bytes

    @classmethod
    def of(cls, head: RequestHead) -> "ClaimedHead":
        """One that had to be judged."""
        claimed = cls(head.method, head.target, head.raw_path, head.path, head.query, head.is_http10)
        for name in RequestHead.__slots__:
            setattr(claimed, name, getattr(head, name))
        claimed.hear(dict(head.headers))
        return claimed

    def hear(self, said: Fields) -> None:
        queued = said.get(b"trivet-queued", b"")
        self.claim = Claim.parse(said.get(b"trivet-claim", b""))
        self.queued = int(queued) / 1000 if queued.isdigit() and len(queued) < 12 else 0.0
        self.request_id = said.get(b"x-request-id", b"")
        self.orders = said


class RegularsHead(ClaimedHead):
    """One of a regular client: what its fields say is in the template."""

    __slots__ = ("template",)

    # What our proxy never says, or nobody asks for.
    headers: list[Field] = []
    authority = b""
    is_http10 = False
    keep_alive = True
    expects_continue = False
    upgrade = None
    hop_by_hop = frozenset()
    host = ""
    found = None
    dropped: list[bytes] = []

    def __init__(self, line: tuple[bytes, ...], varying: tuple[bytes, ...], regular: Regular) -> None:
        self.method, self.target, self.raw_path, self.query = line
        self.request_id, length, coding, number, nonce, sent, queued, _ = varying
        path = self.raw_path
        self.path = decode_path(path) if b"%" in path or b"//" in path else path
        self.orders, self.template = regular
        self.claim = Claim(int(number), int(nonce), int(sent))
        self.queued = int(queued) / 1000 if queued else 0.0
        self.content_length = int(length) if length else None
        self.chunked = coding is not None

    def get(self, name: bytes) -> bytes | None:
        return self.orders.get(name)


class ProxysHeads:
    """What a RequestReader calls for the heads on a slot's own socket."""

    __slots__ = ("_regulars",)

    def __init__(self, regulars: Regulars) -> None:
        self._regulars = regulars

    def parse(self, head: bytes, limits: HeadLimits) -> RequestHead:
        """As parse_request_head, for a believed peer; a ClaimedHead if it has a claim. Raises HttpError."""
        line = _match_line(head)
        end = head.find(_STEADY_END)
        varying = _match_varying(head, end)
        if line is not None and varying is not None:
            regular = self._regulars[head[line.end() : end] + varying[8]]
            if regular is not None:
                return RegularsHead(line.groups(), varying.groups(), regular)
        return parse_strangers(head, limits)


def parse_strangers(head: bytes, limits: HeadLimits) -> RequestHead:
    """The same, of a client whose fields are not remembered."""
    if _CLAIM in head:
        first, *lines = head[:-4].split(b"\r\n")
        words = first.split(b" ")
        fields = cut_lines(lines)
        said = dict(fields)
        is_ours = len(words) == 3 and words[2] == b"HTTP/1.1" and b"host" in said
        if is_ours and _UNUSUAL.isdisjoint(said) and said.get(b"content-length", b"0").isdigit():
            return _fill(words[0], words[1], fields, said)
    judged = parse_request_head(head, limits)
    return judged if judged.get(b"trivet-claim") is None else ClaimedHead.of(judged)


def _fill(method: bytes, target: bytes, fields: list[Field], said: Fields) -> ClaimedHead:
    raw_path, _, query = target.partition(b"?")
    path = decode_path(raw_path) if b"%" in raw_path or b"//" in raw_path else raw_path
    request = ClaimedHead(method, target, raw_path, path, query, False)
    request.headers = fields
    request.authority = said[b"host"]
    length = said.get(b"content-length")
    if length is not None:
        request.content_length = int(length)
    elif b"transfer-encoding" in said:
        request.chunked = True
    request.hear(said)
    return request
