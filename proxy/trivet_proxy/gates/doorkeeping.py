"""`allow` and `deny`: where a client comes from, as far as that is believed.

Decided once for each address, and remembered. Knows no password.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from trivet_common.config.settings_access import Doorkeeping
from trivet_common.http1.reasons import refuse

from ..route import Handler

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

_MOST_KNOWN = 4096  # addresses; then it begins anew


def doorkeeping_gate(settings: Doorkeeping, inner: Handler) -> Handler:
    known: dict[str, bool] = {}

    async def look_at_address(request: Request, writer: ResponseWriter) -> None:
        address = request.client.address
        is_let_in = known.get(address)
        if is_let_in is None:
            if len(known) >= _MOST_KNOWN:
                known.clear()
            is_let_in = known[address] = may_enter(settings, address)
        if not is_let_in:
            raise refuse("denied")
        await inner(request, writer)

    return look_at_address


def may_enter(settings: Doorkeeping, address: str) -> bool:
    """`address`: "" is a client on a Unix socket; what is no address is in no network."""
    if not address:
        return next((verdict for network, verdict in settings.rules if network is None), settings.otherwise)
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    # A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d.
    client = getattr(found, "ipv4_mapped", None) or found
    for network, verdict in settings.rules:
        if network is not None and client in network:
            return verdict
    return settings.otherwise
