"""What a configuration means: the values everyone else codes against, ready and checked.

Plain frozen data that can be pickled to other processes; nothing here parses or reads a file.
"""

from dataclasses import dataclass
from pathlib import Path

from .addresses import Listen, Server, TrustedProxies
from .problems import Problem
from .settings_access import Access
from .settings_errors import ErrorPage, Maintenance
from .settings_log import RouteLog
from .settings_match import Match
from .settings_rewrite import Rewrite

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
    """Targets are "stdout", "stderr" or a path; an access log of None is off.

    `is_masked`: without whole addresses of clients, where a route does not say otherwise.
    """

    access: str | Path | None
    format: str
    error: str | Path | None
    level: str
    is_masked: bool = False


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
class Queue:
    """`timeout` in seconds."""

    limit: int
    timeout: float


@dataclass(frozen=True, slots=True)
class ServerTls:
    """How servers over https are believed; a `ca` of None: whom the system believes."""

    verify: bool = True
    ca: Path | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """`attempts` with the first; `on` holds connect, 502, 503, 504."""

    attempts: int = 2
    on: frozenset[str] = frozenset({"connect", "502"})


@dataclass(frozen=True, slots=True)
class Upstream:
    """Servers; an upstream written inside a route is named for the route. Times in seconds, None for ever.

    `balance`: two_choices, round_robin, least_connections. `max_connections`, `fall` None: no limit, never.
    """

    name: str
    servers: tuple[Server, ...]
    tls: ServerTls = ServerTls()
    balance: str = "two_choices"
    connect_timeout: float = 5.0
    response_timeout: float | None = 60.0
    read_timeout: float | None = 60.0
    max_connections: int | None = None
    queue: Queue = Queue(1000, 10.0)
    fall: int | None = 3
    retry: Retry = Retry()


@dataclass(frozen=True, slots=True)
class FilesAction:
    """`fallback` is a name below `root`; `cache` is "auto", the header's text, or None to say nothing.

    `types` are pairs of a name's end and a whole Content-Type. `follow_links`: inside, never, always.
    """

    root: Path
    index: str | None = "index.html"
    fallback: str | None = None
    passes_on: bool = False  # to the next route that matches, where there is no file
    listing: bool = False
    precompressed: bool = True
    cache: str | None = "auto"
    types: tuple[tuple[str, str], ...] = ()
    hidden: bool = False
    uploads: bool = False
    follow_links: str = "inside"
    keep_releases: int = 0


@dataclass(frozen=True, slots=True)
class Redirect:
    """`to` is a template of PLACEHOLDERS."""

    to: str
    status: int


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
    a prefix. Times in seconds; None waits for ever. `read_timeout`: between pieces of an upstream's answer.
    """

    where: str
    id: str
    host: tuple[str, ...]
    path: str | None
    limits: Limits
    timeout: float | None
    stream: bool
    log: RouteLog
    response_headers: HeaderChanges
    scheme: str | None = None
    hsts: str | None = None
    files: FilesAction | None = None
    file: Path | None = None
    pool: str | None = None
    mount: bool = False
    upstream: Upstream | None = None
    redirect: Redirect | None = None
    respond: Respond | None = None
    health: str | None = None
    internal: bool = False  # reached only by an order of an application
    read_timeout: float | None = None
    tunnel_timeout: float = 3600.0
    errors: tuple[ErrorPage, ...] = ()
    maintenance: Maintenance | None = None
    compress: bool = False
    listener: tuple[str, ...] = ()  # addresses; none: all
    match: Match | None = None  # what else it asks
    access: Access | None = None  # who may come in
    request_headers: HeaderChanges = HeaderChanges()
    strip_prefix: str | None = None  # without a slash at its end; goes first
    rewrite: Rewrite | None = None

    @property
    def is_sure(self) -> bool:
        """Whether it takes every request for its hosts, path, scheme and listeners."""
        return self.match is None and not (self.files is not None and self.files.passes_on)


@dataclass(frozen=True, slots=True)
class Workers:
    """How many; `min == max` is a fixed size. `wait` and `idle` in seconds, `memory` in bytes."""

    min: int
    max: int
    wait: float = 0.05
    idle: float = 60.0
    memory: int | None = None

    @property
    def is_fixed(self) -> bool:
        return self.min == self.max

    def __str__(self) -> str:
        return str(self.min) if self.is_fixed else f"{self.min} to {self.max}"


@dataclass(frozen=True, slots=True)
class Reload:
    """`timeout` in seconds; `ready` is a path asked of the first new worker."""

    timeout: float
    ready: str | None = None
    surge: int = 1


@dataclass(frozen=True, slots=True)
class Preload:
    """Workers come from a template; `threads`: even when it has more than one."""

    threads: bool = False


@dataclass(frozen=True, slots=True)
class Pool:
    """`env` is the env_file's variables and `env`'s over them. Times in seconds; `timeout` None: for ever.

    `post_fork` and `worker_exit` are module:function. `is_development` is not written in any file: `serve
    --reload` sets it, and a broken application is a page then.
    """

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
    workers: Workers
    threads: int
    timeout: float | None
    queue: Queue
    listen: tuple[Listen, ...]
    reload: Reload
    kill_grace: float = 2.0
    after_timeout: str = "replace"
    retry: str = "safe"
    max_requests: int | None = None
    max_memory: int | None = None
    preload: Preload | None = None
    post_fork: str | None = None
    worker_exit: str | None = None
    server_timing: bool = False
    is_development: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole site. Relative paths were resolved against `base`; `run_dir` None means the usual place."""

    file: Path | None
    name: str
    base: Path
    listen: tuple[Listen, ...]
    proxy: Proxy
    run_dir: Path | None
    state_dir: Path | None  # None: nothing is kept
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
    errors: tuple[ErrorPage, ...] = ()  # where no route matches

    @property
    def pages(self) -> tuple[Path, ...]:
        """Files that are sent in the place of errors, and during maintenance."""
        every = [*self.errors, *(page for route in self.routes for page in route.errors)]
        closed = [route.maintenance.page for route in self.routes if route.maintenance is not None]
        found = [*(page.file for page in every), *closed]
        return tuple(dict.fromkeys(path for path in found if path is not None))

    @property
    def route_log_files(self) -> tuple[str | Path, ...]:
        """Of routes that are noted apart from the others."""
        files = (route.log.file for route in self.routes if route.log.is_on)
        return tuple(dict.fromkeys(file for file in files if file is not None))

    def patience_with(self, pool: Pool) -> float:
        """How long (s) a worker that is replaced may finish what it runs: no timeout is cut short by that."""
        routes = [route.timeout for route in self.routes if route.pool == pool.name]
        longest = max((seconds for seconds in (pool.timeout, *routes) if seconds is not None), default=0.0)
        return max(self.stop_timeout, longest + pool.kill_grace)

    def __repr__(self) -> str:
        return f"<Settings {self.name} {len(self.routes)} routes, pools {', '.join(self.pools) or 'none'}>"
