"""The keys of the whole site: field, default and meaning together, once.

The reference page, the JSON schema and the checks are drawn from these models.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from . import fields
from .model_listen import Listeners
from .model_pools import PoolKeys
from .model_routes import RouteOptions, Routes, Upstreams, Words
from .nodes import described
from .problems import Mistake
from .section import Section


class ProxyKeys(Section):
    """`proxy`"""

    processes: Annotated[int, fields.count(1, 64)] | None = Field(
        None, description="Proxy processes. Else the cores (by cgroup quota and affinity), at most 4."
    )


class SpoolKeys(Section):
    """`spool`"""

    dir: fields.PathText = Field("/var/tmp", description="Where bodies wait in unnamed files.")
    memory: fields.Size = Field("64KiB", description="Bodies up to this size stay in memory.")
    limit: fields.Size = Field("1GiB", description="The most that all files together may hold; above it 507.")


class Limits(Section):
    """`limits`"""

    header_bytes: Annotated[int, fields.size(1024)] = Field(
        "32KiB", description="The largest head of a request; above it 431."
    )
    headers: Annotated[int, fields.count(10, 10_000)] = Field(
        100, description="The most header lines; above it 431."
    )
    body: fields.Size = Field("64MiB", description="The largest request body; above it 413.")
    header_timeout: fields.Duration = Field("10s", description="The time for the whole head of a request.")
    body_timeout: fields.Duration = Field("30s", description="The longest pause within a request's body.")
    body_rate: fields.RateOrOff = Field(
        "1KiB/s", description="The slowest body that is put up with, after a grace."
    )
    idle_timeout: fields.Duration = Field("75s", description="How long a kept connection may be idle.")
    write_timeout: fields.Duration = Field(
        "30s", description="How long a client may take nothing of an answer."
    )
    connections: Annotated[int, fields.count(1, 10**7)] = Field(
        10000, description="The most client connections, of all proxy processes together."
    )
    connections_per_client: fields.CountOrOff = Field(
        "off", description="The most connections of one client address (IPv6: of one /64)."
    )


def _log_target(off: bool) -> fields.Kind:
    def parse(value: Any) -> str | None:
        if fields.is_off(value):
            if off:
                return None
            raise Mistake("the error log cannot be off", "write stderr, stdout or a file")
        return fields.parse_text(value)

    schema: fields.Json = {"type": "string"}
    label = "stdout, stderr, a file" + " or off" * off
    return fields.Kind(label, parse, fields.or_off(schema) if off else schema)


class LogKeys(Section):
    """`log`"""

    access: Annotated[str | None, _log_target(off=True)] = Field(
        "stdout", description="Where each request is noted."
    )
    format: Annotated[str, fields.choice("trivet", "combined", "json")] = Field(
        "trivet", description="`trivet`: combined plus name=value; `combined`: exactly as Apache's; `json`."
    )
    error: Annotated[str, _log_target(off=False)] = Field(
        "stderr", description="Where everything else goes, with what the applications print and log."
    )
    level: Annotated[str, fields.choice("debug", "info", "warning", "error")] = Field(
        "info", description="The least of what is written to the error log."
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

    listen: Listeners = Field(
        "127.0.0.1:8000", description="Where the site is served. `$PORT` is honoured where this is absent."
    )
    include: Words = Field(
        (),
        description="Files with further `routes`, `pools` and `upstreams`, read in name order: `sites/*.yaml`.",
    )
    proxy: ProxyKeys = Field(ProxyKeys(), description="The front end.")
    run_dir: fields.PathText | None = Field(
        None,
        description="Sockets, FIFO, boards and control. Else `$RUNTIME_DIRECTORY`, /run/trivet/NAME or the user's.",
    )
    state_dir: fields.PathText | None = Field(None, description="What is kept over deploys.")
    spool: SpoolKeys = Field(SpoolKeys(), description="Bodies too large for memory.")
    trusted_proxies: Words = Field(
        (), description="Whose X-Forwarded-* are believed: networks, `private`, `unix`."
    )
    client_ip: Annotated[str, fields.Kind("header name", _client_header, {"type": "string"})] = Field(
        "X-Forwarded-For", description="The header in which a trusted proxy names the client."
    )
    limits: Limits = Field(Limits(), description="Limits of every connection and request.")
    log: LogKeys = Field(LogKeys(), description="Logs.")
    stop_timeout: fields.DurationOrZero = Field(
        "25s", description="How long a stop waits for requests in flight."
    )
    defaults: RouteOptions = Field(
        RouteOptions(), description="Options of all routes; a route overrides them key by key."
    )
    upstreams: Upstreams = Field({}, description="Servers by name.")
    routes: Routes | None = Field(
        None,
        description="What answers which request; the first that matches. Else, with one pool: everything to it.",
    )
    pools: dict[str, PoolKeys] = Field({}, description="Applications by name.")

    later: ClassVar[dict[str, str]] = {
        "tls": "TLS (it will stand below a listener)",
        "metrics": "metrics",
    }


# The keys of an included file.
INCLUDED = ("routes", "pools", "upstreams")
