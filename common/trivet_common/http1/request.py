"""The gate for requests: one head in, what it means out, or an HttpError that says why not.

Knows no body (framing.py) and no socket. What it lets through has one meaning only, and whoever sends it on
writes it anew from these values.
"""

from collections.abc import Callable

from . import grammar
from .collector import HeadCollector, HeadLimits, count_clean_lines, find_head_end, judge_line_ends
from .cutting import OWS, cut_request
from .errors import HttpError
from .framing import Body, Chunked, Counted, NoBody
from .reasons import refuse
from .recent import Recent
from .request_fields import judge_fields
from .request_head import RequestHead
from .target import Target, decode_path, parse_target

__all__ = [
    "HeadLimits",
    "RequestHead",
    "RequestReader",
    "body_framing",
    "find_head_end",
    "parse_request_head",
]

Parse = Callable[[bytes, HeadLimits], RequestHead]

# Fields judged before, from their bytes (all after the request line) to a head that had them.
# Browsers send 400 to 1 500 bytes in 10 to 20 fields; whoever sends more is judged each time.
_known: Recent[RequestHead] = Recent(512)
_LONGEST_KNOWN, _MOST_KNOWN = 2048, 32

_TLS_HANDSHAKE, _CR, _LF = 0x16, 0x0D, 0x0A


class RequestReader:
    """The heads of one client connection, one after the other."""

    __slots__ = ("_collector", "_limits", "_parse")

    def __init__(self, limits: HeadLimits, parse: "Parse | None" = None) -> None:
        """`parse`: in the place of parse_request_head."""
        self._limits = limits
        self._parse = parse or parse_request_head
        self._collector = HeadCollector(
            limits.header_bytes,
            _judge_first_byte,
            _judge_request_line,
            blank_lines=1,  # RFC 9112, 2.2: some old clients send one after a body
        )

    def __repr__(self) -> str:
        return f"<RequestReader {self._collector!r}>"

    @property
    def is_between_requests(self) -> bool:
        """No byte of a next head has come; an empty line before it does not count."""
        return self._collector.is_empty

    def feed(self, data: bytes | memoryview) -> RequestHead | None:
        """The head once it is complete, else None; HttpError if it is refused, then and ever after."""
        head = self._collector.feed(data)
        if head is None:
            return None
        try:
            return self._parse(head, self._limits)
        except HttpError as refused:
            self._collector.latch(refused)
            raise

    def take_rest(self) -> bytes:
        """What followed the head. Feed back what turns out not to be its body: it begins the next request."""
        return self._collector.take_rest()


def parse_request_head(head: bytes, limits: HeadLimits) -> RequestHead:
    """`head` ends with its empty line. Pure but for what it remembers; raises HttpError."""
    common = grammar.match_common_request_line(head)
    block = b""
    if common is not None and common[1] in grammar.METHODS:
        method, target, path, query, minor = common.groups(b"")
        if minor == b"1" and len(head) - common.end() <= _LONGEST_KNOWN:
            block = head[common.end() :]
            known = _known[block]
            if known is not None and len(known.headers) <= limits.headers:
                return known.again(method, target, path, query)
        request, parsed = RequestHead(method, target, path, path, query, minor == b"0"), None
    else:
        request, parsed = _judge_request_line(head[: head.index(b"\n") + 1])
    lines = count_clean_lines(head)
    if lines < 0:
        judge_line_ends(head, 0, len(head))
    if lines - 2 > limits.headers:
        raise refuse("bad_head:too_many", f"{lines - 2} fields; limits.headers is {limits.headers}.")
    request.headers = cut_request(head)
    if len(request.headers) != lines - 2:
        raise _explain(head, request, parsed)  # llhttp and we do not count alike: believe neither
    judge_fields(request, parsed)
    if block and lines - 2 <= _MOST_KNOWN and not request.dropped and _known.wants(block):
        # Here the fields' meaning does not depend on the line. What is dropped is told each time it comes.
        request.found = {}
        # Without its line: a target may be as long as a head, and is nobody else's business.
        _known.keep(block, request.again(b"", b"", b"", b""))
    return request


def body_framing(head: RequestHead, limit: int | None = None) -> Body:
    """The decoder for this request's body; HttpError too_large when the head already says so."""
    if head.chunked:
        return Chunked(limit=limit)
    if head.content_length:
        return Counted(head.content_length, limit=limit)
    return NoBody()


def _judge_first_byte(byte: int) -> None:
    """What a request cannot begin with is refused on its first byte: no TLS client waits for our timeout."""
    if grammar.is_token(bytes((byte,))):
        return
    if byte == _TLS_HANDSHAKE:
        raise refuse("bad_head:tls")
    if byte == _CR:
        raise refuse("bad_head:blank_lines")
    raise refuse("bad_head:bare_lf" if byte == _LF else "bad_head:method")


def _judge_request_line(line: bytes) -> tuple[RequestHead, Target]:
    """The request line, up to the first place that ends or breaks it, in the order a reader would stumble."""
    _judge_first_byte(line[0])
    judge_line_ends(line, 0, len(line))
    found = grammar.match_request_line(line)
    if found is None:
        if grammar.match_simple_request(line):
            raise refuse("bad_head:version", "A request without a version is HTTP/0.9.")
        raise refuse("bad_head:request_line")
    method, target, version = found.groups()
    if not grammar.is_token(method):
        raise refuse("bad_head:method")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise refuse("bad_head:version" if grammar.is_http_version(version) else "bad_head:protocol")
    if method not in grammar.METHODS:
        raise refuse("method" if method in grammar.REFUSED_METHODS else "method_unknown")
    parsed = parse_target(method, target)
    path = decode_path(parsed.raw_path)
    request = RequestHead(method, parsed.text, parsed.raw_path, path, parsed.query, version == b"HTTP/1.0")
    return request, parsed


def _explain(head: bytes, request: RequestHead, target: Target | None) -> HttpError:
    """Why a head that llhttp or our byte table refused is wrong; slow, and only asked then."""
    request.headers = []
    for line in head[head.index(b"\n") + 1 : -4].split(b"\r\n"):
        why = _judge_field_line(line)
        if why is not None:
            return refuse(why)
        name, _, value = line.partition(b":")
        request.headers.append((name.lower(), value.strip(OWS)))
    try:
        judge_fields(request, target)
    except HttpError as refused:
        return refused
    return refuse("bad_head:syntax")


def _judge_field_line(line: bytes) -> str | None:
    name, colon, value = line.partition(b":")
    if line[:1] in (b" ", b"\t"):
        return "bad_head:fold"
    if not colon:
        return "bad_head:field_line"
    if name.rstrip(OWS) != name:
        return "bad_head:colon_space"
    if not grammar.is_token(name):
        return "bad_head:field_name"
    return "bad_head:field_value" if value.translate(None, grammar.FIELD_VALUE_BYTES) else None
