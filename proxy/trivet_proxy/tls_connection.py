"""A client connection that begins with a handshake, in its own task and within a time of its own.

Owns what comes before the first request: the handshake, a word to who speaks plain HTTP here, and what is
said of a client's certificate. Everything after it is a connection like any other.
"""

import hashlib
import time

from trivet_common.certificates import CertificateError, read_certificate
from trivet_common.http1.reasons import refuse
from trivet_common.http1.request import RequestHead

from .clients import Clients
from .complaints import Complaints
from .connection import Connection
from .door import Door
from .omissions import Omissions
from .request import Client
from .resources import Resources
from .stall import Stall
from .tls_wire import HandshakeFailed, TlsWire

_MINUTE = 60.0
# What OpenSSL calls a request in plain HTTP where a hello was to come.
_PLAIN = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})
# Of ours for the name asked for: `strict`, or a name that is none, or its certificates are shut.
_WORDS = {"CALLBACK_FAILED": "there is no certificate to show for the name it asks for"}
# Names are cut by nobody: two that begin alike would become one.
_LONGEST_NAME = 4096
_NO_CERTIFICATE = b"\r\nx-ssl-client-verify: NONE"


class TlsConnection(Connection):
    """A client's, over TLS."""

    __slots__ = ("_asks_for_certificate", "_credentials", "_is_greeted", "_timeout")

    def __init__(
        self,
        wire: TlsWire,
        door: Door,
        resources: Resources,
        clients: Clients,
        complaints: Complaints,
        omissions: Omissions,
        listener: str = "",
    ) -> None:
        super().__init__(wire, "https", resources, clients, complaints, omissions, listener)
        self._timeout = door.tls.handshake_timeout
        self._asks_for_certificate = door.tls.client != "off"
        self._is_greeted = False
        self._credentials = b""

    async def _read(self) -> RequestHead | None:
        if not self._is_greeted and not await self._greet():
            return None
        return await super()._read()

    def _who(self, head: RequestHead) -> Client:
        client = super()._who(head)
        client.credentials = self._credentials
        return client

    async def _greet(self) -> bool:
        """The handshake. Raises WireClosed when it takes too long or the process leaves."""
        wire = self.wire
        assert isinstance(wire, TlsWire)
        self._patience.move(self._timeout, "handshake_timeout")
        try:
            await wire.shake_hands()
        except HandshakeFailed as failed:
            await self._refuse(wire, failed.reason)
            return False
        self._is_greeted = True
        self._patience.move(self._resources.settings.limits.header_timeout, "header_timeout")
        return not self._asks_for_certificate or self._identify(wire)

    async def _refuse(self, wire: TlsWire, reason: str) -> None:
        if reason in _PLAIN:
            bare = wire.give_up_encryption()
            self.wire = bare
            self._stall.end()
            self._stall = Stall(bare, self._resources.deadlines)
            await self._turn_away(refuse("plain_http"))
        elif reason:
            words = _WORDS.get(reason) or reason.lower().replace("_", " ")
            self._complaints.say(f"tls {reason}", f"no handshake with {wire.peer}: {words}", _MINUTE)

    def _identify(self, wire: TlsWire) -> bool:
        """What is said to the application of the client's certificate; False where that cannot be said."""
        der = wire.certificate
        try:
            self._credentials = credentials(der) if der else _NO_CERTIFICATE
        except CertificateError as error:
            self._complaints.say("tls name", f"{wire.peer} {error}: closed", _MINUTE)
            return False
        return True


def credentials(der: bytes) -> bytes:
    """Lines about a verified certificate, by the names other servers gave them. Raises CertificateError."""
    one = read_certificate(der)
    if one.not_after < time.time():
        # OpenSSL looks at it in a full handshake only: a ticket would be good for up to two hours more.
        raise CertificateError("has a certificate that has expired since its session began")
    if len(one.subject) > _LONGEST_NAME or len(one.issuer) > _LONGEST_NAME:
        raise CertificateError("has a certificate whose name is too long")
    lines = (
        "",
        "x-ssl-client-verify: SUCCESS",
        f"x-ssl-client-s-dn: {one.subject}",
        f"x-ssl-client-i-dn: {one.issuer}",
        f"x-ssl-client-serial: {one.serial}",
        f"x-ssl-client-fingerprint: {hashlib.sha256(der).hexdigest()}",
    )
    return "\r\n".join(lines).encode("ascii")
