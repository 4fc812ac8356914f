"""The keys that change headers: of an answer, and of a request on its way on."""

from typing import Annotated, Any

from . import fields
from .section import Section, setting


def _named(values: Any) -> Any:
    """`X-A: one` means `X-A: [one]`."""
    if not isinstance(values, dict):
        return values
    return {name: fields.one_or_list(value) for name, value in values.items()}


HeaderValues = Annotated[
    dict[fields.HeaderName, tuple[fields.HeaderValue, ...]],
    fields.Short("header: value", _named, {"type": "object", "additionalProperties": {"type": "string"}}),
]
HeaderNames = Annotated[
    tuple[fields.HeaderName, ...], fields.Short("name or list", fields.one_or_list, {"type": "string"})
]


class HeaderChanges(Section):
    """`response_headers`"""

    default: HeaderValues = setting({}, "Headers added only where the answer has none of that name.")
    set: HeaderValues = setting({}, "Headers that replace those of the answer.")
    add: HeaderValues = setting({}, "Headers added to those of the answer; a list adds several.")
    remove: HeaderNames = setting((), "Headers taken out of the answer.")


class RequestHeaderChanges(HeaderChanges):
    """`request_headers`"""

    default: HeaderValues = setting({}, "Headers added only where the client has sent none of that name.")
    set: HeaderValues = setting({}, "Headers that replace the client's. `Host` can be set here.")
    add: HeaderValues = setting({}, "Headers added to the client's; a list adds several.")
    remove: HeaderNames = setting((), "Headers of the client's that do not go on.")
