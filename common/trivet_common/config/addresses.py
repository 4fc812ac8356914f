"""Addresses as they are written: listeners, upstream servers, and the networks of trusted proxies.

Owns their parsing into plain values; opens nothing and looks nothing up.
"""

import ipaddress
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from .problems import Mistake, shown
from .tls import Tls

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# sun_path of unix(7), less the closing NUL.
MAX_UNIX_PATH = 107

_PORT = re.compile(r"[0-9]{1,5}\Z")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_LABELS = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*\Z")
_FD_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}\Z")

# RFC 1918, loopback, link-local, and IPv6's unique local addresses (RFC 4193).
PRIVATE = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)


@dataclass(frozen=True, slots=True)
class Listen:
    """One listener. `kind` is tcp, unix or fd; a TCP host of None means every address of both families."""

    address: str
    kind: str
    host: str | None = None
    port: int | None = None
    path: Path | None = None
    fd_name: str | None = None
    scheme: str = "http"
    group: str | None = None
    mode: int | None = None
    tls: Tls | None = None
    proxy_protocol: "TrustedProxies | None" = None  # who begins each connection with a PROXY header
    name: str | None = None  # by which routes know it

    def __str__(self) -> str:
        return self.address

    @property
    def fixed(self) -> "Listen":
        """What only a restart can change."""
        return replace(self, name=None, tls=self.tls and self.tls.fixed)


@dataclass(frozen=True, slots=True)
class Server:
    """One server of an upstream: host and port, or the path of a Unix socket."""

    text: str
    scheme: str = "http"
    host: str | None = None
    port: int | None = None
    path: Path | None = None
    weight: int = 1
    backup: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Whose X-Forwarded-* are believed."""

    networks: tuple[Network, ...] = ()
    unix: bool = False

    def trusts(self, peer: str | None) -> bool:
        """Whether a peer is trusted; None is a peer on a Unix socket. What cannot be read is not."""
        if peer is None:
            return self.unix
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        # A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d.
        known = getattr(address, "ipv4_mapped", None) or address
        return any(known in network for network in self.networks)


def parse_listen(text: str, folder: Path) -> Listen:
    """Raises Mistake."""
    if text.startswith("unix:"):
        return Listen(text, "unix", path=_socket_path(text, folder))
    if text.startswith("fd:"):
        if not _FD_NAME.match(text[3:]):
            raise Mistake(
                f'"{shown(text)}" does not name a descriptor',
                'write "fd:NAME" with the FileDescriptorName= of the socket',
            )
        return Listen(text, "fd", fd_name=text[3:])
    if "," in text or " " in text:
        words = ", ".join(text.replace(",", " ").split())
        raise Mistake(f'"{shown(text)}" is more than one address', f"write a list: [{shown(words)}]")
    if "://" in text:
        rest = text.partition("://")[2].rstrip("/")
        raise Mistake(f'"{shown(text)}" is a URL, not an address', f"write {shown(rest) or '127.0.0.1:8000'}")
    if text.startswith("/"):
        raise Mistake(f'"{shown(text)}" is a path, not an address', f'write "unix:{shown(text)}"')
    if _PORT.match(text.removeprefix("*").removeprefix(":")):
        return Listen(text, "tcp", port=_port(text.rpartition(":")[2], text))
    host, port = _host_and_port(text, "listen on a port too", "127.0.0.1:8000")
    return Listen(text, "tcp", host=host, port=_port(port, text))


def parse_server(text: str, folder: Path) -> Server:
    """Raises Mistake."""
    if text.startswith("unix:"):
        return Server(text, path=_socket_path(text, folder))
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise Mistake(
            f'"{shown(text)}" is not a server', f'write "http://{shown(text)}" or "unix:/path/of.sock"'
        )
    if scheme not in ("http", "https"):
        raise Mistake(
            f'servers that speak "{shown(scheme)}" are not possible',
            'write "http://host:port", "https://host:port" or "unix:/path/of.sock"',
        )
    return _http_server(text, scheme, rest)


def parse_networks(words: list[str]) -> TrustedProxies:
    """Words are networks, addresses, `private` and `unix`. Raises Mistake."""
    networks: list[Network] = []
    for word in words:
        if word == "private":
            networks += [ipaddress.ip_network(text) for text in PRIVATE]
        elif word != "unix":
            networks.append(_plain(parse_network(word)))
    return TrustedProxies(tuple(networks), "unix" in words)


def parse_network(word: str) -> Network:
    """Raises Mistake."""
    try:
        return ipaddress.ip_network(word)
    except ValueError:
        pass
    try:
        right = ipaddress.ip_network(word, strict=False)
    except ValueError:
        if word == "*":
            hint = 'write private, or [0.0.0.0/0, "::/0"] to believe whoever connects'
            raise Mistake('"*" is not a network', hint) from None
        message = f'"{shown(word)}" is neither a network nor "private" nor "unix"'
        raise Mistake(message, "write for example 10.0.0.0/8, 192.0.2.7 or private") from None
    raise Mistake(f'"{shown(word)}" has bits set beyond its mask', f"write {right}")


def _plain(network: Network) -> Network:
    """An IPv4 network that is written as IPv6 (::ffff:10.0.0.0/104): clients are known by IPv4 addresses."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < 96:
        return network
    return parse_network(f"{mapped}/{network.prefixlen - 96}")


