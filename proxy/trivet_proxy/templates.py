"""Text with placeholders ({host}, {uri}, {1}, ...), cut up once at load.

Owns what each placeholder stands for, as a URI wants it: nothing a client sends can bring CR, LF or a quote
into what is built. Knows not where the text goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from .locations import encode_path, encode_rest, one_slash

if TYPE_CHECKING:
    from .request import Request

Value = Callable[["Request"], bytes]

GROUPS = tuple("123456789")  # of the route's path_regex
NAMES = ("scheme", "host", "port", "path", "query", "uri", "client", "request_id")
# Only these names: other braces are themselves.
_PLACEHOLDER = re.compile(r"\{(" + "|".join((*NAMES, *GROUPS)) + r")\}")
# In a query & and = begin another value, + is a space and % an escape.
_VALUE_SAFE = "/:@-._~!$'()*,"
# Whose values a client chooses letter by letter. ({host} was judged, {path} and {uri} begin with a slash.)
_FREE = frozenset((*GROUPS, "query"))
_PATHS = ("path", "uri")
_BEFORE_LABELS = (".", "-", ":", "@")
_IN_AUTHORITY = re.compile(r"[a-z]+://([^/?#]*)\Z").match


class Template:
    """A text for a URI and what is to be put into it.

    Behind a ? of the text, what is put in is one value: `/login?next={uri}` keeps its & to itself. A {query}
    is a query there too. In a host, it is a piece of one label, or what follows the host.
    """

    __slots__ = ("_parts", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        parts = _PLACEHOLDER.split(text)  # text, name, text, name, ..., text
        self.names = frozenset(parts[1::2])
        self._parts: list[bytes | Value] = []
        before = ""  # with a letter or a slash for what is put in
        for number, part in enumerate(parts):
            if number % 2:
                value, mark = _value_at(part, before, parts[number + 1], number + 2 == len(parts))
                self._parts.append(value)
                before += mark
            else:
                self._parts.append(encode_rest(part.encode("utf-8", "surrogateescape")))
                before += part

    def __repr__(self) -> str:
        return f"<Template {self.text!r}>"

    def fill(self, request: Request) -> bytes:
        return b"".join([part if isinstance(part, bytes) else part(request) for part in self._parts])


class HeaderTemplate:
    """A header's value: its own text stays as it is, what is put in is fit for a URI."""

    __slots__ = ("_parts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts: list[bytes | Value] = [
            _value(part) if number % 2 else part.encode("ascii")
            for number, part in enumerate(_PLACEHOLDER.split(text))
        ]

    def __repr__(self) -> str:
        return f"<HeaderTemplate {self.text!r}>"

    def fill(self, request: Request) -> bytes:
        return b"".join([part if isinstance(part, bytes) else part(request) for part in self._parts])


def _value(name: str) -> Value:
    value = _VALUE_OF[name]
    return lambda request: encode_rest(value(request))


def _value_at(name: str, before: str, after: str, is_last: bool) -> tuple[Value, str]:
    """As it is put in between these two, and a sign like what it begins with."""
    authority = _IN_AUTHORITY(before) if name in _FREE else None
    if authority is None:
        is_one = "?" in before and name != "query"
        return _one_value(name) if is_one else _value(name), "/" if name in _PATHS else "x"
    is_within = after[:1] not in ("", "/", "?", "#")
    if is_within or authority[1][-1:] in _BEFORE_LABELS:
        return _label(name), "x"
    if not authority[1]:
        return _value(name), "x"  # `https://{1}`: which hosts there are is for the expression to say
    return _behind_host(name, is_last or bool(after)), "/"


def _label(name: str) -> Value:
    """A piece of a host's name: `https://{1}.example.com` leads to no other host with `evil.com/`."""
    value = _BARE_VALUE_OF.get(name) or _VALUE_OF[name]
    return lambda request: quote_from_bytes(value(request), "").encode("ascii")


def _behind_host(name: str, may_be_empty: bool) -> Value:
    """What a host ends before: `https://example.com{1}` leads to no other with `.evil.com` or `@evil.com`."""
    plain = _value(name)

    def value(request: Request) -> bytes:
        found = plain(request)
        return found if found.startswith(b"/") or (may_be_empty and not found) else b"/" + found

    return value


def _one_value(name: str) -> Value:
    value = _BARE_VALUE_OF.get(name) or _VALUE_OF[name]
    return lambda request: quote_from_bytes(value(request), _VALUE_SAFE).encode("ascii")


def _uri(request: Request) -> bytes:
    """Path and query as they came, so that nothing is encoded twice.

    But with one slash in front: who follows the `next` of `/login?next={uri}` would come to //evil.example.
    """
    head = request.head
    raw: bytes = one_slash(head.raw_path) if head.raw_path.startswith(b"/") else b"/"  # OPTIONS * has no path
    return raw + b"?" + head.query if head.query else raw


def _group(number: int) -> Value:
    """A piece of a decoded path; nothing where the group took no part."""

    def value(request: Request) -> bytes:
        groups = request.groups
        return (groups[number - 1] or b"") if number <= len(groups) else b""

    return value


def _encoded(value: Value) -> Value:
    return lambda request: encode_path(value(request))


# Decoded, where the value is a piece of a path.
_BARE_VALUE_OF: dict[str, Value] = {
    **{name: _group(int(name)) for name in GROUPS},
    "path": lambda request: request.head.path,
}

_VALUE_OF: dict[str, Value] = {
    **{name: _encoded(value) for name, value in _BARE_VALUE_OF.items()},
    "scheme": lambda request: request.client.scheme.encode(),
    "host": lambda request: request.head.host.encode(),
    "port": lambda request: b"%d" % request.client.port,
    "query": lambda request: request.head.query,
    "uri": _uri,
    "client": lambda request: request.client.address.encode(),
    "request_id": lambda request: request.request_id.encode("utf-8", "replace"),
}
