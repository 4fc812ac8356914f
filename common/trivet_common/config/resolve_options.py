"""Options of a route: its own over `defaults` over the site's, key by key."""

from dataclasses import dataclass, fields

from .draft import Draft
from .model import LimitKeys, SiteKeys
from .model_hsts import YEAR
from .model_routes import RouteKeys
from .nodes import Loc
from .settings import Limits
from .units import size_text


@dataclass(frozen=True, slots=True)
class Options:
    limits: Limits
    has_timeout: bool
    timeout: float | None
    tunnel_timeout: float
    stream: bool
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
