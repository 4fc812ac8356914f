"""The keys of an upstream: field, default and meaning together, once.

Says how they are written; what of it cannot work together is settled elsewhere.
"""

from typing import Annotated, Any

from . import fields
from .nodes import described
from .problems import Mistake
from .section import Section, required, section, setting

# Which failures may send a request on to another server.
FAILURES = ("connect", "502", "503", "504")


class ServerKeys(Section):
    """One server"""

    address: fields.Word = required(
        'Where it is: `"http://host:port"`, `"https://host:port"` or `"unix:/path/of.sock"`. A name may have '
        "several addresses; each is a server of its own."
    )
    weight: Annotated[int, fields.count(1, 1000)] = setting(
        1, "Its share of the requests, beside the weights of the others."
    )
    backup: fields.Switch = setting(False, "Asked only while no other server can be.")


def _server_short(value: Any) -> Any:
    return {"address": value} if isinstance(value, str) else value


Servers = Annotated[
    tuple[Annotated[ServerKeys, fields.Short("address", _server_short, {"type": "string"})], ...],
    fields.Short("address or list", fields.one_or_list, {"type": ["string", "object"]}),
]


class ServerTlsKeys(Section):
    """`tls` of an upstream"""

    verify: fields.Switch = setting(
        True, "Whether a server's certificate must be signed by somebody we believe, for its name."
    )
    ca: fields.PathText | None = setting(
        None, "Who signs the servers' certificates (PEM). Else those the system believes."
    )
    name: Annotated[str, fields.Kind("host name", fields.parse_text, {"type": "string"})] | None = setting(
        None, "The name that is asked for (SNI) and must be in the certificate. Else the one in the address."
    )


class RoomKeys(Section):
    """`queue` of an upstream"""

    limit: Annotated[int, fields.count(0, 1_000_000)] = setting(
        1000,
        "How many requests may wait while all servers have `max_connections`, in all proxy processes "
        "together; above it 503.",
    )
    timeout: fields.Duration = setting("10s", "How long a request may wait; then 503.")


def _failure(value: Any) -> str:
    text = str(value)
    if isinstance(value, bool) or text not in FAILURES:
        cure = (
            "write connect for a connection that cannot be made" if text == "error" else "write one of these"
        )
        raise Mistake(f"{described(value)} is not one of {', '.join(FAILURES)}", cure)
    return text


_Failure = Annotated[
    str,
    fields.Kind(
        "connect, 502, 503 or 504", _failure, {"enum": [*FAILURES, *(int(each) for each in FAILURES[1:])]}
    ),
]


class RetryKeys(Section):
    """`retry` of an upstream"""

    attempts: Annotated[int, fields.count(1, 10)] = setting(
        2, "How many servers may be given one request, the first included."
    )
    on: Annotated[
        tuple[_Failure, ...],
        fields.Short("failure or list", fields.one_or_list, {"type": ["string", "number"]}),
    ] = setting(
        ("connect", "502"),
        "After which failures: `connect` (no connection can be made; any request), `502` (no answer, "
        "rubbish, or a 502 of the server's own), `503`, `504` (no answer in time, too). All but `connect` "
        "only for safe methods (GET, HEAD, OPTIONS, TRACE).",
    )


def _retry_short(value: Any) -> Any:
    if fields.is_off(value):
        return {"attempts": 1, "on": ()}
    if isinstance(value, (str, int, list, tuple)) and not isinstance(value, bool):
        raise Mistake(f"this must be a mapping, not {described(value)}", "write retry: {attempts: 2} or off")
    return value


class UpstreamKeys(Section):
    """One upstream"""

    servers: Servers = required("The servers, each an address or a mapping.")
    tls: ServerTlsKeys = section(ServerTlsKeys, "How servers over https are believed.")
    balance: Annotated[str, fields.choice("two_choices", "round_robin", "least_connections")] = setting(
        "two_choices",
        "Which server is next: `two_choices` (of two drawn by weight the one with fewer requests under way), "
        "`round_robin`, `least_connections`.",
    )
    connect_timeout: fields.Duration = setting(
        "5s", "How long a connection to a server may take, with its TLS handshake."
    )
    response_timeout: fields.DurationOrOff = setting(
        "60s", "How long a server may take to the head of its answer, from the connection on; then 504."
    )
    read_timeout: fields.DurationOrOff = setting("60s", "The longest pause within an answer's body.")
    max_connections: fields.CountOrOff = setting(
        "off",
        "The most connections to each server, idle ones included, in all proxy processes together. Each "
        "process holds its share, rounded up: exact only with one process.",
    )
    queue: RoomKeys = section(RoomKeys, "Requests that wait for a connection.")
    fall: fields.CountOrOff = setting(
        3,
        "After so many failures in a row a server is left out, for a second, then two, up to a minute. When "
        "all are, all are tried.",
    )
    retry: Annotated[RetryKeys, fields.Short("off", _retry_short, {"enum": ["off", False]})] = section(
        RetryKeys, "When another server is asked instead."
    )


def _upstream_short(value: Any) -> Any:
    return {"servers": value} if isinstance(value, (str, list, tuple)) else value


Upstreams = dict[
    str,
    Annotated[UpstreamKeys, fields.Short("list of servers", _upstream_short, {"type": ["string", "array"]})],
]
