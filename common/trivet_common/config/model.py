"""The keys of the whole site: field, default and meaning together, once.

The reference page, the JSON schema and the checks are drawn from these models.
"""

from typing import Annotated, Any, ClassVar

from . import fields
from .model_listen import Listeners
from .model_log import MASKING, Masking
from .model_pools import PoolKeys
from .model_routes import RouteOptions, Routes, Words
from .model_upstreams import Upstreams
from .nodes import described
from .problems import Mistake
from .section import Section, section, setting


class ProxyKeys(Section):
    """`proxy`"""

    processes: Annotated[int, fields.count(1, 64)] | None = setting(
        None, "Proxy processes. Else the cores (by cgroup quota and affinity), at most 4."
    )


class SpoolKeys(Section):
    """`spool`"""

    dir: fields.PathText = setting("/var/tmp", "Where bodies wait in unnamed files.")
    memory: fields.Size = setting("64KiB", "Bodies up to this size stay in memory.")
    limit: fields.Size = setting("1GiB", "The most that all files together may hold; above it 507.")


class LimitKeys(Section):
    """`limits`"""

    header_bytes: Annotated[int, fields.size(1024)] = setting(
        "32KiB", "The largest head of a request; above it 431."
    )
    headers: Annotated[int, fields.count(10, 10_000)] = setting(100, "The most header lines; above it 431.")
    body: fields.Size = setting("64MiB", "The largest request body; above it 413.")
    header_timeout: fields.Duration = setting("10s", "The time for the whole head of a request.")
    body_timeout: fields.Duration = setting("30s", "The longest pause within a request's body.")
    body_rate: fields.RateOrOff = setting("1KiB/s", "The slowest body that is put up with, after a grace.")
    idle_timeout: fields.Duration = setting("75s", "How long a kept connection may be idle.")
    write_timeout: fields.Duration = setting("30s", "How long a client may take nothing of an answer.")
    write_rate: fields.RateOrOff = setting(
        "256B/s", "The slowest client that is put up with while an answer waits for it, after a grace."
    )
    connections: Annotated[int, fields.count(1, 10**7)] = setting(
        10000, "The most client connections, of all proxy processes together."
    )
    connections_per_client: fields.CountOrOff = setting(
        "off",
        "The most connections of one client address (IPv6: of one /64), except of trusted proxies. Each "
        "proxy process holds its share, rounded up: exact only with one process.",
    )


def _log_target(off: bool) -> fields.Kind:
    def parse(value: Any) -> str | None:
        if fields.is_off(value):
            if off:
                return None
            raise Mistake("the error log cannot be off", "write stderr, stdout or a file")
        return fields.parse_text(value)

    schema: fields.Json = {"type": "string"}
    label = "stdout, stderr, a file or off" if off else "stdout, stderr or a file"
    return fields.Kind(label, parse, fields.or_off(schema) if off else schema)


class LogKeys(Section):
    """`log`"""

    access: Annotated[str | None, _log_target(off=True)] = setting("stdout", "Where each request is noted.")
    format: Annotated[str, fields.choice("trivet", "combined", "json")] = setting(
        "trivet", "`trivet`: combined plus name=value; `combined`: exactly as Apache's; `json`."
    )
    client: Masking = setting("whole", MASKING)
    error: Annotated[str, _log_target(off=False)] = setting(
        "stderr", "Where everything else goes, with what the applications print and log."
    )
    level: Annotated[str, fields.choice("debug", "info", "warning", "error")] = setting(
        "info", "The least of what is written to the error log."
    )


def _client_header(value: Any) -> str:
    name: str = (fields.TOKEN.match(str(value)) and str(value)) or ""
    if not name or not isinstance(value, str):
        raise Mistake(
            f"{described(value)} is not a header's name",
            "write X-Forwarded-For, X-Real-IP or CF-Connecting-IP",
        )
    if name.lower() == "forwarded":
        raise Mistake("the Forwarded header is not read", "write X-Forwarded-For")
    return name.lower()


class SiteKeys(Section):
    """The site"""

    listen: Listeners = setting(
        "127.0.0.1:8000", "Where the site is served. `$PORT` is honoured where this is absent."
    )
    include: Words = setting(
        (),
        "Files with further `routes`, `pools` and `upstreams`, read in name order: `sites/*.yaml`.",
    )
    proxy: ProxyKeys = section(ProxyKeys, "The front end.")
    run_dir: fields.PathText | None = setting(
        None,
        "Sockets, FIFO, boards and control. Else `$RUNTIME_DIRECTORY`, /run/trivet/NAME or the user's.",
    )
    state_dir: fields.PathText | None = setting(
        None, "What is kept over deploys: assets of `keep_releases`. Else `$STATE_DIRECTORY`."
    )
    spool: SpoolKeys = section(SpoolKeys, "Bodies too large for memory.")
    trusted_proxies: Words = setting((), "Whose X-Forwarded-* are believed: networks, `private`, `unix`.")
    client_ip: Annotated[str, fields.Kind("header name", _client_header, {"type": "string"})] = setting(
        "X-Forwarded-For", "The header in which a trusted proxy names the client."
    )
    limits: LimitKeys = section(LimitKeys, "Limits of every connection and request.")
    log: LogKeys = section(LogKeys, "Logs.")
    stop_timeout: fields.DurationOrZero = setting("25s", "How long a stop waits for requests in flight.")
    defaults: RouteOptions = section(
        RouteOptions, "Options of all routes; a route overrides them key by key."
    )
    upstreams: Upstreams = setting({}, "Servers by name.")
    routes: Routes | None = setting(
        None,
        "What answers which request; the first that matches. Else, with one pool: everything to it.",
    )
    pools: dict[str, PoolKeys] = setting({}, "Applications by name.")

    later: ClassVar[dict[str, str]] = {
        "tls": "TLS, to stand below a listener",
        "metrics": "metrics",
    }


# The keys of an included file.
INCLUDED = ("routes", "pools", "upstreams")
