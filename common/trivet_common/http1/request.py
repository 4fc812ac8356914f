"""The gate for requests: one head in, what it means out, or an HttpError that says why not.

llhttp cuts the head into fields; every judgement is ours (hardening: a fast reader is not a gate). Knows no body
(framing.py) and no socket. What it lets through has one meaning only, and is rebuilt from these values when sent on.
"""

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from . import fields as known
from . import grammar
from .collector import HeadCollector, HeadLimits, find_head_end, judge_line_ends
from .errors import HttpError
from .framing import Body, Chunked, Counted, NoBody
from .reasons import refuse
from .target import Target, decode_path, is_same_host, parse_authority, parse_target

__all__ = [
    "HeadLimits",
    "RequestHead",
    "RequestReader",
    "body_framing",
    "find_head_end",
    "parse_request_head",
]

Field = tuple[bytes, bytes]

_OWS = b" \t"
_TLS_HANDSHAKE = 0x16


class RequestHead:
    """A request as everybody behind the gate sees it; header names are in lower case, values without outer space."""

    __slots__ = (
        "authority",
        "chunked",
        "content_length",
        "dropped",
        "expects_continue",
        "headers",
        "hop_by_hop",
        "host",
        "is_http10",
        "keep_alive",
        "method",
        "path",
        "query",
        "raw_path",
        "target",
        "upgrade",
    )

    def __init__(
        self, method: bytes, target: bytes, raw_path: bytes, path: bytes, query: bytes, is_http10: bool
    ) -> None:
        self.method = method
        self.target = target  # origin form, as received but for characters no URI has
        self.raw_path = raw_path
        self.path = path  # decoded: the one form for matching and for files
        self.query = query
        self.is_http10 = is_http10
        self.headers: list[Field] = []
        self.host = ""  # without port; "" only for HTTP/1.0 without Host
        self.authority = b""
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = not is_http10
        self.expects_continue = False
        self.upgrade: bytes | None = None
        self.hop_by_hop: frozenset[bytes] = frozenset()  # named by Connection, beyond fields.HOP_BY_HOP
        self.dropped: list[bytes] = []  # names taken out of `headers`, for the log

    def __repr__(self) -> str:
        return f"<RequestHead {self.method.decode()} {self.host}{self.target.decode()}>"

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.content_length)

    def get(self, name: bytes) -> bytes | None:
        """The value of the first field of that (lower-case) name."""
        for found, value in self.headers:
            if found == name:
                return value
        return None


class RequestReader:
    """The heads of one client connection, one after the other."""

    __slots__ = ("_collector", "_limits")

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._collector = HeadCollector(
            limits.header_bytes, _judge_first_byte, _judge_request_line, blank_lines=1
        )

    def __repr__(self) -> str:
        return f"<RequestReader {self._collector!r}>"

    @property
    def is_between_requests(self) -> bool:
        """No byte of a next head has come; an empty line before it does not count."""
        return self._collector.is_empty

    def feed(self, data: bytes | memoryview) -> RequestHead | None:
        """The head once it is complete, else None; HttpError if it is refused, and again on every later call."""
        head = self._collector.feed(data)
        if head is None:
            return None
        try:
            return parse_request_head(head, self._limits)
        except HttpError as refused:
            self._collector.latch(refused)
            raise

    def take_rest(self) -> bytes:
        """What followed the head. Feed back what turns out not to be its body: it begins the next request."""
        return self._collector.take_rest()


def parse_request_head(head: bytes, limits: HeadLimits) -> RequestHead:
    """`head` ends with its empty line. Pure; raises HttpError."""
    common = grammar.match_common_request_line(head)
    if common is not None and common[1] in grammar.METHODS:
        method, target, path, query, minor = common.groups()
        request = RequestHead(method, target, path, path, query or b"", minor == b"0")
        named = None
    else:
        request, named = _judge_request_line(head[: head.index(b"\n") + 1])
    lines = head.count(b"\n")
    if head.count(b"\r\n") != lines or head.count(b"\r") != lines:
        judge_line_ends(head, head.index(b"\n") + 1, len(head))
    if lines - 2 > limits.headers:
        raise refuse("bad_head:too_many", f"{lines - 2} fields; limits.headers is {limits.headers}.")
    request.headers = fields = _cut(head)
    if len(fields) != lines - 2 or head.translate(None, grammar.HEAD_BYTES):
        raise _explain(head, request, named)  # llhttp and we do not count alike: believe neither
    _judge_fields(request, named)
    return request


