"""What containers of a site need to know: names, pools, ports, what is copied into which and what is mounted.

Derived from the site's file. Knows neither Docker's nor Kubernetes' formats.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from trivet_common.config import Settings

from .container_ports import PORT, Ports, ports
from .refusal import Refusal
from .site import Site

# One user in every container of a site: the halves believe each other by it, and `trivet reload` in either
# reaches both. What keeps them apart is that they are two containers, of two images.
UID = 10001
# Where the folder of the file is copied to, and where the halves meet.
FOLDER = "/srv/site"
_RUN_DIR = "/run/trivet/site"
# Where certificates lie among what every image has.
_COMMON = (Path("/"), Path("/etc"), Path("/etc/ssl/certs"), Path("/etc/ssl/private"), Path("/etc/pki"))
_VARIABLE = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_REQUIREMENTS = ("requirements.txt", "pyproject.toml")


class Mount(NamedTuple):
    """A file or folder of this machine that is in no image, and where a container sees it, read-only."""

    source: Path
    target: str


class Plan(NamedTuple):
    """For one site. `file` is seen from the folder that is copied; times in seconds.

    `pools` are by their names in the file, `services` the same by names that containers may have.
    """

    name: str
    file: str
    pools: tuple[str, ...]
    services: tuple[str, ...]
    ports: Ports
    run_dir: str
    volume: str  # where the memory that the halves share is mounted: run_dir, or the folder it lies in
    spool: str
    state: str | None
    stop_timeout: float
    requirements: str | None
    proxy_copies: tuple[str, ...] = ()  # what of the folder the proxy's image has
    published: tuple[str, ...] = ()  # folders in the volume that a proxy needs, though a pool fills them
    certificates: tuple[Mount, ...] = ()  # files; those of passwords too
    certificate_folders: tuple[Mount, ...] = ()  # or files, where their folder is not theirs alone
    env_files: tuple[Mount, ...] = ()
    users: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()  # of the environment, that the file cannot be read without
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def proxy(self) -> list[str]:
        return ["trivet", "proxy", *(["--listen", str(PORT)] if self.ports.is_given else [])]

    def backend(self, pool: str) -> list[str]:
        return ["trivet", "backend", "--pool", pool]

    @property
    def environment(self) -> dict[str, str]:
        return {"TRIVET_FILE": f"{FOLDER}/{self.file}", "RUNTIME_DIRECTORY": self.run_dir}

    def probe(self, question: str, half: str) -> list[str]:
        return ["trivet", "status", "--probe", question, "--for", half]


def plan(site: Site) -> Plan:
    """Raises Refusal where containers would not work as the file is."""
    settings = site.settings
    if settings.file is None:
        raise Refusal("containers need a file; write one with: trivet init")
    for pool in settings.pools.values():
        if not pool.directory.is_relative_to(settings.base):
            raise Refusal(
                f"{pool.where}: the directory of pool {pool.name} lies outside of {settings.base}, which is "
                "what is copied into the image"
            )
    found = [name for name in _REQUIREMENTS if (settings.base / name).is_file()]
    run_dir = _inside(settings.run_dir, settings.base) if settings.run_dir else _RUN_DIR
    certificates, env_files = _certificates(settings), _env_files(settings)
    reached = ports(settings.listen)
    copies = tuple(_proxy_copies(settings))
    return Plan(
        name=re.sub(r"[^a-z0-9-]+", "-", settings.name.lower()).strip("-")[:40].strip("-") or "site",
        file=os.path.relpath(settings.file.absolute(), settings.base),
        pools=tuple(settings.pools),
        services=_services(settings.pools),
        ports=reached,
        run_dir=run_dir,
        volume=_volume(run_dir),
        spool=_inside(settings.spool.dir, settings.base),
        state=_inside(settings.state_dir, settings.base) if settings.state_dir else None,
        stop_timeout=settings.stop_timeout,
        requirements=found[0] if found else None,
        proxy_copies=copies,
        published=tuple(_published(settings, _volume(run_dir))),
        certificates=certificates,
        certificate_folders=_folders(certificates, settings.base),
        env_files=env_files,
        users=tuple(sorted({pool.user for pool in settings.pools.values() if pool.user} - {"root"})),
        variables=tuple(_variables([settings.file, *_included(settings)])),
        ignored=tuple(_ignored(settings, (*certificates, *env_files))),
        notes=(*reached.notes, *_notes(settings, run_dir)),
    )


def _inside(path: Path, base: Path) -> str:
    """Where a container has it: what lies below the file's folder moved with it."""
    relative = os.path.relpath(path, base)
    return os.fspath(path) if relative.startswith("..") else os.path.normpath(f"{FOLDER}/{relative}")


def _volume(run_dir: str) -> str:
    """A folder of the site's own below /run may hold more that is shared, static files for instance."""
    parent = os.path.dirname(run_dir)
    return parent if parent.startswith("/run/") else run_dir


def _services(pools: Iterable[str]) -> tuple[str, ...]:
    """Labels of RFC 1123, each once, and none that of the proxy's container."""
    found: list[str] = []
    for pool in pools:
        name = re.sub(r"[^a-z0-9-]+", "-", pool.lower()).strip("-")[:50].strip("-") or "pool"
        name = f"pool-{name}" if name == "proxy" else name
        others = (f"{name}-{number}" for number in range(2, 2 + len(found)))
        found.append(name if name not in found else next(each for each in others if each not in found))
    return tuple(found)


