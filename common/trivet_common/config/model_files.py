"""The keys of `files`: field, default and meaning together, once.

Says how they are written; what follows from them is settled in resolve_files.py.
"""

import difflib
import re
from typing import Annotated, Any

from . import fields
from .fields import FIELD_VALUE, Kind
from .nodes import described
from .problems import Mistake, shown
from .section import Section, required, setting
from .units import parse_duration

AUTO = "auto"
NEXT = "next"

# RFC 9111, 5.2.2, RFC 8246 and RFC 5861.
_DIRECTIVES = {
    *("public", "private", "max-age", "s-maxage", "no-cache", "no-store", "no-transform", "immutable"),
    *("must-revalidate", "proxy-revalidate", "must-understand", "stale-while-revalidate", "stale-if-error"),
}
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(\s*;.*)?\Z")
_ENDING = re.compile(r"[A-Za-z0-9_+-]+\Z")


def _parse_cache(value: Any) -> str | None:
    """`auto`, None for off, or the header's text."""
    if fields.is_off(value):
        return None
    if not isinstance(value, str) or not FIELD_VALUE.match(value) or not value.strip():
        raise Mistake(
            f"{described(value)} is no way to cache",
            'write auto, off, 30d, or a header: "public, max-age=60"',
        )
    if value == AUTO:
        return AUTO
    if value[0].isdecimal():
        return f"max-age={int(parse_duration(value))}"
    for part in value.split(","):
        name = part.partition("=")[0].strip().lower()
        if name not in _DIRECTIVES:
            close = difflib.get_close_matches(name, (*_DIRECTIVES, AUTO), n=1)
            hint = (
                f"write {close[0]}" if close else 'write auto, off, 30d, or for example "public, max-age=60"'
            )
            raise Mistake(f"{shown(name)} is not a directive of Cache-Control", hint)
    return value.strip()


def _parse_index(value: Any) -> str | None:
    if fields.is_off(value):
        return None
    name = fields.parse_text(value)
    if "/" in name or name in (".", ".."):
        raise Mistake(f"{shown(name)} is a path, not a name", "write a file's name, for example index.html")
    return name


def _parse_fallback(value: Any) -> str:
    name = fields.parse_text(value)
    if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
        raise Mistake(
            f"{shown(name)} is not a file below root",
            "write its path from root, for example index.html, or next for the next route",
        )
    return name


def _parse_types(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Mistake(f"this must be a mapping, not {described(value)}", "write {glb: model/gltf-binary}")
    types = {}
    for key, found in value.items():
        ending = str(key).removeprefix("*").removeprefix(".").lower()
        text = fields.parse_text(found)
        if _MEDIA_TYPE.match(str(key)):
            raise Mistake(f"{shown(key)} stands on the wrong side", f"write {shown(text)}: {shown(key)}")
        if not _ENDING.match(ending):
            raise Mistake(f"{shown(key)} is not the end of a name", "write what follows its last dot")
        if not _MEDIA_TYPE.match(text) or not FIELD_VALUE.match(text):
            raise Mistake(f"{shown(text)} is not a content type", "write for example model/gltf-binary")
        types[ending] = text
    return types


def _parse_keep(value: Any) -> int:
    if fields.is_off(value):
        return 0
    number: int = fields.count(0, 100).parse(value)
    return number


def _text_or_off(pattern: str = "") -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string", "minLength": 1}
    return fields.or_off(text | ({"pattern": pattern} if pattern else {}))


Cache = Annotated[
    str | None,
    Kind("auto, off, a duration or the header's text", _parse_cache, _text_or_off(), "ms, s, m, h, d"),
]


class FilesKeys(Section):
    """`files`"""

    root: fields.PathText = required("The folder; what follows the route's path is looked up below it.")
    index: Annotated[str | None, Kind("name or off", _parse_index, _text_or_off())] = setting(
        "index.html", "The file that answers for a folder."
    )
    fallback: (
        Annotated[str, Kind("path below root, or next", _parse_fallback, {"type": "string", "minLength": 1})]
        | None
    ) = setting(
        None,
        "What answers where there is no file: a file below `root` (for single-page applications; names that "
        "look like a build's hashed assets are 404 all the same), or `next` for the next route that matches.",
    )
    listing: fields.Switch = setting(False, "List folders that have no index.")
    precompressed: fields.Switch = setting(
        True, "Send `NAME.br`, `NAME.zst` or `NAME.gz` to clients that take it. Off with `uploads`."
    )
    cache: Cache = setting(
        AUTO,
        "Cache-Control: `auto` (a year for names with a content hash, `no-cache` for others), `off`, a "
        "duration such as `30d`, or the header's own text.",
    )
    types: Annotated[
        dict[str, str],
        Kind(
            "ending: content type",
            _parse_types,
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
    ] = setting({}, "Content types by the end of a name, over the usual ones.")
    hidden: fields.Switch = setting(
        False, "Serve names that begin with a dot or end in `~` (`/.well-known/` always is)."
    )
    uploads: fields.Switch = setting(
        False,
        "Others may write here: what a browser would run is downloaded instead, and no type is guessed.",
    )
    follow_links: Annotated[str, fields.choice("inside", "never", "always")] = setting(
        "inside", "Symbolic links to follow: those that stay below `root`, none, or all."
    )
    keep_releases: Annotated[
        int,
        Kind("number or off", _parse_keep, fields.or_off({"type": "integer", "minimum": 0, "maximum": 100})),
    ] = setting(
        0, "Keep the hashed assets of so many trees in `state_dir`, for pages loaded before a deploy."
    )
