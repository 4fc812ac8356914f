"""What `trivet explain` is asked, as the proxy would get it: a request, from a client, on a listener.

Judged by the proxy's own gate, so that what it refuses is refused here. Knows no route.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from trivet_common.access_log import AccessRecord
from trivet_common.config import Listen, Settings
from trivet_common.http1.request import HeadLimits, parse_request_head
from trivet_proxy.body import EMPTY
from trivet_proxy.forwarded import client_of
from trivet_proxy.request import Request

from .refusal import USAGE, Refusal
from .words import printable

_URL = re.compile(r"(?:(?P<scheme>https?)://(?P<authority>[^/?#]*))?(?P<target>[/?][^#]*)?(?:#.*)?\Z")
_UNIX = "unix"
_ID = "0" * 32


@dataclass(frozen=True, slots=True)
class Words:
    """As they were typed."""

    method: str
    url: str
    headers: Sequence[str] = ()
    client: str | None = None
    listener: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """`notes`: what had to be supposed."""

    request: Request
    listen: Listen
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        head, client = self.request.head, self.request.client
        host = head.authority.decode("latin-1") or "(no host)"
        return f"{head.method.decode()} {client.scheme}://{host}{head.target.decode('latin-1')}"


def ask(words: Words, settings: Settings) -> Question:
    """Raises Refusal for words that are none, and HttpError for a request that is refused."""
    found = _URL.match(words.url)
    if not found or not (found["target"] or found["authority"]):
        shown = printable(words.url)
        raise Refusal(f"{shown} is no URL; write for example {_example(shown)} or /path", USAGE)
    scheme, authority = found["scheme"], found["authority"]
    listen = _listener(words.listener, scheme, authority, settings)
    notes = []
    headers = _headers(words.headers)
    if not any(name.lower() == "host" for name, _ in headers):
        if authority is None:
            authority = "localhost"
            notes.append(f"no host is named: {authority} was supposed")
        headers = [("Host", authority), *headers]
    target = quote(found["target"] or "/", safe="%/?:@!$&'()*+,;=-._~[]", errors="surrogateescape")
    target = target if target.startswith("/") else f"/{target}"
    text = f"{words.method} {target} HTTP/1.1\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in headers
    )
    limits = settings.limits
    head = parse_request_head(
        (text + "\r\n").encode("utf-8", "surrogateescape"), HeadLimits(limits.header_bytes, limits.headers)
    )
    client = client_of(_peer(words.client, listen), head, settings, listen.scheme)
    client.listener = listen.address
    if scheme is not None and scheme != client.scheme:
        notes.append(
            f"{listen} speaks {client.scheme}: who is in front of it said that the client used {scheme}"
        )
        client.scheme = scheme
    return Question(Request(head, EMPTY, client, _ID, AccessRecord(), None), listen, tuple(notes))  # type: ignore[arg-type]


def _example(text: str) -> str:
    """What was meant, as far as it can be told: no scheme, or ws."""
    rest = re.sub(r"\Aws(s?)://", r"http\1://", text)
    if rest != text:
        return rest
    return (
        f"http://{rest}"
        if re.match(r"[\w-]+(\.[\w-]+)+(:[0-9]+)?(/|\Z)", rest)
        else "https://shop.example/path"
    )


def _listener(word: str | None, scheme: str | None, authority: str | None, settings: Settings) -> Listen:
    """The named one; else the one that the URL leads to, as far as that can be told."""
    if word is not None:
        for listen in settings.listen:
            if word in (listen.name, listen.address):
                return listen
        known = ", ".join(listen.name or listen.address for listen in settings.listen)
        raise Refusal(f"there is no listener {word}; there is {known}", USAGE)
    port = (authority or "").rpartition(":")[2]

    def closeness(listen: Listen) -> tuple[bool, bool]:
        return listen.scheme == (scheme or listen.scheme), port.isdigit() and listen.port == int(port)

    return max(settings.listen, key=closeness)  # the first of equals


def _peer(word: str | None, listen: Listen) -> str | None:
    if word == _UNIX or (word is None and listen.kind == "unix"):
        return None
    try:
        return str(ipaddress.ip_address(word or "127.0.0.1"))
    except ValueError:
        raise Refusal(f"{word} is no address; write --client 203.0.113.7, or unix", USAGE) from None


def _headers(written: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for text in written:
        name, colon, value = text.partition(":")
        if not colon or re.search(r"[\r\n\0]", text):
            raise Refusal(f"-H {text!r}: write -H 'Name: value'", USAGE)
        found.append((name.strip(), value.strip()))
    return found
