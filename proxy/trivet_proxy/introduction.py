"""Who a connection is for, as a proxy in front says before the first byte: the PROXY protocol, v1 and v2.

Protocol only: bytes in, an address out (haproxy.org's proxy-protocol.txt, 2.2 and 2.3). Knows no socket.
"""

import ipaddress
import re
import struct

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIRST_WORD = b"PROXY "
# "PROXY TCP6" with two addresses at their longest, and "UNKNOWN" with what no reader needs (section 2.1).
_LONGEST_LINE = 107
# Addresses need 36 bytes; what follows them (a certificate's fields, a balancer's ids) is read over.
_LONGEST_REST = 2048
_HEAD = struct.Struct("!12sBBH")
_LINE = re.compile(rb"PROXY (TCP4|TCP6) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (\d{1,5}) (\d{1,5})\r\n\Z")
_LOCAL, _PROXY = 0x20, 0x21
# Family and transport, to the size of one address.
_ADDRESSES = {0x11: 4, 0x21: 16}


class IntroductionError(Exception):
    """What came first is no such header; the text is for the log."""


class Introduction:
    """Of one connection. `take` is shown what has arrived and says how much of it is the header's."""

    __slots__ = ("_seen", "client", "is_whole")

    def __init__(self) -> None:
        self._seen = b""
        self.is_whole = False
        # The address that was told, and its port; None where the sender speaks for itself (a health check).
        self.client: tuple[str, int] | None = None

    def __repr__(self) -> str:
        return f"<Introduction {self.client} whole={self.is_whole}>"

    def take(self, data: bytes) -> int:
        """Raises IntroductionError. What is not the header's is the client's own."""
        whole = self._seen + data
        end = _end_of(whole)
        taken = whole if end is None else whole[:end]
        count = len(taken) - len(self._seen)
        self._seen = taken
        if end is not None and len(taken) == end:
            self.is_whole = True
            self.client = _read_binary(taken) if taken.startswith(_SIGNATURE) else _read_line(taken)
        return count


def _end_of(data: bytes) -> int | None:
    """Where the header ends; None while that is not known, and all of `data` belongs to it."""
    if data[:12] == _SIGNATURE[: len(data)]:
        if len(data) < _HEAD.size:
            return None
        rest = int(_HEAD.unpack_from(data)[3])
        if rest > _LONGEST_REST:
            raise IntroductionError(f"a PROXY header of {rest} bytes")
        return _HEAD.size + rest
    if data[: len(_FIRST_WORD)] == _FIRST_WORD[: len(data)]:
        end = data.find(b"\r\n", 0, _LONGEST_LINE)
        if end < 0 and len(data) >= _LONGEST_LINE:
            raise IntroductionError("a PROXY line without an end")
        return end + 2 if end >= 0 else None
    raise IntroductionError("no PROXY header")


def _read_line(line: bytes) -> tuple[str, int] | None:
    if line.startswith((b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ")):
        return None
    found = _LINE.match(line)
    if found is None:
        raise IntroductionError("a PROXY line that cannot be read")
    family, source, _, port, _ = found.groups()
    try:
        kind = ipaddress.IPv4Address if family == b"TCP4" else ipaddress.IPv6Address
        address = _plain(kind(source.decode()))
    except ValueError:
        raise IntroductionError("a PROXY line with an address that is none") from None
    if int(port) > 65535:
        raise IntroductionError("a PROXY line with a port that is none")
    return address, int(port)


def _read_binary(data: bytes) -> tuple[str, int] | None:
    _, command, family, rest = _HEAD.unpack_from(data)
    if command == _LOCAL:
        return None
    if command != _PROXY:
        raise IntroductionError(f"a PROXY header of version and command {command:#04x}")
    size = _ADDRESSES.get(family)
    if size is None:
        return None  # of another family: the sender's own address stands (section 2.2)
    if rest < 2 * size + 4:
        raise IntroductionError("a PROXY header too short for its addresses")
    at = _HEAD.size
    (port,) = struct.unpack_from("!H", data, at + 2 * size)
    return _plain(ipaddress.ip_address(data[at : at + size])), int(port)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """IPv4 also where the sender's dual-stack socket maps it: rules and limits are about one client."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
