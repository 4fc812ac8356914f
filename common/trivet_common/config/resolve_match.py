"""What a route asks of a request, from its keys; which of it cannot be asked."""

from .draft import Draft
from .model_match import MatchKeys
from .model_routes import RouteKeys
from .nodes import Loc
from .resolve_listen import trusted
from .settings_match import FieldMatch, Match, Regex

_KEYS = tuple(MatchKeys.model_fields)
# Framing; and what anybody may claim, where another key asks for what is believed of it.
_NOT_ASKED = {
    "host": "write host:",
    "x-forwarded-host": "write host:",
    "x-forwarded-proto": "write scheme:, which believes only trusted_proxies",
    "x-forwarded-for": "write client:, which believes only trusted_proxies",
    "x-real-ip": "write client:, which believes only trusted_proxies",
    "content-length": "take it out",
    "transfer-encoding": "take it out",
}


def resolve_match(keys: RouteKeys, draft: Draft, loc: Loc) -> Match | None:
    """None where it asks nothing more."""
    match = Match(
        path_regex=keys.path_regex,
        methods=_methods(keys.methods),
        headers=_fields(keys.headers, draft, (*loc, "headers"), is_header=True),
        query=_fields(keys.query, draft, (*loc, "query"), is_header=False),
        clients=trusted(keys.client, draft, (*loc, "client")) if keys.client else None,
    )
    if match == Match():
        return None
    if keys.internal:
        written = next(key for key in _KEYS if getattr(keys, key))
        draft.mistake((*loc, written), "an application orders it, whatever was asked", "take it out")
    return match


def _methods(words: tuple[str, ...]) -> tuple[str, ...]:
    """RFC 9110, 9.3.2: HEAD is GET without the content."""
    return tuple(dict.fromkeys([*words, *(["HEAD"] if "GET" in words else [])]))


def _fields(
    written: dict[str, str | Regex | bool], draft: Draft, loc: Loc, is_header: bool
) -> tuple[FieldMatch, ...]:
    found: dict[str, FieldMatch] = {}
    for name, wanted in written.items():
        known = name.lower() if is_header else name
        if known in found:
            draft.mistake((*loc, name), "it stands here already", "keep one of the two")
        elif is_header and known in _NOT_ASKED:
            draft.mistake((*loc, name), "a route cannot ask for it so", _NOT_ASKED[known])
        elif is_header and "_" in known:
            draft.mistake((*loc, name), "headers with _ are dropped", f"write {name.replace('_', '-')}")
        value = None if isinstance(wanted, bool) else wanted
        found[known] = FieldMatch(known, value, is_absent=wanted is False)
    return tuple(found.values())
