"""How a site is reached when its proxy runs in a container: the ports, or why it would not be reached at all.

Derived from what the file listens on. Knows neither Docker's nor Kubernetes' formats.
"""

from collections.abc import Sequence
from typing import NamedTuple

from trivet_common.config import Listen

from .refusal import Refusal

# Instead of an only address that nobody outside of a container could reach.
PORT = 8080
_EVERYWHERE = (None, "0.0.0.0", "::")
_LOOPBACK = ("127.", "::1", "localhost")
_USUAL = {"http": 80, "https": 443}


class Port(NamedTuple):
    """One that is published. `service` is its number in front of a cluster's pods."""

    name: str
    number: int
    service: int


class Ports(NamedTuple):
    """`is_given`: the file's own listeners are not used, PORT is listened on instead."""

    published: tuple[Port, ...]
    is_given: bool = False
    notes: tuple[str, ...] = ()

    @property
    def has_privileged(self) -> bool:
        return any(port.number < 1024 for port in self.published)


def ports(listeners: Sequence[Listen]) -> Ports:
    """Raises Refusal where the file must be changed first."""
    if len(listeners) == 1 and _is_plain(listeners[0]) and not _is_reached(listeners[0]):
        text = f"listen: {listeners[0]} is reached in no container: there, port {PORT} is listened on instead"
        return Ports((Port("http", PORT, 80),), True, (text,))
    for listen in listeners:
        _refuse(listen)
    reached = [listen for listen in listeners if _is_reached(listen)]
    if not reached:
        first = listeners[0]
        raise Refusal(
            f"listen: {first} is not reached from outside of a container; write every address of it, "
            f'for instance {{address: ":{first.port or 8443}", ...}}'
        )
    notes = [
        f"listen: {listen} is reached from inside of the proxy's container only"
        for listen in listeners
        if not _is_reached(listen)
    ]
    notes += [
        f"listen: {listen} takes connections from its proxy_protocol networks only: the address that a "
        "published port is seen to come from (the bridge's, a node's) must be one of them"
        for listen in reached
        if listen.proxy_protocol is not None
    ]
    return Ports(_named(reached), False, tuple(notes))


def _is_plain(listen: Listen) -> bool:
    """Nothing but an address: another one can stand for it."""
    return listen.tls is None and listen.proxy_protocol is None and listen.scheme == "http"


def _is_reached(listen: Listen) -> bool:
    return listen.kind == "tcp" and listen.host in _EVERYWHERE and bool(listen.port)


def _refuse(listen: Listen) -> None:
    if listen.kind == "fd":
        raise Refusal(f"listen: {listen}: no socket is passed into a container; write its port")
    if listen.kind == "tcp" and not listen.port:
        raise Refusal(f"listen: {listen}: a container's port must be known; write its number")
    if listen.kind == "tcp" and not _is_reached(listen) and not (listen.host or "").startswith(_LOOPBACK):
        raise Refusal(
            f'listen: {listen}: a container does not have that address; write ":{listen.port}", and the '
            "address in `ports:` of docker-compose.yml"
        )


def _named(listeners: Sequence[Listen]) -> tuple[Port, ...]:
    """An only port of its scheme is the usual one in front of pods; names are unique."""
    schemes: dict[int, str] = {}
    for listen in listeners:
        schemes.setdefault(listen.port or 0, "https" if listen.tls is not None else "http")
    found: list[Port] = []
    for number, scheme in schemes.items():
        is_first = scheme not in (port.name for port in found)
        is_only = list(schemes.values()).count(scheme) == 1
        usual = _USUAL[scheme]
        service = usual if is_only and (usual == number or usual not in schemes) else number
        found.append(Port(scheme if is_first else f"{scheme}-{number}", number, service))
    return tuple(found)
