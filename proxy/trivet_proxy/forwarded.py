"""What a proxy drops, adds and believes: heads on their way to an upstream, heads on their way back.

Hop-by-hop fields go first, then what a client could have forged, then ours are set: in this order nobody's
Connection field can take ours away (CVE-2022-31813, CVE-2024-45410). Knows no socket, no slot and no reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol

from trivet_common.http1.fields import REBUILT
from trivet_common.http1.request import RequestHead
from trivet_common.http1.response import ResponseHead
from trivet_common.http1.target import parse_authority

from .hearsay import OURS, OURS_PREFIXES, PEERS, PEERS_PREFIXES
from .request import Client

if TYPE_CHECKING:
    from .request import Request

Field = tuple[bytes, bytes]

_NOT_FOR_CLIENTS = REBUILT | {b"server"}
_ORDERS = (b"x-accel-", b"x-sendfile")
_FILE_ORDERS = (b"x-accel-redirect", b"x-sendfile")

# Verdicts are remembered by name; a flood of made-up names is judged anew each time rather than remembered.
_MOST_NAMES = 1024
_LONGEST_NAME = 64

# HTTP/1.0 knows requests without a host; an HTTP/1.1 head must name one.
_NO_HOST = b"localhost"
_LONGEST_CHAIN = 32
_match_prefix = re.compile(rb"(?:/[A-Za-z0-9\-._~!$&'()*+,;=:@%]++){1,32}").fullmatch


class _RequestLines(dict[bytes, bytes]):
    """Field name -> how its line begins on the way to an upstream; empty for what does not go on."""

    def __init__(self, title: str, is_trusted: bool, dropped: tuple[bytes, ...] = OURS_PREFIXES) -> None:
        super().__init__()
        self.title = title
        self._is_trusted = is_trusted
        self._dropped = dropped

    def __missing__(self, name: bytes) -> bytes:
        line = b"" if self._is_dropped(name) else b"\r\n" + name + b": "
        if len(self) < _MOST_NAMES and len(name) <= _LONGEST_NAME:
            self[name] = line
        return line

    def _is_dropped(self, name: bytes) -> bool:
        if name in OURS or name.startswith(self._dropped):
            return True
        return not self._is_trusted and (name in PEERS or name.startswith(PEERS_PREFIXES))


_FROM_CLIENTS = _RequestLines("for client", is_trusted=False)
_FROM_PEERS = _RequestLines("for peer", is_trusted=True)
# Whose certificate we have seen ourselves: no word of anybody else's about it.
_FROM_KNOWN_PEERS = _RequestLines(
    "for known peer", is_trusted=True, dropped=(*OURS_PREFIXES, b"x-ssl-client-")
)


class ResponseSieve(dict[bytes, bool]):
    """Field name -> whether a client may see it. `tell(name)` hears of orders to send a file."""

    def __init__(self, tell: Callable[[bytes], None]) -> None:
        super().__init__()
        self._tell = tell

    def __missing__(self, name: bytes) -> bool:
        if name.startswith(_ORDERS):
            if name in _FILE_ORDERS:
                self._tell(name)
            return False
        passes = name not in _NOT_FOR_CLIENTS and not name.startswith(b"trivet-")
        if len(self) < _MOST_NAMES and len(name) <= _LONGEST_NAME:
            self[name] = passes
        return passes


def build_upstream_head(request: Request, framing: bytes, extra: Iterable[bytes] = ()) -> bytes:
    """The head as the upstream gets it. `framing` and `extra` are whole lines that begin with CRLF."""
    head, client = request.head, request.client
    lines = _FROM_PEERS if client.is_trusted else _FROM_CLIENTS
    if client.credentials and client.is_trusted:
        lines = _FROM_KNOWN_PEERS
    found = head.found if not request.hidden else _found_without(request.hidden, head)
    passed: bytes | None = found.get(lines.title) if found is not None else None
    if passed is None:
        passed = _passed(head, lines, head.hop_by_hop | request.hidden)
        if found is not None:
            found[lines.title] = passed
    if request.added:
        # Beyond the reach of the client's Connection field.
        passed += b"".join([b"\r\n" + name + b": " + value for name, value in request.added])
    host = head.authority or _NO_HOST
    forwarded_host = request.asked.authority or _NO_HOST
    if client.is_trusted:
        forwarded_host = believed_host(head) or forwarded_host
    return b"".join(
        (
            head.method, b" ", head.target, b" HTTP/1.1\r\nhost: ", host,
            passed,
            client.credentials,
            _identity(client.address, client.forwarded_for, client.scheme, client.port),
            b"\r\nx-forwarded-host: ", forwarded_host,
            b"\r\nx-request-id: ", request.request_id.encode("latin-1"),
            framing,
            *extra,
            b"\r\n\r\n",
        )
    )  # fmt: skip


def _found_without(hidden: frozenset[bytes], head: RequestHead) -> dict[str, Any] | None:
    """What is kept of a head, where it has none of these: to hide what nobody said changes nothing."""
    found = head.found
    if found is None:
        return None
    names: frozenset[bytes] | None = found.get("names")
    if names is None:
        names = found["names"] = frozenset(name for name, _ in head.headers)
    return found if names.isdisjoint(hidden) else None


def _passed(head: RequestHead, lines: _RequestLines, stopped: frozenset[bytes]) -> bytes:
    return b"".join(
        [line + value for name, value in head.headers if (line := lines[name]) and name not in stopped]
    )


def names_that_pass(request: Request) -> set[bytes]:
    """Those of the client's fields that go on."""
    head, client = request.head, request.client
    lines = _FROM_PEERS if client.is_trusted else _FROM_CLIENTS
    if client.credentials and client.is_trusted:
        lines = _FROM_KNOWN_PEERS
    stopped = head.hop_by_hop | request.hidden
    return {name for name, _ in head.headers if lines[name] and name not in stopped}


