"""Listening sockets: bound once by the topmost master, inherited by every child, surviving them all.

Owns binding, adoption (systemd's descriptors) and unlinking. Knows nothing of what is accepted.
"""

import errno
import grp
import os
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from trivet_common.config import Listen

# Connections the kernel keeps while a process is being replaced; nginx's is 511.
_BACKLOG = 2048
# sd_listen_fds(3): the first descriptor passed.
_FIRST_ADOPTED = 3


class ListenError(Exception):
    """An address that cannot be listened on; the text is one sentence with the way out."""


class BoundListener:
    """One socket and what is known of the address it stands for."""

    __slots__ = ("is_shared", "listen", "socket")

    def __init__(self, listen: Listen, sock: socket.socket, is_shared: bool) -> None:
        self.listen = listen
        self.socket = sock
        # One socket for several processes: each accepts one connection a wake-up, so that they spread.
        self.is_shared = is_shared

    def __repr__(self) -> str:
        return f"<BoundListener {self.text}>"

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
            if group[0].listen.kind == "unix" and group[0].listen.path
        ]


def bind(listens: Sequence[Listen], processes: int, patience: float = 0.0) -> Listeners:
    """Bind every address for so many processes. Raises ListenError; nothing stays bound then.

    `patience` (s): how long to wait for a port that a killed predecessor's children are about to leave.
    """
    groups: list[list[BoundListener]] = []
    try:
        for listen in listens:
            groups.extend(_bind_one(listen, processes, time.monotonic() + patience))
    except BaseException:
        for group in groups:
            for bound in group:
                bound.socket.close()
        raise
    return Listeners(groups)


def _bind_one(listen: Listen, processes: int, until: float) -> list[list[BoundListener]]:
    if listen.kind == "unix":
        return [[BoundListener(listen, _bind_unix(listen), True)]]
    if listen.kind == "fd":
        return [[BoundListener(listen, sock, True)] for sock in _adopt(listen)]
    groups = []
    port = listen.port or 0
    for family, host in _families(listen):
        sockets = _bind_tcp(listen, family, host, port, processes, until)
        port = sockets[0].getsockname()[1]
        groups.append([BoundListener(listen, sock, False) for sock in sockets])
    return groups


def _families(listen: Listen) -> list[tuple[socket.AddressFamily, str]]:
    if listen.host is not None:
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        if family == socket.AF_INET and not _is_ipv4(listen.host):
            return _resolve(listen)
        return [(family, listen.host)]
    if socket.has_ipv6 and _has_ipv6():
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    return [(socket.AF_INET, "0.0.0.0")]


def _resolve(listen: Listen) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(listen.host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(
            f"listen: {listen.address}: the name does not resolve ({error.strerror})"
        ) from error
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bind_tcp(
    listen: Listen, family: socket.AddressFamily, host: str, port: int, processes: int, until: float
) -> list[socket.socket]:
    # Once without SO_REUSEPORT: with it a second instance of ours would share the port unnoticed.
    probe = _bind_patiently(listen, family, host, port, until)
    port = probe.getsockname()[1]
    probe.close()
    sockets = []
    for _ in range(processes):
        sock = _tcp_socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind_to(listen, sock, host, port)
        sock.listen(_BACKLOG)
        sockets.append(sock)
    return sockets


def _bind_patiently(
    listen: Listen, family: socket.AddressFamily, host: str, port: int, until: float
) -> socket.socket:
    while True:
        sock = _tcp_socket(family)
        try:
            sock.bind((host, port))
            return sock
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRINUSE or time.monotonic() >= until:
                raise _explain(listen, error) from error
            time.sleep(0.05)


def _tcp_socket(family: socket.AddressFamily) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    # Connections of an earlier run in TIME_WAIT must not keep us from binding.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Set on the listener, inherited by what is accepted: one system call less a connection.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


def _bind_to(listen: Listen, sock: socket.socket, host: str, port: int) -> None:
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise _explain(listen, error) from error


def _bind_unix(listen: Listen) -> socket.socket:
    """Bind under a temporary name and rename: a path without a listener is never seen."""
    path = listen.path
    assert path is not None
    _refuse_taken(listen, path)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    before = os.umask(0o177)
    try:
        fresh.unlink(missing_ok=True)
        sock.bind(os.fspath(fresh))
        if listen.group is not None:
            os.chown(fresh, -1, grp.getgrnam(listen.group).gr_gid)
        os.chmod(fresh, listen.mode or (0o660 if listen.group is not None else 0o600))
        sock.listen(_BACKLOG)
        os.rename(fresh, path)
    except (OSError, KeyError) as error:
        sock.close()
        fresh.unlink(missing_ok=True)
        raise _explain(listen, error) from error
    finally:
        os.umask(before)
    return sock


def _refuse_taken(listen: Listen, path: Path) -> None:
    """A socket somebody answers on is not ours to take; one nobody answers on is a killed run's."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ListenError(
                f"listen: {listen.address}: exists and is no socket; remove it or choose another"
            )
    except FileNotFoundError:
        return
    except OSError as error:
        raise _explain(listen, error) from error
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.settimeout(1.0)
        try:
            other.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except OSError:
            pass
    raise ListenError(f"listen: {listen.address}: another program is listening there")


def _adopt(listen: Listen) -> list[socket.socket]:
    """The descriptors systemd passed under this name (sd_listen_fds(3), FileDescriptorName=), or a number."""
    name = listen.fd_name or ""
    if name.isdigit():
        numbers = [int(name)]
    else:
        if os.environ.get("LISTEN_PID") != str(os.getpid()):
            raise ListenError(
                f"listen: {listen.address}: no sockets were passed to us (LISTEN_PID); start the .socket unit"
            )
        names = os.environ.get("LISTEN_FDNAMES", "").split(":")
        numbers = [_FIRST_ADOPTED + i for i, each in enumerate(names) if each == name]
        if not numbers:
            raise ListenError(
                f"listen: {listen.address}: no such name among the passed sockets ({', '.join(names)})"
            )
    return [_adopt_one(listen, number) for number in numbers]


def _adopt_one(listen: Listen, number: int) -> socket.socket:
    try:
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ListenError(
                f"listen: {listen.address}: descriptor {number} is not a listening stream socket"
            )
    except OSError as error:
        raise ListenError(f"listen: {listen.address}: descriptor {number}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


def _explain(listen: Listen, error: OSError | KeyError) -> ListenError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        why = "the address is taken by another program; choose another port or stop that program"
    elif number == errno.EACCES and listen.kind == "tcp":
        why = "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a port from 1024 on"
    elif number == errno.EADDRNOTAVAIL:
        why = "no interface of this machine has that address"
    elif isinstance(error, OSError):
        why = error.strerror or str(error)
    else:
        why = f"there is no group {listen.group}"
    return ListenError(f"listen: {listen.address}: {why}")


def _is_ipv4(host: str) -> bool:
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True
