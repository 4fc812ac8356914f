"""What the fields of a request say about host, framing, connection and expectation.

Knows no bytes of a head, only fields already cut. What two readers could read differently is refused
(RFC 9112, 6.3 and 3.2 without their leniences).
"""

from . import fields as known
from . import grammar
from .cutting import OWS
from .reasons import refuse
from .request_head import RequestHead
from .target import Target, is_same_host, parse_authority

# HTTP/2 in a tunnel would pass all routes, limits and rules by ("h2c smuggling", 2020); curl and Java ask for
# it in passing and are content without.
_NEVER_TUNNELLED = frozenset({b"h2c", b"h2", b"http"})


def judge_fields(request: RequestHead, target: Target | None) -> None:
    """Fill in what `request.headers` says; raises HttpError. `target`: None if in common origin form."""
    judged: dict[bytes, bytes] = {}
    for name, value in request.headers:
        if name in known.COMMON:
            continue
        if name in known.JUDGED:
            judged[name] = value if name not in judged else _judge_second(name, judged[name], value)
        elif not grammar.is_plain_name(name) or _is_refused(name):
            request.dropped.append(_judge_name(name))
    if request.dropped:
        request.headers = [field for field in request.headers if field[0] not in request.dropped]
    _judge_host(request, judged.get(b"host"), target)
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


def _judge_name(name: bytes) -> bytes:
    if not grammar.is_token(name):
        raise refuse("bad_head:field_name")
    return name


def _is_refused(name: bytes) -> bool:
    return name in known.REFUSED_NAMES or name.startswith(known.REFUSED_PREFIXES)


def _judge_host(request: RequestHead, value: bytes | None, target: Target | None) -> None:
    """One name for routing, logs and application; a server that takes one of two was CVE-2026-34525."""
    in_target = target.authority if target is not None else None
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
    if target is not None and in_target is not None:
        if not is_same_host(target.scheme, in_target, authority):
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
    options = {option.strip(OWS) for option in value.split(b",")}
    if b"close" in options:
        request.keep_alive = False
    elif b"keep-alive" in options:
        request.keep_alive = True
    # RFC 9110, 7.8: ignored in HTTP/1.0; and a list of protocols is a choice that we do not offer.
    if upgrade is not None and b"upgrade" in options and not request.is_http10 and grammar.is_token(upgrade):
        request.upgrade = upgrade.lower()
        if request.upgrade in _NEVER_TUNNELLED:
            request.upgrade = None
    names = {option for option in options if grammar.is_token(option)} - known.NOT_NOMINATED
    request.hop_by_hop = frozenset(names - known.HOP_BY_HOP - {b"close"})


def _judge_body(request: RequestHead, judged: dict[bytes, bytes]) -> None:
    length, coding = judged.get(b"content-length"), judged.get(b"transfer-encoding")
    if coding is not None:
        if request.is_http10:
            raise refuse("bad_head:coding_http10")
        if length is not None:
            raise refuse("bad_head:length_and_coding")
        _judge_coding(coding.lower())
        request.chunked = True
    elif length is not None:
        if not length.isdigit() or len(length) > 19:  # bytes.isdigit knows ASCII only, unlike int()
            raise refuse("bad_head:length_bad")
        request.content_length = int(length)
    if request.has_body:
        request.upgrade = None  # the body stays a body; in llhttp's hands it was run as the next request
    expect = judged.get(b"expect")
    if expect is not None:
        _judge_expect(request, expect)


def _judge_coding(coding: bytes) -> None:
    """Only exactly `chunked` passes; 501 for a coding below it, as RFC 9112, 6.1 asks, else 400."""
    if coding == b"chunked":
        return
    below, _, last = (part.strip(OWS) for part in coding.rpartition(b","))
    if last == b"chunked" and below != b"chunked" and grammar.is_token(below):
        raise refuse("bad_head:coding_unknown")
    raise refuse("bad_head:coding")


def _judge_expect(request: RequestHead, expect: bytes) -> None:
    if expect.lower() != b"100-continue":
        raise refuse("expectation")
    # RFC 9110, 10.1.1: ignored in HTTP/1.0, and there is nothing to wait for without a body.
    request.expects_continue = request.has_body and not request.is_http10
