"""Listening sockets: bound once by the topmost master, inherited by every child, surviving them all.

Owns which process gets which socket, and unlinking. Knows nothing of what is accepted.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from trivet_common.binding import ListenError, adopt, adopt_named, bind_tcp, bind_unix, families
from trivet_common.config import Listen
from trivet_common.inherited import Inherited

# How often a port is chosen for both families before their error is believed.
_MOST_CHOICES = 8
_EVERYWHERE = [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]


class BoundListener:
    """One socket and what is known of the address it stands for."""

    __slots__ = ("is_foreign", "is_lent", "is_shared", "listen", "socket")

    def __init__(
        self,
        listen: Listen,
        sock: socket.socket,
        is_shared: bool,
        *,
        is_foreign: bool = False,
        is_lent: bool = False,
    ) -> None:
        self.listen = listen
        self.socket = sock
        # One socket for several processes: each accepts one connection a wake-up, so that they spread.
        self.is_shared = is_shared
        # systemd's: another process of the same unit will accept on it when we are gone.
        self.is_foreign = is_foreign
        # The version before ours or after ours accepts on it too, and one of us will be the last.
        self.is_lent = is_lent

    def __repr__(self) -> str:
        return f"<BoundListener {self.text}>"

    @property
    def is_borrowed(self) -> bool:
        """Not ours to shut, nor to unlink."""
        return self.is_foreign or self.is_lent

    @property
    def scheme(self) -> str:
        scheme: str = self.listen.scheme
        return scheme

    @property
    def text(self) -> str:
        """The address as it was bound, with the port the kernel chose for port 0."""
        name = self.socket.getsockname()
        if isinstance(name, tuple):
            return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
        # Not what the kernel calls it: it was bound under a temporary name.
        return f"unix:{self.listen.path or (name if isinstance(name, str) else os.fsdecode(name))}"

    @property
    def url(self) -> str:
        """What to type into a browser, or curl's words for a Unix socket."""
        name = self.socket.getsockname()
        if not isinstance(name, tuple):
            return self.text
        host = "localhost" if name[0] in ("0.0.0.0", "::") else name[0]
        host = f"[{host}]" if ":" in host else host
        port = "" if name[1] == {"http": 80, "https": 443}[self.scheme] else f":{name[1]}"
        return f"{self.scheme}://{host}{port}/"


class Listeners:
    """All sockets of a site: for each address one that all processes share, or one for each process."""

    def __init__(self, groups: Sequence[Sequence[BoundListener]]) -> None:
        self._groups = groups
        # Paths are removed by the process that made them and by nobody who merely inherited the list.
        self._owner = os.getpid()
        self._inodes = {path: path.lstat().st_ino for path in self._paths()}

    def __repr__(self) -> str:
        return f"<Listeners {' '.join(group[0].text for group in self._groups)}>"

    def __iter__(self) -> Iterator[BoundListener]:
        """One an address."""
        return (group[0] for group in self._groups)

    def for_process(self, index: int) -> list[BoundListener]:
        """The sockets of process `index`: always the same, so that its backlog waits for its successor."""
        return [group[index % len(group)] for group in self._groups]

    def every(self) -> Iterator[BoundListener]:
        """Each socket, also those of one address."""
        return (listener for group in self._groups for listener in group)

    def lend(self, is_lent: bool = True) -> None:
        """A successor serves them from now on; or, False, our predecessor does no more."""
        for listener in self.every():
            listener.is_lent = is_lent
        self._inodes = {path: path.lstat().st_ino for path in self._paths()}

    def close(self) -> None:
        for group in self._groups:
            for listener in group:
                listener.socket.close()

    def unlink(self) -> None:
        """Remove the paths of Unix sockets, unless somebody else's socket stands there by now."""
        if os.getpid() != self._owner:
            return
        for path, inode in self._inodes.items():
            try:
                if path.lstat().st_ino == inode:
                    path.unlink()
            except OSError:
                pass

    def _paths(self) -> list[Path]:
        return [
            group[0].listen.path
            for group in self._groups
            if group[0].listen.kind == "unix" and group[0].listen.path and not group[0].is_borrowed
        ]


def bind(
    listens: Sequence[Listen], processes: int, patience: float = 0.0, inherited: Inherited | None = None
) -> Listeners:
    """Bind every address for so many processes, or take what was inherited for it. Raises ListenError.

    Nothing stays bound then. `patience` (s): how long to wait for a port that a killed predecessor's
    children are about to leave.
    """
    inherited = inherited or Inherited({})
    groups: list[list[BoundListener]] = []
    try:
        for listen in listens:
            found = _take_over(listen, processes, inherited)
            groups.extend(found or _bind_one(listen, processes, time.monotonic() + patience))
    except BaseException:
        for group in groups:
            for bound in group:
                bound.socket.close()
                if bound.listen.kind == "unix" and bound.listen.path is not None and not bound.is_borrowed:
                    bound.listen.path.unlink(missing_ok=True)
        raise
    return Listeners(groups)


def _take_over(listen: Listen, processes: int, inherited: Inherited) -> list[list[BoundListener]]:
    """The groups for one listener out of what stood before us, if any of it did."""
    if listen.kind == "fd":
        return [
            [BoundListener(listen, sock, True, is_foreign=True)] for sock in adopt_named(listen, inherited)
        ]
    if listen.kind == "unix":
        numbers = [inherited.at(socket.AF_UNIX, os.fspath(listen.path or ""))]
    elif listen.host is None and (both := inherited.at_both(listen.port or 0)):
        numbers = [both]
    else:
        # Not by what could be bound here: a unit may forbid that, and is passed sockets of both families.
        asked = _EVERYWHERE if listen.host is None else families(listen)
        numbers = [inherited.at(family, (host, listen.port)) for family, host in asked]
    return [group for some in numbers for group in _groups(listen, some, processes, inherited)]


def _groups(
    listen: Listen, numbers: Sequence[int], processes: int, inherited: Inherited
) -> list[list[BoundListener]]:
    sockets = [adopt(listen, number) for number in numbers]
    whose = {"is_foreign": bool(inherited.foreign & set(numbers)), "is_lent": inherited.is_ours}
    if len(sockets) == processes > 1:
        return [[BoundListener(listen, sock, False, **whose) for sock in sockets]]
    # Another number of processes than before: whoever waits in a backlog is served by all of them.
    return [[BoundListener(listen, sock, True, **whose)] for sock in sockets]


def _bind_one(listen: Listen, processes: int, until: float) -> list[list[BoundListener]]:
    if listen.kind == "unix":
        return [[BoundListener(listen, bind_unix(listen), True)]]
    # With port 0 the second family may find the port the kernel chose for the first one taken.
    for _ in range(_MOST_CHOICES if not listen.port else 0):
        try:
            return _bind_families(listen, processes, until)
        except ListenError:
            continue
    return _bind_families(listen, processes, until)


def _bind_families(listen: Listen, processes: int, until: float) -> list[list[BoundListener]]:
    """All addresses of one listener on one port, or nothing."""
    groups: list[list[BoundListener]] = []
    port = listen.port or 0
    with contextlib.ExitStack() as bound:
        for family, host in families(listen):
            sockets = bind_tcp(listen, family, host, port, processes, until)
            for sock in sockets:
                bound.callback(sock.close)
            port = sockets[0].getsockname()[1]
            groups.append([BoundListener(listen, sock, False) for sock in sockets])
        bound.pop_all()
    return groups
