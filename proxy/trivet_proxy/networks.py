"""Whether a client's address lies in networks of the configuration; each address is looked up once.

Knows addresses as they are believed (forwarded.py), no request.
"""

from trivet_common.config import TrustedProxies

_MOST_KNOWN = 4096  # addresses; then it begins anew


class Networks:
    """`has(address)`: "" is a client on a Unix socket. An IPv4 address in IPv6 form is that IPv4 address."""

    __slots__ = ("_known", "_networks")

    def __init__(self, networks: TrustedProxies) -> None:
        self._networks = networks
        self._known: dict[str, bool] = {}

    def __repr__(self) -> str:
        return f"<Networks {self}>"

    def __str__(self) -> str:
        return ", ".join([*map(str, self._networks.networks), *(["unix"] if self._networks.unix else [])])

    def has(self, address: str) -> bool:
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[address] = self._networks.trusts(address or None)
        return known
