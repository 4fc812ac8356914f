"""Options of a route: its own over `defaults` over the site's, key by key."""

from dataclasses import dataclass, fields

from .draft import Draft
from .model import LimitKeys, SiteKeys
from .model_hsts import YEAR
from .model_routes import HeaderChanges as HeaderKeys
from .model_routes import RouteKeys
from .nodes import Loc
from .problems import shown
from .settings import PLACEHOLDERS, HeaderChanges, Limits
from .units import size_text

# Fields that belong to the connection and the message's framing (RFC 9110 section 7.6.1, RFC 9112 section 6).
_FRAMING = frozenset(
    [
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "date",
    ]
)


@dataclass(frozen=True, slots=True)
class Options:
    limits: Limits
    has_timeout: bool
    timeout: float | None
    tunnel_timeout: float
    stream: bool
    log: bool
    response_headers: HeaderChanges
    hsts: str | None


def resolve_options(keys: RouteKeys, site: SiteKeys, draft: Draft, loc: Loc) -> Options:
    """What holds for one route."""
    with_timeout = keys if "timeout" in keys.model_fields_set else site.defaults
    stream = keys.stream if "stream" in keys.model_fields_set else site.defaults.stream
    options = Options(
        limits=_limits(keys, site),
        has_timeout="timeout" in with_timeout.model_fields_set,
        timeout=with_timeout.timeout,
        tunnel_timeout=(keys if "tunnel_timeout" in keys.model_fields_set else site.defaults).tunnel_timeout,
        stream=stream,
        log=keys.log if "log" in keys.model_fields_set else site.defaults.log,
        response_headers=header_changes(
            keys.response_headers, site.defaults.response_headers, draft, (*loc, "response_headers")
        ),
        hsts=_hsts(keys, site, draft, loc),
    )
    if not stream and (keys.pool or keys.upstream) and options.limits.body > site.spool.limit:
        _report_body(options.limits.body, keys, site, draft, loc)
    return options


def _hsts(keys: RouteKeys, site: SiteKeys, draft: Draft, loc: Loc) -> str | None:
    own = "hsts" in keys.model_fields_set
    hsts = (keys if own else site.defaults).hsts
    if hsts is None:
        return None
    if hsts.preload and not (hsts.subdomains and hsts.age is not None and hsts.age >= YEAR):
        where = (*loc, "hsts") if own else ("defaults", "hsts")
        draft.mistake(
            where,
            "browsers preload only a year or more, with subdomains",
            "write {age: 1y, subdomains: true, …}",
        )
    return hsts.text()


def header_changes(own: HeaderKeys, default: HeaderKeys | None, draft: Draft, loc: Loc) -> HeaderChanges:
    """A route's changes over those of `defaults`: what a route says of a header is all that holds for it."""
    _check_names(own, draft, loc)
    if default is None:
        return _flat(own)
    said = {name.lower() for part in (own.default, own.set, own.add) for name in part} | {
        n.lower() for n in own.remove
    }
    kept = {
        part: {name: values for name, values in getattr(default, part).items() if name.lower() not in said}
        for part in ("default", "set", "add")
    }
    removed = [name for name in default.remove if name.lower() not in said]
    own_parts = {part: {**kept[part], **getattr(own, part)} for part in ("default", "set", "add")}
    return _flat(HeaderKeys.model_construct(None, **own_parts, remove=(*removed, *own.remove)))


def check_default_headers(site: SiteKeys, draft: Draft) -> None:
    _check_names(site.defaults.response_headers, draft, ("defaults", "response_headers"))


def _flat(keys: HeaderKeys) -> HeaderChanges:
    def pairs(part: dict[str, tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
        return tuple((name, value) for name, values in part.items() for value in values)

    return HeaderChanges(pairs(keys.set), pairs(keys.add), keys.remove, pairs(keys.default))


def _check_names(keys: HeaderKeys, draft: Draft, loc: Loc) -> None:
    for part in ("default", "set", "add"):
        for name, values in getattr(keys, part).items():
            where = (*loc, part, name) if draft.tree.has(*loc, part) else (*loc, name)
            _check_name(name, where, draft)
            for value in values:
                if "{" in value and any(f"{{{word}}}" in value for word in PLACEHOLDERS):
                    draft.mistake(where, "placeholders in headers are not yet built", "write the value out")
    for name in keys.remove:
        _check_name(name, (*loc, "remove"), draft)


def _check_name(name: str, where: Loc, draft: Draft) -> None:
    if name.lower() in _FRAMING:
        draft.mistake(where, f"{shown(name)} is set by the server and cannot be touched", "take it out")


def limits_of(keys: LimitKeys, body: int | None = None) -> Limits:
    """The limits as everyone else reads them; `body` stands above the section's own."""
    values = {field.name: getattr(keys, field.name) for field in fields(Limits)}
    return Limits(**values if body is None else {**values, "body": body})


def _limits(keys: RouteKeys, site: SiteKeys) -> Limits:
    body = keys.limits.body if keys.limits.body is not None else site.defaults.limits.body
    return limits_of(site.limits, body)


def _report_body(body: int, keys: RouteKeys, site: SiteKeys, draft: Draft, loc: Loc) -> None:
    """At the line that says most: the route's limit, the defaults', the site's, or the spool's."""
    hint = (
        f"write spool: {{limit: {size_text(body)}}} or more, a smaller limit, or stream: true for the route"
    )
    places: list[Loc] = [
        (*loc, "limits", "body"),
        ("defaults", "limits", "body"),
        ("limits", "body"),
        ("spool", "limit"),
    ]
    where = next((place for place in places if draft.tree.has(*place)), ("spool",))
    draft.findings.mistake(
        draft.place(*where),
        f"limits.body ({size_text(body)}) is above spool.limit ({size_text(site.spool.limit)})",
        hint,
    )