def body_framing(head: RequestHead, limit: int | None = None) -> Body:
    """The decoder for this request's body; HttpError too_large when the head already says so."""
    if head.chunked:
        return Chunked(limit=limit)
    if head.content_length:
        return Counted(head.content_length, limit=limit)
    return NoBody()


class _Cut:
    """What llhttp calls back. The parser looks up every callback by name; None is found faster than nothing."""

    __slots__ = ("fields",)

    on_message_begin = on_url = on_headers_complete = on_body = on_message_complete = None
    on_chunk_header = on_chunk_complete = on_status = None

    def __init__(self) -> None:
        self.fields: list[Field] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value.strip(_OWS)))


def _cut(head: bytes) -> list[Field]:
    """The fields as llhttp reads them; too few when it refuses, which the count of lines then shows."""
    cut = _Cut()
    try:
        HttpRequestParser(cut).feed_data(head)
    except HttpParserUpgrade:
        pass  # only tells that it would read no body; no parser of ours ever does
    except HttpParserError:
        return []
    return cut.fields


def _judge_first_byte(byte: int) -> None:
    """What a request cannot begin with is refused on its first byte: no TLS client waits for our timeout."""
    if grammar.is_token(bytes((byte,))):
        return
    if byte == _TLS_HANDSHAKE:
        raise refuse("bad_head:tls")
    if byte == 0x0D:
        raise refuse("bad_head:blank_lines")
    raise refuse("bad_head:bare_lf" if byte == 0x0A else "bad_head:method")


def _judge_request_line(line: bytes) -> tuple[RequestHead, Target]:
    """The request line, up to the first place that ends or breaks it; says what is wrong with it."""
    _judge_first_byte(line[0])
    judge_line_ends(line, 0, len(line))
    found = grammar.match_request_line(line)
    if found is None:
        simple = grammar.match_simple_request(line)
        raise (
            refuse("bad_head:version", "This looks like HTTP/0.9.")
            if simple
            else refuse("bad_head:request_line")
        )
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


def _judge_fields(request: RequestHead, named: Target | None) -> None:
    """Everything the fields say about host, framing, connection and expectation."""
    judged: dict[bytes, bytes] = {}
    for name, value in request.headers:
        if name in known.COMMON:
            continue
        if name in known.JUDGED:
            judged[name] = value if name not in judged else _judge_second(name, judged[name], value)
        elif not grammar.is_plain_name(name) or _is_refused(name):
            request.dropped.append(name)
    if request.dropped:
        request.headers = [field for field in request.headers if field[0] not in request.dropped]
    _judge_host(request, judged.get(b"host"), named)
    connection = judged.get(b"connection")
    if connection is not None:
        _judge_connection(request, connection, judged.get(b"upgrade"))
    if b"content-length" in judged or b"transfer-encoding" in judged or b"expect" in judged:
        _judge_body(request, judged)


def _judge_second(name: bytes, first: bytes, second: bytes) -> bytes:
    """A field that came before: an error where one reader would take the first and another the last."""
    if name == b"host":
        raise refuse("bad_head:host_twice")
    if name == b"content-length":
        raise refuse("bad_head:length_twice")
    if name == b"transfer-encoding":
        raise refuse("bad_head:coding", "The head has more than one Transfer-Encoding field.")
    return first + b"," + second  # RFC 9110, 5.2: the others are lists


def _is_refused(name: bytes) -> bool:
    return name in known.REFUSED_NAMES or name.startswith(known.REFUSED_PREFIXES)