def _certificates(settings: Settings) -> tuple[Mount, ...]:
    files: list[Path] = []
    for tls in (listen.tls for listen in settings.listen if listen.tls is not None):
        files += [path for pair in tls.pairs for path in (pair.certificate, pair.key)]
        files += [tls.client_ca] if tls.client_ca is not None else []
    for path in files:
        if not path.is_file():
            raise Refusal(f"listen: there is no {path}; get the certificate first, or correct the path")
    access = (route.access for route in settings.routes if route.access is not None)
    files += [each.basic_auth.file for each in access if each.basic_auth is not None]
    return tuple(Mount(path, _inside(path, settings.base)) for path in dict.fromkeys(files))


def _env_files(settings: Settings) -> tuple[Mount, ...]:
    files = [pool.env_file for pool in settings.pools.values() if pool.env_file is not None]
    return tuple(Mount(path, _inside(path, settings.base)) for path in dict.fromkeys(files))


def _folders(files: Iterable[Mount], base: Path) -> tuple[Mount, ...]:
    """A file that is mounted by itself never changes, and certificates are renewed by putting another in its
    place. So their folders are, and those that links in them lead to (certbot's do)."""
    found: dict[Path, None] = {}
    for file in files:
        for path in (file.source, file.source.resolve()):
            found[path.parent if _is_apart(path, base) else path] = None
    return tuple(Mount(path, _inside(path, base)) for path in found)


def _is_apart(path: Path, base: Path) -> bool:
    return not base.is_relative_to(path.parent) and path.parent not in _COMMON


def _proxy_copies(settings: Settings) -> Iterator[str]:
    """The file, what it includes, and what the proxy itself reads and sends; never an application."""
    assert settings.file is not None
    paths = [settings.file.absolute(), *_included(settings)]
    for route in settings.routes:
        paths += [route.files.root] if route.files is not None and not route.files.uploads else []
        paths += [route.file] if route.file is not None else []
    for path in dict.fromkeys([*paths, *settings.pages]):
        if path.is_relative_to(settings.base) and path != settings.base and path.exists():
            yield os.path.relpath(path, settings.base)


def _published(settings: Settings, volume: str) -> Iterator[str]:
    for route in settings.routes:
        if route.files is not None:
            path = _inside(route.files.root, settings.base)
            if path.startswith(f"{volume}/"):
                yield path


def _included(settings: Settings) -> Iterator[Path]:
    assert settings.file is not None
    written = yaml.load(settings.file.read_text("utf-8"), Loader=yaml.BaseLoader)
    patterns = written.get("include", []) if isinstance(written, dict) else []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        yield from sorted(settings.base.glob(pattern))


def _variables(files: Iterable[Path]) -> list[str]:
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    found = [name for line in lines for name in _VARIABLE.findall(re.split(r"(?:^|\s)#", line)[0])]
    return list(dict.fromkeys(found))


def _ignored(settings: Settings, mounts: Iterable[Mount]) -> Iterator[str]:
    """What the file names and no image may have, seen from its folder."""
    paths = [mount.source for mount in mounts]
    paths += [path for path in (settings.run_dir, settings.state_dir, settings.spool.dir) if path is not None]
    logs = (settings.log.access, settings.log.error, *settings.route_log_files)
    paths += [path for path in logs if isinstance(path, Path)]
    for path in dict.fromkeys(paths):
        if path.is_relative_to(settings.base) and path != settings.base:
            yield os.path.relpath(path, settings.base)


def _notes(settings: Settings, run_dir: str) -> Iterator[str]:
    """What has to be done by hand, or the site does not run as it does here."""
    of_routes = [("file", target) for target in settings.route_log_files]
    for key, target in (("access", settings.log.access), ("error", settings.log.error), *of_routes):
        if isinstance(target, Path):
            yield (
                f"log: {key}: {target} is on a disk that containers may not write; leave it to standard "
                f'output, for instance by "${{LOG:-stdout}}"'
            )
    shared = _volume(run_dir)
    for route in settings.routes:
        root = route.files.root if route.files is not None else route.file
        if root is None or f"{_inside(root, settings.base)}/".startswith(f"{shared}/"):
            continue
        if route.files is not None and route.files.uploads:
            yield (
                f"{route.where}: {root} is written while the site runs: give it a volume, in the proxy and "
                "the pools that write it"
            )
        elif not root.is_relative_to(settings.base) or not root.exists():
            yield (
                f"{route.where}: {root} is in no image; publish it by `prepare` below {shared}, which the "
                "containers share, or give it a volume"
            )
        elif root == settings.base:
            yield f"{route.where}: {root} is the site's own folder, which the proxy's image does not have"
    for page in settings.pages:
        if not page.is_relative_to(settings.base):
            yield f"{page} is in no image: move it below {settings.base}"
    closed = dict.fromkeys(route.maintenance.when for route in settings.routes if route.maintenance)
    for when in closed:
        if not _inside(when, settings.base).startswith(f"{shared}/"):
            yield f"{when} is seen by a container only if it has it: name one below {shared}, that they share"
    for pool in settings.pools.values():
        for listen in pool.listen:
            yield f"{pool.where}: pool {pool.name} listens on {listen}: that is not published"
    if settings.file is not None and f"{settings.base}/" in settings.file.read_text("utf-8", "replace"):
        yield f"the file names its own folder, {settings.base}: in containers that is {FOLDER}; write ./"


def unreadable(plan: Plan) -> Iterator[str]:
    """Notes on what is mounted out of this machine, where the containers' user may not read it."""
    for mount in (*plan.certificates, *plan.env_files):
        found = mount.source.stat()
        if not found.st_mode & stat.S_IROTH and UID not in (found.st_uid, found.st_gid):
            yield f"uid {UID} of the containers must be able to read {mount.source}: chgrp {UID}, chmod 640"


def as_yaml(*documents: dict[str, Any]) -> str:
    """As people write it: in order, lists of words on one line, no anchors."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=110, default_flow_style=False)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
