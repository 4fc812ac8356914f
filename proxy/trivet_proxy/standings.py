"""Which servers of upstreams are asked and which are left out, as each process found for itself.

A process says it when it changes; the master keeps what each said last, for whoever asks for the status.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

Standings: TypeAlias = dict[str, dict[str, str]]  # of each upstream's servers: in, trial, out

_MOST_SERVERS = 64  # of one upstream: a resolver may name any number


class Tells(Protocol):
    """An upstream's servers (upstreams/servers.py)."""

    @property
    def name(self) -> str: ...
    def statistics(self) -> dict[str, Any]: ...


class Bulletin:
    """Of one process."""

    __slots__ = ("_said", "_say")

    def __init__(self, say: Callable[[bytes], None]) -> None:
        self._say = say
        self._said: Standings = {}

    def __repr__(self) -> str:
        return f"<Bulletin of {len(self._said)} upstreams>"

    def look(self, upstreams: Iterable[Tells]) -> None:
        """Say how they stand, if that has changed."""
        now = {one.name: _standings(one) for one in upstreams}
        if now != self._said:
            self._said = now
            self._say(json.dumps(now).encode())


def read_standings(told: bytes) -> Standings:
    """What a process said; of what is not in its shape, nothing."""
    try:
        found = json.loads(told)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name: {server: str(standing)[:16] for server, standing in servers.items()}
        for name, servers in found.items()
        if isinstance(servers, dict)
    }


def by_server(said: dict[int, Standings]) -> dict[str, dict[str, dict[str, str]]]:
    """Upstream, server, and how it stands in each process, by the index of that."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for index, standings in sorted(said.items()):
        for name, servers in standings.items():
            upstream = found.setdefault(name, {})
            for server, standing in servers.items():
                upstream.setdefault(server, {})[str(index)] = standing
    return found


def _standings(one: Tells) -> dict[str, str]:
    servers: dict[str, dict[str, str]] = one.statistics()["servers"]
    return {server: servers[server]["standing"] for server in list(servers)[:_MOST_SERVERS]}
