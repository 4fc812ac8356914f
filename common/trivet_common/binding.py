"""Sockets that listen: how one address is bound, or adopted from systemd, or why it cannot be.

Owns the errors' texts. Knows nothing of processes: see listeners.py for which of them gets which socket.
"""

import contextlib
import errno
import grp
import os
import socket
import stat
import time
from pathlib import Path

from trivet_common.config import Listen
from trivet_common.inherited import Inherited

# Connections the kernel keeps while a process is being replaced; nginx's is 511.
_BACKLOG = 2048


class ListenError(Exception):
    """An address that cannot be listened on; the text is one sentence with the way out."""


def families(listen: Listen) -> list[tuple[socket.AddressFamily, str]]:
    if listen.host is not None:
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        if family == socket.AF_INET and not _is_ipv4(listen.host):
            return _resolve(listen)
        return [(family, listen.host)]
    if socket.has_ipv6 and _has_ipv6():
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    return [(socket.AF_INET, "0.0.0.0")]


def bind_tcp(
    listen: Listen, family: socket.AddressFamily, host: str, port: int, processes: int, until: float
) -> list[socket.socket]:
    # Once without SO_REUSEPORT: with it a second instance of ours would share the port unnoticed.
    probe = _bind_patiently(listen, family, host, port, until)
    port = probe.getsockname()[1]
    probe.close()
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as bound:
        for _ in range(processes):
            sock = bound.enter_context(_tcp_socket(listen, family))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            _bind_to(listen, sock, host, port)
            sock.listen(_BACKLOG)
            sockets.append(sock)
        bound.pop_all()
    return sockets


def bind_unix(listen: Listen) -> socket.socket:
    """Bind under a temporary name and rename: a path without a listener is never seen."""
    path = listen.path
    assert path is not None
    _refuse_taken(listen, path)
    fresh = path.with_name(f".{os.getpid()}.{path.name}"[: max(len(path.name), 8)])
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
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise _explain(listen, error) from error
    finally:
        os.umask(before)
    return sock


def adopt_named(listen: Listen, inherited: Inherited) -> list[socket.socket]:
    """The descriptors systemd passed under this name (FileDescriptorName=), or a number."""
    name = listen.fd_name or ""
    if name.isdigit():
        return [adopt(listen, int(name))]
    names = inherited.names
    if not names:
        raise ListenError(
            f"listen: {listen.address}: no sockets were passed to us (LISTEN_PID); start the .socket unit"
        )
    numbers = inherited.named(name)
    if not numbers:
        raise ListenError(
            f"listen: {listen.address}: no such name among the passed sockets ({', '.join(names)})"
        )
    return [adopt(listen, number) for number in numbers]


def adopt(listen: Listen, number: int) -> socket.socket:
    """A listening socket that stood before us. Raises ListenError, and leaves alone what is none."""
    try:
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.detach()  # not ours to close: it may be anything, our own stderr too
            raise ListenError(
                f"listen: {listen.address}: descriptor {number} is not a listening stream socket"
            )
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as of those that we bind
    except OSError as error:
        raise ListenError(f"listen: {listen.address}: descriptor {number}: {error.strerror}") from error
    return sock


def _resolve(listen: Listen) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(listen.host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label of more than 63 characters
        reason = getattr(error, "strerror", None) or error
        raise ListenError(f"listen: {listen.address}: the name does not resolve ({reason})") from error
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bind_patiently(
    listen: Listen, family: socket.AddressFamily, host: str, port: int, until: float
) -> socket.socket:
    while True:
        sock = _tcp_socket(listen, family)
        try:
            sock.bind((host, port))
            return sock
        except OSError as error:
            sock.close()
            if error.errno != errno.EADDRINUSE or time.monotonic() >= until:
                raise _explain(listen, error) from error
            time.sleep(0.05)


def _tcp_socket(listen: Listen, family: socket.AddressFamily) -> socket.socket:
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:  # no such family here, no descriptors left
        raise _explain(listen, error) from error
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
            pass  # its backlog is full, or it is another user's, or of another type: somebody is there
    raise ListenError(f"listen: {listen.address}: another program is listening there")


def _explain(listen: Listen, error: OSError | KeyError) -> ListenError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        why = "the address is taken by another program; choose another port or stop that program"
    elif number == errno.EACCES and listen.kind == "tcp":
        why = "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a port from 1024 on"
    elif number == errno.EAFNOSUPPORT:
        why = "nothing can be bound to it here; in a unit that may not, its socket unit must have it"
    elif number == errno.EADDRNOTAVAIL:
        why = "no interface of this machine has that address"
    elif number == errno.EACCES and listen.path is not None:
        why = f"uid {os.geteuid()} may not make a socket in {listen.path.parent}"
    elif number == errno.EPERM and listen.group is not None:
        why = f"uid {os.geteuid()} is not in the group {listen.group}"
    elif number == errno.ENOENT and listen.path is not None:
        why = f"there is no folder {listen.path.parent}"
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