def response_headers_for_client(head: ResponseHead, sieve: ResponseSieve) -> Sequence[Field]:
    """What of an upstream's head goes on; framing, date and connection are the writer's."""
    found = head.found
    if found is None:
        return sieved(head.headers, head, sieve)
    passed: tuple[Field, ...] | None = found.get("passed")
    if passed is None:
        passed = tuple(sieved(head.headers, head, sieve))
        if not any(name.startswith(_ORDERS) for name, _ in head.headers):  # those are told each time
            found["passed"] = passed
    return passed


def sieved(headers: Iterable[Field], head: ResponseHead, sieve: ResponseSieve) -> list[Field]:
    """Those of these fields of `head` that a client may see."""
    nominated = head.hop_by_hop
    if nominated:
        return [field for field in headers if sieve[field[0]] and field[0] not in nominated]
    return [field for field in headers if sieve[field[0]]]


class Trust(Protocol):
    """What is asked of the settings: whom to believe, and in which header."""

    @property
    def trusted_proxies(self) -> TrustsPeers: ...
    @property
    def client_ip(self) -> str: ...


class TrustsPeers(Protocol):
    def trusts(self, peer: str | None) -> bool: ...


def client_of(peer: str | None, head: RequestHead, settings: Trust, scheme: str) -> Client:
    """Who asks, as far as that can be believed. `peer`: None on a Unix socket; `scheme`: the listener's.

    Only a peer in trusted_proxies is believed at all; then the rightmost hop that is none of them is the
    client.
    """
    if not settings.trusted_proxies.trusts(peer):
        address = peer or ""
        return Client(address, peer, scheme, _port(head.authority, scheme), address, False)
    address, chain = _believed_chain(peer, head, settings)
    said = _last(head, b"x-forwarded-proto").lower()
    if said in (b"http", b"https"):
        scheme = said.decode("ascii")
    port = _believed_port(head) or _port(believed_host(head) or head.authority, scheme)
    return Client(address, peer, scheme, port, chain, True)


def believed_host(head: RequestHead) -> bytes | None:
    """The host a trusted peer was asked for, if it says one that can be."""
    said = _last(head, b"x-forwarded-host")
    authority = parse_authority(said) if said else None
    return authority.text if authority is not None else None


def believed_prefix(request: Request) -> bytes:
    """What a trusted peer took off the path before us; b"" where it says nothing that can be."""
    said = _last(request.head, b"x-forwarded-prefix") if request.client.is_trusted else b""
    return said if _match_prefix(said) else b""


def _believed_chain(peer: str | None, head: RequestHead, settings: Trust) -> tuple[str, str]:
    """The client's address and the chain of hops that is worth passing on, the peer last."""
    tail = [peer] if peer else []
    name = settings.client_ip.lower().encode("ascii")
    if name != b"x-forwarded-for":
        said = parse_hop(_last(head, name))
        known = [said, *tail] if said else tail
        return (known[0] if known else ""), ", ".join(known)
    values = b",".join(value for field, value in head.headers if field == name)
    for hop in reversed(values.split(b",")[-_LONGEST_CHAIN:]):
        address = parse_hop(hop)
        if address is None:
            break  # what stands left of rubbish is no better: nobody we trust wrote it
        tail.insert(0, address)
        if not settings.trusted_proxies.trusts(address):
            break
    return (tail[0] if tail else ""), ", ".join(tail)


@lru_cache(maxsize=1024)
def parse_hop(text: bytes) -> str | None:
    """The address of an X-Forwarded-For entry, with or without a port (Azure writes one), or None.

    IPv4 also where a dual-stack proxy maps it: one client has one name, for rules, logs and fail2ban.
    """
    entry = text.strip(b" \t").decode("latin-1")
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    if "%" in entry or len(entry) > 45:
        return None
    try:
        address = ip_address(entry)
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def _last(head: RequestHead, name: bytes) -> bytes:
    """The last element of the last field of that name: what the peer itself wrote, not what it was handed."""
    for field, value in reversed(head.headers):
        if field == name:
            return value.rpartition(b",")[2].strip(b" \t")
    return b""


def _believed_port(head: RequestHead) -> int | None:
    said = _last(head, b"x-forwarded-port")
    if said.isdigit() and len(said) <= 5 and 0 < int(said) <= 65535:
        return int(said)
    return None


def _port(authority: bytes, scheme: str) -> int:
    """The port the client meant: our own differs from it behind a container's or a balancer's mapping."""
    _, colon, port = authority.rpartition(b":")
    if colon and port.isdigit():
        return int(port)
    return 443 if scheme == "https" else 80


@lru_cache(maxsize=1024)  # a client asks more than once
def _identity(address: str, chain: str, scheme: str, port: int) -> bytes:
    text = f"\r\nx-forwarded-proto: {scheme}\r\nx-forwarded-port: {port}"
    if chain:
        text += f"\r\nx-forwarded-for: {chain}"
    if address:
        text += f"\r\nx-real-ip: {address}"
    return text.encode("latin-1")
