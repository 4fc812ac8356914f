"""The second opinion: what h11 makes of the bytes of one request."""

import re

import h11

from tests.common.gate_driver import Verdict, read
from tests.requests.corpus import Request


def read_one(data: bytes) -> tuple[Request, set[bytes]] | str:
    """The request and the names of its fields, or what h11 says against it or would wait for."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1024 * 1024)
    try:
        connection.receive_data(data)
        head = connection.next_event()
        if not isinstance(head, h11.Request):
            return f"no head but {head}"
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
    except h11.RemoteProtocolError as refused:
        return str(refused)
    if not isinstance(event, h11.EndOfMessage) or connection.trailing_data[0]:
        return f"no end but {event}, and then {connection.trailing_data[0]!r}"
    return Request(head.method, head.target, body), {name for name, _ in head.headers}


def disagreement(data: bytes, ours: Verdict | None = None) -> str:
    """What we took and h11 did not, or took otherwise. Exceptions: an empty line before the request, which
    RFC 9112, 2.2 lets us take; `_is_same_target`; a Host that we take from the target of HTTP/1.0."""
    ours = ours or read([data])
    start = 0
    for request, names, end in zip(ours.requests, ours.names, ours.ends, strict=True):
        theirs = read_one(data[start:end].removeprefix(b"\r\n"))
        start = end
        if isinstance(theirs, str):
            return f"h11 refuses {request}: {theirs}"
        other, other_names = theirs
        if (request.method, request.body) != (other.method, other.body):
            return f"{request} is {other} to h11"
        if not _is_same_target(request.target, other.target):
            return f"{request.target!r} is {other.target!r} to h11"
        if not names <= other_names | {b"host"}:
            return f"h11 sees the fields {other_names}, and we {names}"
    return ""


def _is_same_target(ours: bytes, theirs: bytes) -> bool:
    """We rewrite the absolute form and encode what no URI may hold; h11 passes both on as received."""
    if b"://" in theirs:
        theirs = re.sub(rb"\A[a-zA-Z]+://[^/?]*(/?)", rb"/", theirs)
        if ours == b"*" and theirs == b"/":  # RFC 9112, 3.2.4
            return True
    return ours == re.sub(rb"[\\^`{|}]", lambda found: b"%%%02X" % found[0][0], theirs)
