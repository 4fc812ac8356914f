"""Changes to headers: a route's over those of `defaults`, and which fields nobody may change."""

from ..http1.target import parse_authority
from .draft import Draft
from .model import SiteKeys
from .model_headers import HeaderChanges as HeaderKeys
from .model_headers import RequestHeaderChanges as RequestHeaderKeys
from .model_routes import RouteKeys
from .nodes import Loc
from .placeholders import has_placeholders
from .problems import shown
from .resolve_templates import check_template
from .settings import HeaderChanges

# Of the connection and of the message's framing (RFC 9110 section 7.6.1, RFC 9112 section 6).
_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# What the proxy vouches for: an application believes it, so nothing else may say it.
_IDENTITY = frozenset(["forwarded", "x-real-ip", "x-request-id"])
_IDENTITY_PREFIXES = ("x-forwarded-", "trivet-")
# Orders to a server behind, and the variable HTTP_PROXY (CVE-2016-5385, CVE-2025-61780).
_ORDERS = ("x-accel-", "x-sendfile")
_LISTS = ("default", "set", "add")


def response_changes(keys: RouteKeys, site: SiteKeys, draft: Draft, loc: Loc) -> HeaderChanges:
    own, default = keys.response_headers, site.defaults.response_headers
    _check(own, draft, (*loc, "response_headers"), _groups(keys))
    return _merged(own, default)


def request_changes(keys: RouteKeys, site: SiteKeys, draft: Draft, loc: Loc) -> HeaderChanges:
    own, default = keys.request_headers, site.defaults.request_headers
    where = (*loc, "request_headers")
    _check(own, draft, where, _groups(keys))
    asks = keys.pool or keys.upstream or keys.files or keys.file
    if not asks and draft.tree.has(*where):
        draft.mistake(where, "nobody reads them: the route answers by itself", "take it out")
    return _merged(own, default)


def fixed_headers(keys: HeaderKeys, draft: Draft, loc: Loc) -> tuple[tuple[str, str], ...]:
    """Those of `respond`, whose answer is ready before anybody asks."""
    _check_names(keys, draft, loc)
    for name, values in keys.add.items():
        if any(map(has_placeholders, values)):
            draft.mistake(
                (*loc, name),
                "a ready answer has no placeholders",
                "write it in response_headers of the route",
            )
    return _pairs(keys.add)


def check_default_headers(site: SiteKeys, draft: Draft) -> None:
    _check(site.defaults.response_headers, draft, ("defaults", "response_headers"), None)
    _check(site.defaults.request_headers, draft, ("defaults", "request_headers"), None)


def _groups(keys: RouteKeys) -> int | None:
    return keys.path_regex.groups if keys.path_regex is not None else None


def _merged(own: HeaderKeys, default: HeaderKeys) -> HeaderChanges:
    """What a route says of a header is all that holds for it."""
    said = {name.lower() for part in _LISTS for name in getattr(own, part)}
    said |= {name.lower() for name in own.remove}
    parts = {
        part: {name: values for name, values in getattr(default, part).items() if name.lower() not in said}
        | getattr(own, part)
        for part in _LISTS
    }
    removed = [name for name in default.remove if name.lower() not in said]
    return HeaderChanges(
        set=_pairs(parts["set"]),
        add=_pairs(parts["add"]),
        remove=(*removed, *own.remove),
        default=_pairs(parts["default"]),
    )


def _pairs(part: dict[str, tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, values in part.items() for value in values)


def _check(keys: HeaderKeys, draft: Draft, loc: Loc, groups: int | None) -> None:
    _check_names(keys, draft, loc)
    for part in _LISTS:
        for name, values in getattr(keys, part).items():
            for value in values:
                check_template(value, draft, (*loc, part, name), groups, is_header=True)


def _check_names(keys: HeaderKeys, draft: Draft, loc: Loc) -> None:
    is_request = isinstance(keys, RequestHeaderKeys)
    for part in _LISTS:
        for name, values in getattr(keys, part).items():
            where = (*loc, part, name) if draft.tree.has(*loc, part) else (*loc, name)
            fault = _fault(name, is_request)
            if is_request and name.lower() == "host":
                fault = _host_fault(part, values)
            if fault is not None:
                draft.mistake(where, f"{shown(name)} {fault[0]}", fault[1])
    for name in keys.remove:
        fault = _fault(name, is_request)
        if is_request and name.lower() == "host":
            fault = _host_fault("remove", ())
        if fault is not None:
            draft.mistake((*loc, "remove"), f"{shown(name)} {fault[0]}", fault[1])


def _fault(written: str, is_request: bool) -> tuple[str, str] | None:
    """Why nobody may change it, and what to do instead."""
    name = written.lower()
    if name in _FRAMING or name == ("expect" if is_request else "date"):
        return "is set by the server and cannot be touched", "take it out"
    if name.startswith("trivet-"):
        return "is how the proxy speaks with its pools", "take it out"
    if name == "cdn-loop" and is_request:
        return "is how circles are noticed and cannot be touched", "take it out"
    if name == "x-forwarded-prefix" and is_request:
        return "is set by the proxy and cannot be touched", "write strip_prefix: in the route"
    if is_request and (name in _IDENTITY or name.startswith(_IDENTITY_PREFIXES)):
        return (
            "is set by the proxy, which vouches for it, and cannot be touched",
            "take it out; trusted_proxies: says who else is believed",
        )
    if is_request and (name == "proxy" or name.startswith(_ORDERS)):
        return "is an order to a server and never goes on", "take it out"
    if is_request and "_" in name:
        return "has a _ in it, and servers drop such headers", f"write {shown(written.replace('_', '-'))}"
    return None


def _host_fault(part: str, values: tuple[str, ...]) -> tuple[str, str] | None:
    if part != "set":
        return "is in every request", "write it below set:"
    if len(values) != 1 or not parse_authority(values[0].encode()):
        return f'cannot be "{shown(", ".join(values))}"', "write one host, perhaps with a port"
    return None
