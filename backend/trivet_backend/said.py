"""What an application may say in the head of a response: status line, header names, values.

Owns the rules of PEP 3333 and of HTTP for them, and remembers names and status lines. Knows no response.
"""

import re

from trivet_common.http1.fields import HOP_BY_HOP

_REMEMBERED = 512
_STATUS = re.compile(r"[2-5][0-9][0-9](?: [\t\x20-\x7e\xa0-\xff]*)?\Z")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_HOP_BY_HOP = {name.decode("ascii") for name in HOP_BY_HOP}
# PEP 3333 forbids these too, but countless examples of event streams set them, they mean nothing coming from
# an application, and every server leaves them out: so do we. What frames or switches the message is an error.
_LEFT_OUT = {"connection", "keep-alive", "proxy-connection"}

# Filled by the slots of this worker; threads may race to write the same entry, and both would be right.
_known_names: dict[str, str] = {}
_known_status: dict[str, tuple[int, str]] = {}


class ResponseError(ValueError):
    """The application broke PEP 3333 or HTTP; the text says how. It is answered 500."""


def judge_head(status: str, headers: list[tuple[str, str]]) -> tuple[str, int, int | None]:
    """The head as far as the application says it, the code, and the Content-Length, which is not in it.

    Raises ResponseError. A str must be one and no more (PEP 3333), and what is none may be anything.
    """
    known = _known_status.get(status) if type(status) is str else None
    code, head = known or _judge_status(status)
    length, names = None, _known_names
    for name, value in headers:
        lower = names.get(name) if type(name) is str else None
        if lower is None:
            lower = _judge_name(name)
        if lower == "content-length":
            length = _judge_length(value, length)
            continue
        if type(value) is not str or not (value.isascii() and value.isprintable()):
            _judge_value(name, value)
        if lower:
            head += f"{lower}: {value}\r\n"
    return head, code, length


def _judge_status(status: object) -> tuple[int, str]:
    if type(status) is not str:
        raise ResponseError(f"the status must be a str such as '200 OK', not {status!r:.60}")
    if _STATUS.match(status) is None:
        raise ResponseError(
            f"the status is {status!r:.60}, not three digits (200 to 599), a space and a reason"
        )
    known = int(status[:3]), f"HTTP/1.1 {status if len(status) > 3 else status + ' '}\r\n"
    if len(_known_status) < _REMEMBERED and len(status) < 64:
        _known_status[status] = known
    return known


def _judge_name(name: object) -> str:
    """The lower-case name, "" for one to leave out; what is the server's own to say is refused."""
    if type(name) is not str:
        raise ResponseError(f"a header name must be a str, not {name!r:.60}")
    if _TOKEN.match(name) is None:
        raise ResponseError(f"{name!r:.60} is not a header name (RFC 9110, 5.1)")
    lower = name.lower()
    if lower in _LEFT_OUT:
        _known_names[name] = ""
        return ""
    if lower in _HOP_BY_HOP:
        raise ResponseError(f"an application must not set {name}: it is the server's (PEP 3333, hop-by-hop)")
    if lower.startswith("trivet-"):
        raise ResponseError(
            f"an application must not set {name}: names beginning with trivet- are the server's"
        )
    if len(_known_names) < _REMEMBERED and len(name) < 128:
        _known_names[name] = lower
    return lower


def _judge_length(value: object, before: int | None) -> int:
    if type(value) is not str or not (value.isascii() and value.isdigit() and len(value) < 19):
        raise ResponseError(f"Content-Length is {value!r:.60}, not a number of bytes")
    if before is not None:
        raise ResponseError("there are two Content-Length headers")
    return int(value)


def _judge_value(name: str, value: object) -> None:
    if type(value) is not str:
        raise ResponseError(f"the value of {name} must be a str, not {value!r:.60}")
    found = _BAD_VALUE.search(value)
    if found is not None:
        what = "is not latin-1" if found[0] > "\xff" else "is a control character: response splitting?"
        raise ResponseError(f"the value of {name} holds {found[0]!r}, which {what}")
