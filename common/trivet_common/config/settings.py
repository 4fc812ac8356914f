"""What a configuration means: the values everyone else codes against, ready and checked.

Plain frozen data that can be pickled to other processes; nothing here parses or reads a file.
"""

from dataclasses import dataclass
from pathlib import Path

from .addresses import Listen, Server, TrustedProxies
from .problems import Problem

# What text may have put in: one list wherever text is built.
PLACEHOLDERS = ("scheme", "host", "port", "path", "query", "uri", "client", "request_id")


@dataclass(frozen=True, slots=True)
class Proxy:
    processes: int


@dataclass(frozen=True, slots=True)
class Spool:
    """Sizes in bytes."""

    dir: Path
    memory: int
    limit: int


@dataclass(frozen=True, slots=True)
class Log:
    """Targets are "stdout", "stderr" or a path; an access log of None is off."""

    access: str | Path | None
    format: str
    error: str | Path | None
    level: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds, rates in bytes per second; None where a limit is off."""

    header_bytes: int
    headers: int
    body: int
    header_timeout: float
    body_timeout: float
    body_rate: int | None
    idle_timeout: float
    write_timeout: float
    write_rate: int | None
    connections: int
    connections_per_client: int | None


@dataclass(frozen=True, slots=True)
class Upstream:
    """Servers used in turn; an upstream written inside a route is named for the route."""

    name: str
    servers: tuple[Server, ...]


@dataclass(frozen=True, slots=True)
class FilesAction:
    root: Path


@dataclass(frozen=True, slots=True)
class Redirect:
    """`to` is a template of PLACEHOLDERS."""

    to: str
    permanent: bool


@dataclass(frozen=True, slots=True)
class Respond:
    """A ready answer; `type` is the whole Content-Type, or None without a body."""

    status: int
    body: bytes
    type: str | None
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HeaderChanges:
    """Applied in this order: remove, set, add, default."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()
    default: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.set or self.add or self.remove or self.default)


@dataclass(frozen=True, slots=True)
class Route:
    """What it matches, exactly one action (the others are None), and its options after `defaults`.

    `host` patterns are lower-case; "*.example.com" stands for every name below. A `path` that ends in "/" is
    a prefix. `timeout` is in seconds; None waits for ever.
    """

    where: str
    id: str
    host: tuple[str, ...]
    path: str | None
    limits: Limits
    timeout: float | None
    stream: bool
    log: bool
    response_headers: HeaderChanges
    files: FilesAction | None = None
    file: Path | None = None
    pool: str | None = None
    mount: bool = False
    upstream: Upstream | None = None
    redirect: Redirect | None = None
    respond: Respond | None = None
    health: str | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """`timeout` in seconds."""

    limit: int
    timeout: float


@dataclass(frozen=True, slots=True)
class Reload:
    """`timeout` in seconds."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Pool:
    """`env` is the env_file's variables and `env`'s over them. `timeout` in seconds; None waits for ever."""

    name: str
    where: str
    app: str
    directory: Path
    python_path: tuple[Path, ...]
    env: dict[str, str]
    env_file: Path | None
    user: str | None
    group: str | None
    prepare: tuple[str, ...]
    workers: int
    threads: int
    timeout: float | None
    queue: Queue
    listen: tuple[Listen, ...]
    reload: Reload


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole site. Relative paths were resolved against `base`; `run_dir` None means the usual place."""

    file: Path | None
    name: str
    base: Path
    listen: tuple[Listen, ...]
    proxy: Proxy
    run_dir: Path | None
    spool: Spool
    trusted_proxies: TrustedProxies
    client_ip: str
    limits: Limits
    log: Log
    stop_timeout: float
    upstreams: dict[str, Upstream]
    routes: tuple[Route, ...]
    pools: dict[str, Pool]
    warnings: tuple[Problem, ...]

    def __repr__(self) -> str:
        return f"<Settings {self.name} {len(self.routes)} routes, pools {', '.join(self.pools) or 'none'}>"
