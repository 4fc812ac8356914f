"""What a systemd unit for a site must know: who runs it, on which sockets, what it may read and write.

Derived from the site's file and from what stands on this machine. Knows no unit's syntax.
"""

import os
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from trivet_common.binding import ListenError, families
from trivet_common.config import Listen, Pool, Settings
from trivet_common.config.settings import Upstream

from .refusal import Refusal
from .running import user_name
from .site import Site
from .whereabouts import safe_name

# Where nobody owns the application but root.
DEFAULT_USER = "trivet"
# What ProtectHome= hides (systemd.exec(5)).
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
# Below it each site has its own.
_COMMON = Path("/run/trivet")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class Sockets(NamedTuple):
    """One socket unit: descriptors of one name. An address is what ListenStream= takes."""

    name: str
    addresses: tuple[str, ...]
    group: str | None = None
    mode: int | None = None


class Plan(NamedTuple):
    """For one site. Paths below a home are bound into an empty one; `writes` is the rest that is written."""

    name: str
    file: Path
    command: Path
    user: str
    run_dir: Path
    sockets: tuple[Sockets, ...]
    reads_home: tuple[Path, ...]
    writes_home: tuple[Path, ...]
    writes: tuple[Path, ...]
    proxy_writes_home: tuple[Path, ...]  # of these, what a proxy of another user needs
    proxy_writes: tuple[Path, ...]
    pools: tuple[str, ...]
    stop_timeout: float
    descriptors: int
    proxy_sockets: tuple[Sockets, ...] = ()  # of a proxy and of pools, where each is a unit of its own
    pool_sockets: tuple[tuple[str, tuple[Sockets, ...]], ...] = ()
    binds_itself: bool = False  # an address that no socket unit can stand for
    reaches_out: bool = False  # upstreams over TCP


def plan(site: Site, command: Path | None = None) -> Plan:
    """Raises Refusal where one unit cannot do it."""
    settings = site.settings
    if settings.file is None:
        raise Refusal("a unit needs a file; write one with: trivet init")
    _refuse_folders(settings)
    command = command or Path(sys.argv[0]).absolute()
    user = _user(settings)
    writes = _outermost(_written(settings, user))
    reads = [path for path in _outermost(_read(settings, command)) if not _is_below(path, writes)]
    proxy_writes = _outermost(_written_by_proxy(settings))
    sockets, _ = _sockets(settings, _listens(settings))
    proxy_sockets, left = _sockets(settings, settings.listen)
    return Plan(
        name=safe_name(settings.name),
        file=settings.file.absolute(),
        command=command,
        user=user,
        run_dir=settings.run_dir or _COMMON / safe_name(settings.name),
        sockets=sockets,
        reads_home=tuple(path for path in reads if _is_below(path, _HOMES)),
        writes_home=tuple(path for path in writes if _is_below(path, _HOMES)),
        writes=tuple(path for path in writes if not _is_below(path, _HOMES)),
        proxy_writes_home=tuple(path for path in proxy_writes if _is_below(path, _HOMES)),
        proxy_writes=tuple(path for path in proxy_writes if not _is_below(path, _HOMES)),
        pools=tuple(settings.pools),
        stop_timeout=settings.stop_timeout,
        # A connection, and the file that its large body waits in; the sockets of the slots beside them.
        descriptors=2 * settings.limits.connections + 4096,
        proxy_sockets=proxy_sockets,
        pool_sockets=tuple(
            (pool.name, _sockets(settings, pool.listen)[0]) for pool in settings.pools.values() if pool.listen
        ),
        binds_itself=left,
        reaches_out=any(server.path is None for each in _upstreams(settings) for server in each.servers),
    )


def _refuse_folders(settings: Settings) -> None:
    """What no unit could name, or must not remove when it stops."""
    if settings.run_dir in (Path("/run"), _COMMON):
        raise Refusal(
            f"run_dir: {settings.run_dir} is a folder of others, too, and a unit that stops removes its own; "
            f"write {_COMMON}/{safe_name(settings.name)}, or leave it out"
        )
    for path in (settings.file, settings.run_dir):
        if path is not None and any(not character.isprintable() for character in str(path)):
            raise Refusal(f"{str(path)!r}: no unit can name it; give it another name")


def _user(settings: Settings) -> str:
    """Who the file names; else the owner of the applications, if that is not root; else a user of our own."""
    named = {pool.user for pool in settings.pools.values() if pool.user}
    if len(named) > 1:
        raise Refusal(f"the pools have several users ({', '.join(sorted(named))}): one unit has only one")
    if named:
        user = named.pop()
        return user_name(int(user)) if user.isdecimal() else user
    owners = {_owner(pool.directory) for pool in settings.pools.values()} - {0, None}
    if len(owners) != 1:
        return DEFAULT_USER
    owner = owners.pop() or 0
    name = user_name(owner)
    return str(owner) if " " in name else name  # nobody's number


