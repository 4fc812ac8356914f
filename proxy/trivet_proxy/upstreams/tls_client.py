"""TLS towards a server: the context that believes it, and a wire whose handshake we begin.

Everything after the handshake is tls_wire.py's. Knows no address and no request.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

import trio

from trivet_common.config.settings import ServerTls

from .. import openssl
from ..tls_wire import TlsWire
from ..wire import Wire, WireClosed

Wrap = Callable[[socket.socket], ssl.SSLSocket]


def client_context(tls: ServerTls) -> ssl.SSLContext:
    """Raises OSError (an SSLError is one) for authorities that cannot be read."""
    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def wrapping(context: ssl.SSLContext, name: str) -> Wrap:
    """For connections to a server of that name, or address."""

    def wrap(sock: socket.socket) -> ssl.SSLSocket:
        # An end without close_notify is an error: a body that ends with its connection may lack its end
        # (RFC 9112, 9.8).
        return context.wrap_socket(
            sock, server_hostname=name, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )

    return wrap


class ServerWire(TlsWire):
    """One connection to a server over TLS. `greet` first."""

    __slots__ = ()

    async def greet(self) -> None:
        """The handshake; raises OSError that says why there is none, WireClosed. Endless by itself."""
        try:
            self._sock = self._wrap(self._sock)
            openssl.limit(self._sock)  # a server may send messages that are no data without end, too
        except ValueError as error:
            raise OSError(str(error)) from None
        while True:
            try:
                self._sock.do_handshake()
            except ssl.SSLWantReadError:
                await Wire.wait_until_readable(self)
            except ssl.SSLWantWriteError:
                await Wire.wait_until_writable(self)
            else:
                self._is_open = True
                return

    def has_input(self) -> bool:
        """Of a connection nobody waits for. What has come may be no data: tickets come when they like."""
        try:
            return self.is_ready_inside or self.fd < 0 or self.try_receive(1) is not None
        except WireClosed:  # by who sends nothing but messages
            return True


def reason_of(error: OSError) -> str:
    """In words a log can hold: of OpenSSL's long lines what is not its own file and line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed ({error.verify_message})"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"no TLS handshake ({error.reason.lower().replace('_', ' ')})"
    return error.strerror or str(error) or type(error).__name__


async def open_tls(sock: socket.socket, title: str, wrap: Wrap) -> ServerWire:
    """A connected socket made one over TLS; whoever calls bounds the time. Raises OSError, WireClosed."""
    wire = ServerWire(sock, title, wrap)
    try:
        await wire.greet()
    except (Exception, trio.Cancelled):
        wire.close("no handshake")
        raise
    return wire
