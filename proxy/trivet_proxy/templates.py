"""Text with placeholders ({host}, {uri}, ...), cut up once at load.

Owns what each placeholder stands for, as a URI wants it: nothing a client sends can bring CR, LF or a quote
into what is built. Knows not where the text goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .locations import encode_path, encode_rest

if TYPE_CHECKING:
    from .request import Request

GROUPS = tuple("123456789")  # of the route's path_regex
NAMES = ("scheme", "host", "port", "path", "query", "uri", "client", "request_id")
# Only these names: other braces are themselves.
_PLACEHOLDER = re.compile(r"\{(" + "|".join((*NAMES, *GROUPS)) + r")\}")


class Template:
    """A text for a URI and what is to be put into it."""

    __slots__ = ("_parts", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        parts = _PLACEHOLDER.split(text)  # text, name, text, name, ..., text
        self.names = frozenset(parts[1::2])
        self._parts: list[bytes | Callable[[Request], bytes]] = [
            _VALUE_OF[part] if number % 2 else encode_rest(part.encode("utf-8", "surrogateescape"))
            for number, part in enumerate(parts)
        ]

    def __repr__(self) -> str:
        return f"<Template {self.text!r}>"

    def fill(self, request: Request) -> bytes:
        return b"".join(
            part if isinstance(part, bytes) else encode_rest(part(request)) for part in self._parts
        )


def _path(request: Request) -> bytes:
    return encode_path(request.head.path)


def _uri(request: Request) -> bytes:
    """Path and query as they came, so that nothing is encoded twice."""
    head = request.head
    raw: bytes = head.raw_path if head.raw_path.startswith(b"/") else b"/"  # OPTIONS * has no path
    return raw + b"?" + head.query if head.query else raw


def _group(number: int) -> Callable[[Request], bytes]:
    """A piece of a decoded path; nothing where the group took no part."""

    def value(request: Request) -> bytes:
        groups = request.groups
        return encode_path(groups[number - 1] or b"") if number <= len(groups) else b""

    return value


_VALUE_OF: dict[str, Callable[[Request], bytes]] = {
    **{name: _group(int(name)) for name in GROUPS},
    "scheme": lambda request: request.client.scheme.encode(),
    "host": lambda request: request.head.host.encode(),
    "port": lambda request: b"%d" % request.client.port,
    "path": _path,
    "query": lambda request: request.head.query,
    "uri": _uri,
    "client": lambda request: request.client.address.encode(),
    "request_id": lambda request: request.request_id.encode("utf-8", "replace"),
}
