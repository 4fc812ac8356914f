"""What a route asks of a request, in the words of the file."""

from typing import Any

from trivet_common.config.settings_match import FieldMatch, Match, Regex

from .words import networks


def match_keys(match: Match | None) -> dict[str, Any]:
    """Its keys; empty ones too."""
    if match is None:
        return {}
    return {
        "path_regex": str(match.path_regex) if match.path_regex else None,
        "methods": list(match.methods),
        "headers": {field.name: _wanted(field) for field in match.headers},
        "query": {field.name: _wanted(field) for field in match.query},
        "client": networks(match.clients) if match.clients else [],
    }


def _wanted(field: FieldMatch) -> str | bool:
    if field.value is None:
        return not field.is_absent
    return f"~{field.value}" if isinstance(field.value, Regex) else field.value