def _judge_host(request: RequestHead, value: bytes | None, named: Target | None) -> None:
    """One name for routing, logs and application (RFC 9112, 3.2): what is not exactly one is refused."""
    in_target = named.authority if named is not None else None
    if value is None:
        if not request.is_http10:
            raise refuse("bad_head:host_missing")
        if in_target is not None:
            request.host, request.authority = in_target.host, in_target.text
            request.headers.insert(0, (b"host", in_target.text))
        return
    authority = parse_authority(value)
    if authority is None:
        raise refuse("bad_head:host_bad")
    if named is not None and in_target is not None:
        if not is_same_host(named.scheme, in_target, authority):
            raise refuse("bad_head:host_mismatch")
        authority = in_target
    request.host, request.authority = authority.host, authority.text
    if value != authority.text:
        field = (b"host", authority.text)
        request.headers = [field if name == b"host" else (name, old) for name, old in request.headers]


def _judge_connection(request: RequestHead, value: bytes, upgrade: bytes | None) -> None:
    """RFC 9110, 7.6.1: lists options and the names of fields that end here."""
    value = value.lower()
    if value == b"keep-alive":
        request.keep_alive = True
        return
    options = {option.strip(_OWS) for option in value.split(b",")}
    if b"close" in options:
        request.keep_alive = False
    elif b"keep-alive" in options:
        request.keep_alive = True
    # RFC 9110, 7.8: ignored in HTTP/1.0, and a list is a choice that we do not offer.
    if upgrade is not None and b"upgrade" in options and not request.is_http10 and grammar.is_token(upgrade):
        request.upgrade = upgrade.lower()
    names = {option for option in options if grammar.is_token(option)} - known.NOT_NOMINATED
    request.hop_by_hop = frozenset(names - {b"close", b"keep-alive"} - known.HOP_BY_HOP)


def _judge_body(request: RequestHead, judged: dict[bytes, bytes]) -> None:
    """RFC 9112, 6.3, without any of its leniences."""
    length, coding = judged.get(b"content-length"), judged.get(b"transfer-encoding")
    if coding is not None:
        if request.is_http10:
            raise refuse("bad_head:coding_http10")
        if length is not None:
            raise refuse("bad_head:length_and_coding")
        _judge_coding(coding)
        request.chunked = True
    elif length is not None:
        if not length.isdigit() or len(length) > 19:  # bytes.isdigit knows ASCII only, unlike int()
            raise refuse("bad_head:length_bad")
        request.content_length = int(length)
    if request.has_body:
        request.upgrade = None  # the body stays a body; what llhttp does here ran a POST body as a request
    expect = judged.get(b"expect")
    if expect is not None:
        _judge_expect(request, expect)


def _judge_coding(coding: bytes) -> None:
    """Only exactly `chunked` passes; 501 for a coding below it, as RFC 9112, 6.1 asks, 400 for all else."""
    coding = coding.lower()
    if coding == b"chunked":
        return
    below, comma, last = coding.rpartition(b",")
    is_known_shape = comma and last.strip(_OWS) == b"chunked" and grammar.is_token(below.strip(_OWS))
    raise refuse(
        "bad_head:coding_unknown" if is_known_shape and below.strip(_OWS) != b"chunked" else "bad_head:coding"
    )


def _judge_expect(request: RequestHead, expect: bytes) -> None:
    if expect.lower() != b"100-continue":
        raise refuse("expectation")
    # RFC 9110, 10.1.1: ignored in HTTP/1.0, and nothing to wait for without a body.
    request.expects_continue = request.has_body and not request.is_http10


def _explain(head: bytes, request: RequestHead, named: Target | None) -> HttpError:
    """Why a head that llhttp or our byte table refused is wrong; slow, and only ever asked then."""
    request.headers = []
    for line in head[head.index(b"\n") + 1 : -4].split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if line[:1] in (b" ", b"\t"):
            return refuse("bad_head:fold")
        if not colon:
            return refuse("bad_head:field_line")
        if name.rstrip(_OWS) != name:
            return refuse("bad_head:colon_space")
        if not grammar.is_token(name):
            return refuse("bad_head:field_name")
        if value.translate(None, grammar.FIELD_VALUE_BYTES):
            return refuse("bad_head:field_value")
        request.headers.append((name.lower(), value.strip(_OWS)))
    try:
        _judge_fields(request, named)
    except HttpError as refused:
        return refused
    return refuse("bad_head:syntax")
