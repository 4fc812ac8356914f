"""Trailers of an answer: whether the client wants them, and which of them it may see.

RFC 9110, 6.5: a trailer is only for who has said that it looks at them. Those of a request are dropped
(http1/chunked.py checks them). Knows no connection.
"""

from __future__ import annotations

from collections.abc import Iterable

from trivet_common.http1.framing import last_chunk
from trivet_common.http1.grammar import is_token
from trivet_common.http1.request import RequestHead
from trivet_common.http1.response import ResponseHead

from ..forwarded import Field, ResponseSieve

# RFC 9110, 6.5.1: what says how the answer is to be read, kept or obeyed came too late, or was smuggled in.
_NEVER = frozenset(
    b"age authorization cache-control content-encoding content-range content-type date expires location "
    b"pragma proxy-authenticate retry-after set-cookie vary warning www-authenticate".split()
)


def wants_trailers(head: RequestHead) -> bool:
    """TE: trailers of an HTTP/1.1 client (RFC 9110, 10.1.4)."""
    if head.is_http10:
        return False
    said = head.get(b"te")
    return said is not None and b"trailers" in [word.strip() for word in said.lower().split(b",")]


def last_chunk_for(trailers: Iterable[Field], head: ResponseHead, sieve: ResponseSieve) -> bytes:
    """The end of a chunked body, and behind it those that a client may see."""
    never = _NEVER | head.hop_by_hop
    return last_chunk([field for field in trailers if sieve[field[0]] and field[0] not in never])


def announced(head: ResponseHead, sieve: ResponseSieve) -> list[Field]:
    """The Trailer field, of the names that may come."""
    said, never = head.get(b"trailer"), _NEVER | head.hop_by_hop
    names = [name.strip().lower() for name in said.split(b",")] if said else []
    names = [name for name in names if is_token(name) and sieve[name] and name not in never]
    return [(b"trailer", b", ".join(names))] if names else []
