"""The keys that change the path a request goes on with, and those of a redirect."""

from typing import Annotated, Any

from . import fields
from .nodes import described
from .problems import Mistake
from .regex import RegexText
from .section import Section, required, setting

_STATUSES = (301, 302, 303, 307, 308)


class RewriteKeys(Section):
    """`rewrite`"""

    from_: RegexText | None = setting(
        None,
        "Paths that have this somewhere (`^` and `$` for all of it) are rewritten; else all are. Its groups "
        "are `{1}` to `{9}` in `to`, in the place of `path_regex`'s.",
        alias="from",
    )
    to: fields.Word = required(
        "The path that goes on, with placeholders. The query is kept, unless it has one of its own; a `?` at "
        "the end leaves it out."
    )


def _parse_status(value: Any) -> int:
    if str(value) not in map(str, _STATUSES) or isinstance(value, bool):
        known = ", ".join(map(str, _STATUSES))
        raise Mistake(f"{described(value)} is no status of a redirect", f"write one of {known}")
    return int(value)


RedirectStatus = Annotated[
    int, fields.Kind(", ".join(map(str, _STATUSES)), _parse_status, {"enum": list(_STATUSES)})
]


class RedirectKeys(Section):
    """`redirect`"""

    to: fields.Word = required(
        "Where to: a path or a URL, with `{scheme} {host} {port} {path} {query} {uri} {client} {request_id}` "
        "and `{1}` to `{9}` of `path_regex`."
    )
    permanent: fields.Switch = setting(False, "308 (browsers remember it for good) in the place of 302.")
    status: RedirectStatus | None = setting(
        None, "301, 302, 303, 307 or 308. 301, 302 and 303 turn a POST into a GET."
    )