def _written(settings: Settings, user: str) -> Iterator[Path]:
    """The applications' own folders, those that their variables name, and those of the logs."""
    for pool in settings.pools.values():
        yield from (path for path in _folders(pool) if _may_write(path, user))
    yield from _written_by_proxy(settings)
    for pool in settings.pools.values():
        yield from _of_sockets(pool.listen)


def _written_by_proxy(settings: Settings) -> Iterator[Path]:
    """Logs, bodies, kept assets, its own sockets: what a proxy that is another user needs as well."""
    for target in (settings.log.access, settings.log.error, *settings.route_log_files):
        if isinstance(target, Path):
            yield target.parent
    if settings.run_dir is not None and not _is_below(settings.run_dir, (Path("/run"),)):
        yield settings.run_dir
    if settings.spool.dir not in (Path("/tmp"), Path("/var/tmp")):  # private ones are given to each unit
        yield settings.spool.dir
    if settings.state_dir is not None and settings.state_dir.is_dir():
        yield settings.state_dir
    yield from _of_sockets(settings.listen)


def _of_sockets(listeners: Iterable[Listen]) -> Iterator[Path]:
    for listen in listeners:
        if listen.path is not None and not _is_below(listen.path, (Path("/run"),)):
            yield listen.path.parent


def _read(settings: Settings, command: Path) -> Iterator[Path]:
    """What must be seen although it may lie below a home."""
    yield from (settings.base, Path(sys.prefix), Path(sys.base_prefix), command.parent.parent)
    for pool in settings.pools.values():
        yield from (pool.directory, *pool.python_path, *([pool.env_file.parent] if pool.env_file else []))
    for route in settings.routes:
        if route.files is not None:
            yield route.files.root
        if route.file is not None:
            yield route.file.parent
        if route.access is not None and route.access.basic_auth is not None:
            yield route.access.basic_auth.file.parent
        if route.maintenance is not None:
            yield route.maintenance.when.parent
    yield from (page.parent for page in settings.pages)


def _folders(pool: Pool) -> Iterator[Path]:
    yield pool.directory
    for value in pool.env.values():
        path = Path(os.path.normpath(pool.directory / value)) if value and "\0" not in value else None
        if path is not None and len(value) < 4096 and len(path.parts) > 2 and os.path.isdir(path):
            yield path


def _may_write(path: Path, user: str) -> bool:
    owner = _owner(path)
    return owner is not None and user_name(owner) == user


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _sockets(settings: Settings, listens: Iterable[Listen]) -> tuple[tuple[Sockets, ...], bool]:
    """The socket units, and whether an address is left that none can stand for."""
    name, left = safe_name(settings.name), False
    plain: list[str] = []
    named: list[Sockets] = []
    for listen in listens:
        if listen.kind == "fd" and (listen.fd_name or "").isdecimal():
            raise Refusal(
                f"listen: {listen}: systemd numbers descriptors as it comes to them; write a name, fd:http"
            )
        if listen.kind == "fd":
            port = _DEFAULT_PORTS.get(listen.fd_name or "", "8000")
            named.append(Sockets(listen.fd_name or "", (f"0.0.0.0:{port}", f"[::]:{port}")))
        elif listen.kind == "unix":
            path = (os.fspath(listen.path or ""),)
            named.append(Sockets(f"{name}-{len(named)}", path, listen.group, listen.mode))
        elif listen.port and (found := _addresses(listen)):
            plain += found
        else:
            left = True
    first = [Sockets(name, tuple(dict.fromkeys(plain)))] if plain else []
    return tuple(first + named), left


def _addresses(listen: Listen) -> list[str]:
    try:
        found = families(listen)
    except ListenError:
        return []
    if listen.host is None:
        found = [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    return [f"[{host}]:{listen.port}" if ":" in host else f"{host}:{listen.port}" for _, host in found]


def _listens(settings: Settings) -> Iterator[Listen]:
    yield from settings.listen
    for pool in settings.pools.values():
        yield from pool.listen


def _upstreams(settings: Settings) -> Iterator[Upstream]:
    yield from settings.upstreams.values()
    yield from (route.upstream for route in settings.routes if route.upstream is not None)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Without those that lie below another one of them."""
    found: list[Path] = []
    for path in sorted({Path(os.path.normpath(path)) for path in paths}):
        if not _is_below(path, found):
            found.append(path)
    return found


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path == folder or folder in path.parents for folder in folders)
