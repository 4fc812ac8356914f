"""A request of our own on behalf of another, and its answer, kept in memory up to a bound.

Plays the client's part towards the handlers of pools and upstreams. Knows nobody who is asked, and no rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trivet_common.access_log import AccessRecord
from trivet_common.http1.reasons import refuse
from trivet_common.http1.request import RequestHead

from ..body import EMPTY
from ..request import Request
from ..shape import Headers
from ..stall import Stall
from ..writer import ResponseWriter

if TYPE_CHECKING:
    from ..resources import Resources
    from ..route import CompiledRoute
    from ..wire import Wire

_MOST = 256 * 1024  # bytes of an answer's body: a page to log in, not a download
# What is said of the body, which is not sent, or would turn the answer into a part or into "not modified".
_NOT_ASKED = frozenset(
    b"content-length content-type content-encoding content-language content-range content-md5 expect range "
    b"if-match if-none-match if-modified-since if-unmodified-since if-range".split()
)


def ask_for(request: Request, target: bytes, route: CompiledRoute, host: bytes | None) -> Request:
    """A GET of `target` with the client's headers. `host`: of who is asked, else the client's."""
    head = request.head
    path, _, query = target.partition(b"?")
    asked = RequestHead(b"GET", target, path, path, query, False)
    asked.headers = [field for field in head.headers if field[0] not in _NOT_ASKED]
    asked.hop_by_hop = head.hop_by_hop
    asked.authority, asked.host = head.authority, head.host
    found = Request(asked, EMPTY, request.client, request.request_id, AccessRecord(), request.resources)
    found.route = route
    found.user, found.hidden, found.added = request.user, request.hidden, request.added
    found.asked = request.asked  # X-Forwarded-Host is the client's word
    if host is not None:
        asked.authority = host
    return found


class Answer(ResponseWriter):
    """What the handler writes; complete once it is `finished`."""

    __slots__ = ("_pieces", "headers", "reason")

    def __init__(self, wire: Wire, stall: Stall, resources: Resources) -> None:
        """`wire`: the client's, to see whether it has left."""
        super().__init__(wire, stall, resources, EMPTY, b"GET", False, False)
        self.headers: Headers = ()
        self.reason: bytes | None = None
        self._pieces: list[bytes] = []

    @property
    def content(self) -> bytes:
        return b"".join(self._pieces)

    async def send(
        self, status: int, headers: Headers, body: bytes = b"", reason: bytes | None = None
    ) -> None:
        self.start(status, reason, headers, len(body))
        self.write(body)
        self.finished = True

    async def send_ready(self, headers: Headers, head: bytes, body: bytes, status: int = 200) -> None:
        await self.send(status, headers, body)

    def start_ready(self, headers: Headers, head: bytes, length: int, status: int = 200) -> None:
        self.start(status, None, headers, length)

    def start(self, status: int, reason: bytes | None, headers: Headers, length: int | None) -> None:
        self.started = True
        self.status, self.reason, self.headers = status, reason, headers

    def write(self, piece: bytes) -> None:
        self.sent += len(piece)
        if self.sent > _MOST:
            raise refuse("auth_bad", f"Its answer is larger than {_MOST} bytes.")
        self._pieces.append(piece)

    @property
    def has_room(self) -> bool:
        return True

    async def wait(self, upstream: Wire | None) -> None:
        if upstream is not None:
            await upstream.wait_until_readable()

    async def send_file(self, fd: int, offset: int, count: int) -> int:
        raise refuse("auth_bad", "Its answer is a file.")

    async def finish(self) -> None:
        self.finished = True

    def take_back(self) -> bool:
        self.started = False
        self.status, self.sent = 0, 0
        self._pieces.clear()
        return True

    def close_without_end(self) -> None:
        """The client's connection is none of ours to end."""

    def interim(self, head: bytes = b"") -> None:
        """What is said before an answer is not for the client."""
