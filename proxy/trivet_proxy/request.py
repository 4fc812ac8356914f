"""One request on its way through the handlers: what was asked, by whom, and what the log will say.

Only holds values; knows neither the socket nor how the answer gets there (writer.py).
"""

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trivet_common.access_log import AccessRecord
from trivet_common.http1.request import RequestHead

from .body import Body

if TYPE_CHECKING:
    from .orders import Order
    from .resources import Resources
    from .router import CompiledRoute

NOTHING: frozenset[bytes] = frozenset()
_match_id = re.compile(rb"[A-Za-z0-9._-]{1,128}").fullmatch


@dataclass(slots=True)
class Client:
    """Who asks, after the trust rules: values that can be logged and sent on as they are."""

    address: str  # the client's IP as far as it is believed; "" for a Unix socket
    peer: str | None  # the other end of the connection; None for a Unix socket
    scheme: str
    port: int
    forwarded_for: str  # the chain for the upstream
    is_trusted: bool  # the peer may speak for others
    listener: str = ""  # the address of the one it came to
    credentials: bytes = b""  # of its certificate, for the upstream: whole lines that begin with CRLF


class Request:
    """The first argument of every handler."""

    __slots__ = (
        "added", "asked", "body", "client", "groups", "head", "hidden", "order", "passed", "record",
        "request_id", "resources", "route", "user",
    )  # fmt: skip

    def __init__(
        self,
        head: RequestHead,
        body: Body,
        client: Client,
        request_id: str,
        record: AccessRecord,
        resources: "Resources",
    ) -> None:
        self.head = head  # as it goes on: a route may rewrite it
        self.asked = head  # as the client sent it
        self.body = body
        self.client = client
        self.request_id = request_id
        self.record = record
        self.resources = resources
        self.route: CompiledRoute | None = None  # None only until it is routed
        self.order: Order | None = None  # where it goes on, once a handler has said so
        self.groups: tuple[bytes | None, ...] = ()  # of its path_regex
        # What gates have found out.
        self.passed: tuple[object, ...] = ()  # gates: `fallback: next` leads through none of them twice
        self.user = b""
        self.hidden: frozenset[bytes] = NOTHING  # names of the client's that do not go on
        self.added: tuple[tuple[bytes, bytes], ...] = ()  # fields that go on, whatever the client said

    def __repr__(self) -> str:
        return f"<Request {self.request_id} {self.head!r} from {self.client.address or 'unix'}>"


class RequestIds:
    """Names for requests: 32 hexadecimal digits, unique, and not to be guessed from another.

    Random bits in batches: one system call for 256 names.
    """

    __slots__ = ("_pool",)

    def __init__(self) -> None:
        self._pool: list[str] = []

    def new(self) -> str:
        if not self._pool:
            digits = os.urandom(256 * 16).hex()
            self._pool = [digits[at : at + 32] for at in range(0, len(digits), 32)]
        return self._pool.pop()

    def take(self, head: RequestHead, client: Client) -> str:
        """The name a trusted proxy has given it, else a new one."""
        if client.is_trusted:
            given = head.get(b"x-request-id")
            if given is not None and _match_id(given):
                return given.decode("ascii")
        return self.new()
