"""The keys of a route and of `defaults`: field, default and meaning together, once.

Says how they are written; what follows from them is settled elsewhere.
"""

from typing import Annotated, Any, ClassVar

from . import fields
from .model_access import AccessKeys
from .model_errors import ErrorsKeys
from .model_files import FilesKeys
from .model_headers import HeaderChanges, HeaderValues, RequestHeaderChanges
from .model_hsts import Hsts
from .model_log import RouteLogKeys, RouteLogSection
from .model_match import MatchKeys
from .model_rewrite import RedirectKeys, RewriteKeys
from .nodes import Text, described
from .problems import Mistake
from .section import Section, section, setting

Words = Annotated[
    tuple[fields.Word, ...], fields.Short("text or list", fields.one_or_list, {"type": "string"})
]


class RouteLimits(Section):
    """`limits` of a route"""

    body: fields.Size | None = setting(None, "The largest request body; above it 413. Else the site's.")

    later: ClassVar[dict[str, str]] = {
        "body_timeout": "the longest pause within a body",
        "body_rate": "the slowest body",
        "write_timeout": "the longest stall of a client that reads",
    }


class RouteOptions(ErrorsKeys, AccessKeys):
    """What a route may say besides what it matches and what it does; also the keys of `defaults`."""

    limits: RouteLimits = section(RouteLimits, "Limits of this route.")
    timeout: fields.DurationOrOff | None = setting(
        None,
        "From the claim of a slot (or the connection to an upstream) to the head of the answer, then between "
        "two pieces of its body. Else the pool's `timeout`, or the upstream's `response_timeout` and "
        "`read_timeout`.",
    )
    tunnel_timeout: fields.Duration = setting(
        "1h", "How long a tunnel (WebSocket or any other `Upgrade`) to an upstream may be silent."
    )
    stream: fields.Switch = setting(
        False,
        "Pass the request's body on as it comes, instead of reading it whole before a slot is claimed.",
    )
    log: RouteLogSection = section(RouteLogKeys, "Where requests of this route are noted.")
    request_headers: RequestHeaderChanges = section(
        RequestHeaderChanges,
        "Changes to the headers of a request before it goes on; for files, before they are read.",
    )
    response_headers: HeaderChanges = section(HeaderChanges, "Changes to the headers of every answer.")
    hsts: Hsts | None = setting(
        None, "Tell browsers to use https only, for so long: `hsts: 1y`. Sent over https alone."
    )
    compress: fields.Switch = setting(
        False, "Compress texts above 1 KiB on their way (gzip, and Brotli and Zstandard where installed)."
    )


def _parse_body(value: Any) -> str:
    if isinstance(value, (dict, list, tuple)):
        raise Mistake(f"this must be text, not {described(value)}", "write json: in the place of body:")
    return fields.parse_value(value)


Body = Annotated[str, fields.Kind("text", _parse_body, {"type": ["string", "number", "boolean"]})]


class RespondKeys(Section):
    """`respond`"""

    status: Annotated[int, fields.count(200, 599, "a status")] = setting(200, "The status of the answer.")
    body: Body | None = setting(None, "The body, as text.")
    json_: fields.JsonValue = setting(None, "The body, as any JSON value. Instead of `body`.", alias="json")
    type: fields.HeaderValue | None = setting(
        None, "The content type; else `text/plain`, and `application/json` for `json`."
    )
    headers: HeaderValues = setting({}, "Further headers of the answer.")


def _respond_short(value: Any) -> Any:
    if isinstance(value, Text) and value.plain and value.isdecimal():
        return {"status": value}
    if isinstance(value, (bool, list, tuple)):
        raise Mistake(f"respond cannot be {described(value)}", "write a text, a status, or {json: …}")
    if isinstance(value, int):
        return {"status": value}
    return {"body": value} if isinstance(value, str) else value


def _mapping_of(key: str) -> Any:
    return lambda value: {key: value} if isinstance(value, str) else value


def _upstream_of_route(value: Any) -> Any:
    if isinstance(value, dict):
        raise Mistake("a route names its upstream or lists servers", "move these keys below upstreams: NAME:")
    return fields.one_or_list(value)


def _parse_listener(value: Any) -> str:
    is_port = isinstance(value, int) and not isinstance(value, bool)
    return fields.parse_text(str(value) if is_port else value)


ListenerName = Annotated[str, fields.Kind("text", _parse_listener, {"type": ["string", "integer"]})]


class RouteKeys(RouteOptions, MatchKeys):
    """One route: what it matches, one action, and options"""

    host: Words = setting((), 'The hosts it is for: exact, or `"*.example.com"` for all below; else any.')
    scheme: Annotated[str, fields.choice("http", "https")] | None = setting(
        None, "What the client used: `http` or `https`; else any."
    )
    listener: Annotated[
        tuple[ListenerName, ...], fields.Short("name or list", fields.one_or_list, {"type": "string"})
    ] = setting((), "The listeners it is for, each by its `name` or its address as written; else all.")
    path: fields.Word | None = setting(
        None, "The path: with a final `/` all beneath, without one exactly this path; else any."
    )
    files: Annotated[FilesKeys, fields.Short("folder", _mapping_of("root"), {"type": "string"})] | None = (
        setting(None, "Serve files below a folder.")
    )
    file: fields.PathText | None = setting(None, "Serve one file.")
    pool: fields.Word | None = setting(None, "Let a pool answer.")
    mount: fields.Switch = setting(
        False, "With `pool`: the application is mounted here (SCRIPT_NAME is the route's path)."
    )
    upstream: (
        Annotated[
            tuple[fields.Word, ...],
            fields.Short("name, server or list of servers", _upstream_of_route, {"type": "string"}),
        ]
        | None
    ) = setting(None, "Pass the request on to another server.")
    redirect: (
        Annotated[RedirectKeys, fields.Short("address", _mapping_of("to"), {"type": "string"})] | None
    ) = setting(None, "Send the client elsewhere (302; 308 if permanent).")
    strip_prefix: fields.Word | None = setting(
        None,
        "What is taken off the front of the path before it goes on; upstreams and pools hear of it in "
        "X-Forwarded-Prefix. Files are looked up by what is left.",
    )
    rewrite: Annotated[RewriteKeys, fields.Short("path", _mapping_of("to"), {"type": "string"})] | None = (
        setting(None, "Another path (and query) in the place of the client's, for who answers.")
    )
    respond: (
        Annotated[
            RespondKeys,
            fields.Short("text or status", _respond_short, {"type": ["string", "integer"]}),
        ]
        | None
    ) = setting(None, "Answer at once with a fixed text, status or JSON value.")
    internal: fields.Switch = setting(
        False,
        "With `files` or `file`: reached only by X-Accel-Redirect or X-Sendfile of an application.",
    )
    health: Annotated[str, fields.choice("ready", "live")] | None = setting(
        None,
        "Answer from the state of the pools, without a slot: `ready` to serve, or merely `live`.",
    )

    later: ClassVar[dict[str, str]] = {
        **RouteOptions.later,
    }


ACTIONS = ("files", "file", "pool", "upstream", "redirect", "respond", "health")

Routes = tuple[RouteKeys, ...]
