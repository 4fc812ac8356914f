"""The servers of one upstream: those of now, the one that is next, and the requests that wait for one.

Outlives reloads that do not change it. Owns what becomes of servers as names change and failures come; what
is tried again is the visit's to decide.
"""

from __future__ import annotations

import select
import socket
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import trio

from trivet_common.config.addresses import Server as Place
from trivet_common.config.addresses import is_numeric
from trivet_common.http1.reasons import refuse

from ..deadlines import Deadlines
from ..dispatch.terms import QueueLimits
from ..dispatch.waiting import RETRY_AFTER, Claimant
from ..forwarded import ResponseSieve
from .balance import PICKS, Refusal, choose
from .line import Line
from .names import Address, Names
from .server import Server
from .tls_client import client_context, wrapping

if TYPE_CHECKING:
    from trivet_common.config import Upstream

    from .visit import Visit

_SWEEP = 0.25  # seconds
_MOST_TOLD = 16  # the upstream makes the names up


class Servers:
    """`run()` has its task. A Visit claims one server after the other."""

    def __init__(
        self,
        upstream: Upstream,
        deadlines: Deadlines,
        warn: Callable[[str], None],
        index: int = 0,
        processes: int = 1,
    ) -> None:
        """For process `index` of so many. Raises OSError for authorities that cannot be read."""
        self.upstream = upstream
        self.name = upstream.name
        self.tunnels = 0  # open now
        self.under_way: set[Visit] = set()  # from the request to the end of the answer
        self.sieve = ResponseSieve(self._tell_of_order)
        self.deadlines = deadlines
        self._warn = warn
        self._told: set[bytes] = set()
        self._most = upstream.max_connections and -(-upstream.max_connections // processes)
        self._pick = PICKS[upstream.balance]
        is_encrypted = any(place.scheme == "https" for place in upstream.servers)
        self._context = client_context(upstream.tls) if is_encrypted else None
        self._servers: list[Server] = []
        self._line = Line(
            QueueLimits.share(upstream.queue.limit, upstream.queue.timeout, index, processes), deadlines
        )
        named = []
        for place in upstream.servers:
            address = _address_of(place)
            if address is None:
                named.append(place)
            else:
                self._take(place, [address])
        # One process says it for all.
        self._names = Names(named, self._take, self._tell if index == 0 else lambda text: None)
        self._scope = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<Servers {self.name} {self._line!r} {self._servers!r}>"

    async def run(self) -> None:
        """Until `close`, and what was under way then is over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep, self._sweep)
            with self._scope:
                await self._keep(self._names.run)

    def close(self) -> None:
        """Nobody names it any more. What is under way is finished."""
        self._scope.cancel()
        for server in self._servers:
            server.retire()

    async def claim(self, claimant: Claimant, tried: set[Server]) -> Server | None:
        """The next server, which the request has entered; None when all were tried.

        Raises HttpError upstream_unknown, queue_full, queue_timeout, client_left.
        """
        if not self._servers:
            await self._names.wait_until_known()
            if not self._servers:
                raise refuse("upstream_unknown", f"No name of {self.name} resolves.", headers=RETRY_AFTER)
        found = Refusal.FULL if self._line.newcomers and not tried else self._choose(tried)
        if found is Refusal.FULL:
            return await self._line.wait(claimant, lambda: self._choose(tried), is_again=bool(tried))
        if isinstance(found, Server):
            found.enter()
            return found
        return None

    def has_other(self, tried: set[Server]) -> bool:
        return any(server not in tried for server in self._servers)

    def note_success(self, server: Server) -> None:
        if server.ejection.note_success():
            self._tell(f"{server.title} is back")

    def note_failure(self, server: Server, what: str) -> None:
        if server.ejection.note_failure(trio.current_time()):
            fall = self.upstream.fall
            often = "a failure" if fall == 1 else f"{fall} failures in a row"
            self._tell(f"{server.title} is left out for a moment after {often} ({what})")

    def statistics(self) -> dict[str, object]:
        """For status pages and tests."""
        return {
            "waiting": self._line.waiting,
            "tunnels": self.tunnels,
            "servers": {
                server.title: {"busy": server.busy, "standing": server.standing().name.lower()}
                for server in self._servers
            },
        }

    async def _keep(self, task: Callable[[], Awaitable[None]]) -> None:
        """What goes wrong in one turn of a loop costs that turn; it would end the process."""
        while True:
            try:
                return await task()
            except Exception:
                self._tell(traceback.format_exc())
                await trio.sleep(1.0)

    async def _sweep(self) -> None:
        while self.under_way or self._line.waiting or not self._scope.cancel_called:
            await trio.sleep(_SWEEP)
            self._drop_gone()
            self._line.drop_gone()
            self._line.serve()  # a pause may be over

    def _drop_gone(self) -> None:
        """A server need not go on, and its connection is free, once the client has left: one system call."""
        if not self.under_way:
            return
        poll = select.poll()
        visits = {visit.client_fd: visit for visit in self.under_way}
        for fd in visits:
            if fd >= 0:  # else its task is about to see that it was closed
                poll.register(fd, select.POLLRDHUP)
        for fd, _ in poll.poll(0):
            visits[fd].give_up()

    def _choose(self, tried: set[Server]) -> Server | Refusal:
        left = [server for server in self._servers if server not in tried] if tried else self._servers
        return choose(left, Server.standing, self._pick)

    def _take(self, place: Place, addresses: Sequence[Address]) -> None:
        """These are the addresses of a place now: the new ones are used, those that are gone finish."""
        known = {server.address: server for server in self._servers if server.place is place}
        others = [server for server in self._servers if server.place is not place]
        self._servers = others + [
            known.pop(each) if each in known else self._make(place, each) for each in addresses
        ]
        for server in known.values():
            server.retire()
        self._line.serve()

    def _make(self, place: Place, address: Address) -> Server:
        wrap = None
        if place.scheme == "https":
            assert self._context is not None
            assert place.host is not None
            wrap = wrapping(self._context, self.upstream.tls.name or place.host)
        return Server(
            place, address, self.deadlines, wrap=wrap, most=self._most, fall=self.upstream.fall,
            tell_room=self._note_room,
        )  # fmt: skip

    def _note_room(self, server: Server) -> None:
        if self._line.waiting:
            self._line.serve()

    def _tell(self, what: str) -> None:
        self._warn(f"upstream {self.name}: {what}")

    def _tell_of_order(self, header: bytes) -> None:
        if header not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(header)
            self._tell(f"its {header.decode('latin-1')} was dropped: no route has internal: true")


def _address_of(place: Place) -> Address | None:
    """None where there is a name to look up."""
    if place.path is not None:
        return socket.AF_UNIX, str(place.path)
    if not is_numeric(place.host or ""):
        return None
    family = socket.AF_INET6 if ":" in (place.host or "") else socket.AF_INET
    return family, (place.host, place.port)
