"""The keys of a route that say for which requests it is: by method, header, query, client and expression."""

from typing import Annotated, Any

from ..http1 import grammar
from . import fields
from .nodes import described
from .problems import Mistake, shown
from .regex import RegexText, parse_regex
from .section import Section, setting
from .settings_match import Regex

_METHODS = sorted(method.decode() for method in grammar.METHODS)
_LONGEST_VALUE = 4096


def _parse_method(value: Any) -> str:
    if not isinstance(value, str):
        raise Mistake(f"a method is a word, not {described(value)}", "write for example GET")
    if value in _METHODS:
        return str(value)
    if value.upper() in _METHODS:
        raise Mistake(f"methods are written in capitals, not {shown(value)}", f"write {value.upper()}")
    if value.encode() in grammar.REFUSED_METHODS:
        raise Mistake(f"{shown(value)} is never answered here", "take it out")
    raise Mistake(f'there is no method "{shown(value)}"', "write for example GET")


def _parse_wanted(value: Any) -> str | Regex | bool:
    """True: there; False: not there; a Regex after ~; else exactly this."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise Mistake(f"this must be a value, true, false or ~regex, not {described(value)}")
    if getattr(value, "plain", False) and value in ("true", "false"):
        return bool(value == "true")
    if value.startswith("~"):
        return parse_regex(value[1:].strip() if value[1:2] != "*" else _insensitive(value[2:]))
    if not fields.FIELD_VALUE.match(value) or len(value) > _LONGEST_VALUE:
        raise Mistake("a value cannot hold line ends or letters beyond ASCII", "write ~ and an expression")
    return str(value)


def _insensitive(text: str) -> str:
    raise Mistake(f'"~*{shown(text)}" is nginx\'s way', f'write "~(?i){shown(text.strip())}"')


Wanted = Annotated[
    str | Regex | bool,
    fields.Kind("value, true, false or ~regex", _parse_wanted, {"type": ["string", "number", "boolean"]}),
]


def _parse_parameter(value: Any) -> str:
    text = fields.parse_text(value)
    if any(sign in text for sign in "&=+%#"):
        raise Mistake(f'"{shown(text)}" is encoded', "write the name decoded, as people read it")
    return text


Parameter = Annotated[str, fields.Kind("name", _parse_parameter, {"type": "string"})]
Method = Annotated[str, fields.Kind("method", _parse_method, {"enum": _METHODS})]


class MatchKeys(Section):
    """What a route asks besides host, path, scheme and listener"""

    path_regex: RegexText | None = setting(
        None,
        "A regular expression that the path has somewhere (`^` and `$` for all of it); its groups are "
        "`{1}` to `{9}` in templates. With `path`, both must match.",
    )
    methods: Annotated[
        tuple[Method, ...], fields.Short("method or list", fields.one_or_list, {"enum": _METHODS})
    ] = setting((), "The methods it is for, `GET` with `HEAD`; else all.")
    headers: dict[fields.HeaderName, Wanted] = setting(
        {},
        "Headers of the request: exactly this value, `true` for any, `false` for none, or `~` and a regular "
        "expression.",
    )
    query: dict[Parameter, Wanted] = setting({}, "Parameters of the query, decoded: as with `headers`.")
    client: Annotated[
        tuple[fields.Word, ...], fields.Short("network or list", fields.one_or_list, {"type": "string"})
    ] = setting((), "Networks or addresses of the clients it is for (`private`, `unix`); else all.")
