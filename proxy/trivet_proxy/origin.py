"""What counts as one client: an IPv4 address, or the /64 that an IPv6 host may choose its addresses from."""

import socket

_MAPPED = b"\0" * 10 + b"\xff\xff"


def origin_of(address: str) -> bytes:
    """The same for all addresses of one client; "" (a Unix socket) is one client."""
    if ":" not in address:
        return address.encode("ascii", "replace")
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:
        return address.encode("ascii", "replace")
    if packed.startswith(_MAPPED):
        return socket.inet_ntoa(packed[12:]).encode("ascii")
    return packed[:8]
