"""What a server says before its answer: passed on to the client, or the switch of protocols it was asked for.

RFC 9110, 15.2: a proxy forwards 1xx, but for the 100 it has caused itself. Knows no connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trivet_common.http1.reasons import refuse
from trivet_common.http1.response import ResponseHead, build_response_head

from ..forwarded import ResponseSieve, response_headers_for_client
from ..wire import WireClosed

if TYPE_CHECKING:
    from ..writer import ResponseWriter


class Interim:
    """Called with each such head; True: it is the last one, a 101 that was asked for."""

    __slots__ = ("_protocol", "_sieve", "_writer")

    def __init__(self, writer: ResponseWriter, sieve: ResponseSieve, protocol: bytes | None = None) -> None:
        """`protocol`: the one asked for, in lower case; None: no 101 is wanted."""
        self._writer = writer
        self._sieve = sieve
        self._protocol = protocol

    def __call__(self, head: ResponseHead) -> bool:
        if head.status == 101:
            return self._protocol is not None and (head.get(b"upgrade") or b"").lower() == self._protocol
        if head.status != 100:
            fields = response_headers_for_client(head, self._sieve)
            try:
                self._writer.interim(build_response_head(head.status, None, fields))
            except WireClosed:
                raise refuse("client_left") from None
        return False
