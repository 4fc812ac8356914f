"""What becomes of a connection that was accepted: it is let in or not, and gets the task that serves it.

The one place that knows that there are two kinds, plain and encrypted. Knows no listening socket's queue.
"""

from __future__ import annotations

import socket
from functools import partial

import trio

from trivet_common.listeners import BoundListener

from .admission import is_admitted, peer_of
from .clients import Clients
from .complaints import Complaints
from .connection import Connection
from .doors import Doors
from .introduction import IntroductionError
from .introduction_wait import hear_introduction
from .omissions import Omissions
from .resources import Resources
from .tls_connection import TlsConnection
from .tls_wire import TlsWire
from .wire import Wire


class Newcomer:
    """A connection of which nobody knows yet whom it is for. It counts; while silent it may be closed."""

    __slots__ = ("wire",)

    def __init__(self, sock: socket.socket) -> None:
        self.wire = Wire(sock)  # of no address: the balancer's is not the client's

    def __repr__(self) -> str:
        return f"<Newcomer {self.wire!r}>"


class Reception:
    """One a process. `receive` never waits: a handshake is a matter of the connection's own task."""

    def __init__(
        self,
        nursery: trio.Nursery,
        resources: Resources,
        clients: Clients,
        complaints: Complaints,
        doors: Doors,
    ) -> None:
        self._nursery = nursery
        self._resources = resources
        self._clients = clients
        self._complaints = complaints
        self._omissions = Omissions(complaints)
        self._doors = doors

    def __repr__(self) -> str:
        return f"<Reception {self._clients!r} {self._doors!r}>"

    def receive(self, sock: socket.socket, address: object, listener: BoundListener) -> None:
        if listener.listen.proxy_protocol is not None:
            newcomer = Newcomer(sock)
            self._clients.enter(newcomer)  # before its task has run: a burst must not pass the limit
            self._clients.begin_idle(newcomer)
            self._nursery.start_soon(self._introduce, sock, peer_of(address), listener, newcomer)
        else:
            self._serve(sock, address, listener)

    async def _introduce(
        self, sock: socket.socket, sender: str | None, listener: BoundListener, newcomer: Newcomer
    ) -> None:
        """First hear whom the connection is for."""
        assert listener.listen.proxy_protocol is not None
        try:
            begun = partial(self._clients.end_idle, newcomer)
            client = await hear_introduction(sock, sender, listener.listen.proxy_protocol, begun)
            self._serve(sock, client, listener)
        except IntroductionError as error:
            self._complaints.say("proxy_protocol", f"{sender or 'a Unix socket'} at {listener.text}: {error}")
            sock.close()
        except (OSError, trio.ClosedResourceError):
            sock.close()  # it has left, or was closed
        except trio.Cancelled:
            sock.close()  # we leave
            raise
        finally:
            self._clients.leave(newcomer)

    def _serve(self, sock: socket.socket, address: object, listener: BoundListener) -> None:
        if listener.listen.tls is not None:
            self._receive_encrypted(sock, address, listener)
            return
        wire = Wire(sock, peer_of(address))
        if self._lets_in(wire):
            connection = Connection(
                wire, listener.scheme, self._resources, self._clients, self._complaints, self._omissions,
                listener.listen.address,
            )  # fmt: skip
            self._nursery.start_soon(connection.run)

    def _receive_encrypted(self, sock: socket.socket, address: object, listener: BoundListener) -> None:
        door = self._doors.at(listener.listen.address)
        wire = TlsWire(sock, peer_of(address), door.wrap)
        if self._lets_in(wire):
            connection = TlsConnection(
                wire, door, self._resources, self._clients, self._complaints, self._omissions,
                listener.listen.address,
            )  # fmt: skip
            self._nursery.start_soon(connection.run)

    def _lets_in(self, wire: Wire) -> bool:
        trusted = self._resources.settings.trusted_proxies
        return is_admitted(wire, self._clients, trusted, self._complaints)
