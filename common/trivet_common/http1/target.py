"""The request target: its form, its one decoded path, and the authority it or the Host field names.

Knows no other field. A path that could mean two things is refused here, so that routing, files and the
application cannot disagree about it (CVE-2021-41773, CVE-2026-34786).
"""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from . import grammar
from .reasons import refuse

_LONGEST_AUTHORITY = 255 + 6  # a DNS name and ":65535"
_DEFAULT_PORTS = {b"http": 80, b"https": 443}


class Authority(NamedTuple):
    """`host` in lower case without the dot of the root; `port` None if not said; `text` is both."""

    host: str
    port: int | None
    text: bytes


class Target(NamedTuple):
    """A target in origin form; `scheme` and `authority` only if it came in absolute form."""

    raw_path: bytes
    query: bytes
    text: bytes
    scheme: bytes = b""
    authority: Authority | None = None


def parse_authority(value: bytes) -> Authority | None:
    """`host[:port]`, or None when it is neither a name nor an address."""
    if len(value) > _LONGEST_AUTHORITY:
        return None
    return _parse_authority(value)


def parse_target(method: bytes, target: bytes) -> Target:
    """Origin form, absolute form or `*`; raises HttpError for everything else (RFC 9112, 3.2)."""
    if target.startswith(b"/"):
        return _origin_form(target)
    if target == b"*" and method == b"OPTIONS":
        return Target(b"*", b"", b"*")
    absolute = grammar.match_absolute_form(target)
    if absolute is None:
        raise refuse("bad_head:target" if b"#" in target else "bad_head:target_form")
    return _absolute_form(method, *absolute.groups())


def decode_path(raw_path: bytes) -> bytes:
    """The one form used for matching and for files: decoded once, slashes merged, no dot segments."""
    if raw_path == b"*":
        return raw_path
    if grammar.find_bad_escape(raw_path):
        raise refuse("bad_head:target_escape")
    path = unquote_to_bytes(raw_path)
    if grammar.find_control(path):
        raise refuse("bad_head:target_control")
    path = grammar.sub_slashes(b"/", path)
    if grammar.find_dot_segment(path):
        raise refuse("bad_head:dot_segment")
    return path


def is_same_host(scheme: bytes, first: Authority, second: Authority) -> bool:
    """Whether both name one server: `http://a:80/` and `Host: a` do."""
    default = _DEFAULT_PORTS[scheme]
    return first.host == second.host and (first.port or default) == (second.port or default)


@lru_cache(maxsize=512)  # a site has few names; a flood of others only misses
def _parse_authority(value: bytes) -> Authority | None:
    found = grammar.match_authority(value.lower())
    if found is None:
        return None
    host, port = found.group(1).removesuffix(b"."), found.group(2)
    if port is not None and int(port) > 65535:
        return None
    if host.startswith(b"[") and not _is_ipv6(host[1:-1].decode("ascii")):
        return None
    return Authority(host.decode("ascii"), int(port) if port else None, host + b":" + port if port else host)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _origin_form(target: bytes) -> Target:
    raw_path, mark, query = target.partition(b"?")
    if not grammar.is_path(raw_path) or not grammar.is_query(query):
        raise refuse("bad_head:target")
    raw_path = grammar.sub_unwise(_encode, raw_path)
    query = grammar.sub_unwise(_encode, query)
    return Target(raw_path, query, raw_path + mark + query)


def _absolute_form(method: bytes, scheme: bytes, authority: bytes, rest: bytes) -> Target:
    named = parse_authority(authority)
    if named is None:
        raise refuse("bad_head:host_bad", "The host in the request target is not a name or address.")
    if not rest and method == b"OPTIONS":  # RFC 9112, 3.2.4: this is how "*" looks on its way through a proxy
        origin = Target(b"*", b"", b"*")
    else:
        origin = _origin_form(rest if rest.startswith(b"/") else b"/" + rest)
    return origin._replace(scheme=scheme.lower(), authority=named)


def _encode(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]
