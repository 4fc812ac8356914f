"""Who has connected, whether one more of that address is let in, and what it is told if not.

Knows the limit of one client only; that of all together is a matter of when to accept (front.py).
"""

from trivet_common.config.addresses import TrustedProxies
from trivet_common.http1.reasons import refuse
from trivet_common.http1.response import build_response_head

from . import error_pages
from .clients import Clients
from .complaints import Complaints
from .wire import Wire, WireClosed

_MINUTE = 60.0


def is_admitted(wire: Wire, clients: Clients, trusted: TrustedProxies, complaints: Complaints) -> bool:
    """False, and it is told so and closed: its address has as many as limits.connections_per_client says.

    A trusted proxy is many clients, and so is everybody on a Unix socket.
    """
    if clients.most_of_one is None or trusted.trusts(wire.peer) or clients.has_room_for(wire.peer):
        return True
    complaints.say(
        "per_client", f"{wire.peer} has as many connections as limits.connections_per_client allows", _MINUTE
    )
    try:
        wire.try_send(_one_too_many())
    except WireClosed:
        pass  # it has gone by itself
    wire.close()
    return False


def peer_of(address: object) -> str | None:
    """The client's address as text, IPv4 also where a dual-stack socket maps it; None on a Unix socket."""
    if not isinstance(address, tuple):
        return None
    host: str = address[0].partition("%")[0]
    mapped = host.removeprefix("::ffff:")
    return mapped if "." in mapped else host


def _one_too_many() -> bytes:
    """The whole answer, unasked: to read a request first would cost what the limit is to save."""
    headers, page = error_pages.render(refuse("per_client"), "", None)
    fields = [*headers, (b"content-length", b"%d" % len(page)), (b"connection", b"close")]
    return build_response_head(503, None, fields) + page