def is_numeric(host: str) -> bool:
    """Whether it is an address, and no name to look up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_host_name(text: str) -> bool:
    """Letters, digits, - and _ in labels between dots; IPv4 addresses are of this form too."""
    return bool(_HOST_LABELS.match(text))


def _http_server(text: str, scheme: str, rest: str) -> Server:
    place, slash, path = rest.partition("/")
    if path or "?" in place or "#" in place or "@" in place:
        bare = re.split(r"[?#]", place.rpartition("@")[2])[0]
        raise Mistake(
            f'"{shown(text)}" has more than a host and a port',
            f'write "{scheme}://{shown(bare)}"; the path of the request is kept',
        )
    if ":" not in place.rpartition("]")[2]:
        place += ":443" if scheme == "https" else ":80"
    host, port = _host_and_port(place, "name the server", "http://127.0.0.1:9000")
    number = _port(port, text)
    if not number:
        raise Mistake(f'"{shown(text)}" has port 0', "write the port the server listens on")
    return Server(text.rstrip("/") if slash else text, scheme, host, number)


def _host_and_port(text: str, purpose: str, example: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    if not colon or host.endswith(":"):
        raise Mistake(f'"{shown(text)}" has no port', f"write for example {example}")
    if host.startswith("[") and host.endswith("]"):
        return _ipv6(host[1:-1], text), port
    if "[" in host or "]" in host:
        raise Mistake(f'"{shown(text)}" has brackets that do not fit', 'write for example "[::1]:8000"')
    if ":" in host:
        raise Mistake(
            f'"{shown(text)}" is ambiguous',
            f'an IPv6 address stands in brackets: write "[{shown(host)}]:{shown(port)}"',
        )
    if not is_host_name(host):
        raise Mistake(
            f'"{shown(text)}" is not an address to {purpose.split()[0]}', f"write for example {example}"
        )
    return host, port


def _ipv6(host: str, text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError:
        raise Mistake(
            f'"{shown(text)}" has no IPv6 address in its brackets', 'write for example "[::1]:8000"'
        ) from None


def _port(text: str, whole: str) -> int:
    if not _PORT.match(text) or int(text) > 65535:
        raise Mistake(f'"{shown(whole)}" has no port that can be', "write a port from 1 to 65535")
    return int(text)


def _socket_path(text: str, folder: Path) -> Path:
    name = text.removeprefix("unix:")
    if not name or "\0" in name:
        raise Mistake(f'"{shown(text)}" names no socket', 'write for example "unix:/run/shop/http.sock"')
    if name.startswith("//"):
        raise Mistake(f'"{shown(text)}" has slashes too many', f'write "unix:/{shown(name.lstrip("/"))}"')
    path = folder / name
    length = len(str(path).encode("utf-8", "surrogateescape"))
    if length > MAX_UNIX_PATH:
        raise Mistake(
            f"the socket's path has {length} bytes, and the kernel takes {MAX_UNIX_PATH}",
            "use a shorter path",
        )
    return path
