"""The types of single settings: how each is written, parsed, documented and described in the JSON schema.

Every parser takes what the file (text) or a Python caller (numbers) gives and raises Mistake with a cure.
Knows no key and no default.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from . import units
from .nodes import Text, core_value, described
from .problems import Mistake, shown

Json: TypeAlias = dict[str, Any]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
# RFC 9110 section 5.5; beyond ASCII a header's value has no agreed meaning.
FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


_VARIABLE: Json = {"type": "string", "pattern": r"\$\{"}


@dataclass(frozen=True)
class Kind:
    """One type of setting: its name in the reference, its parser, its JSON schema and its unit."""

    label: str
    parse: Callable[[Any], Any]
    schema: Json
    unit: str = ""

    def __hash__(self) -> int:
        return hash(self.label)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Json:
        # A variable may stand wherever a value may, whatever type it has then.
        return (
            dict(self.schema) if _takes_text(self.schema) else {"anyOf": [dict(self.schema), dict(_VARIABLE)]}
        )


@dataclass(frozen=True)
class Short:
    """A section that may be written short: `widen` turns the short form into the whole one."""

    label: str
    widen: Callable[[Any], Any]
    schema: Json

    def __hash__(self) -> int:
        return hash(self.label)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self.widen, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> Json:
        return {"anyOf": [dict(self.schema), handler(schema)]}


def _takes_text(schema: Json) -> bool:
    return not schema or ("string" in schema.get("type", ()) and "pattern" not in schema)


def one_or_list(value: Any) -> Any:
    """`x` means `[x]`."""
    return value if isinstance(value, (list, tuple)) else [value]


def parse_text(value: Any) -> str:
    """Text of one line, not empty."""
    if not isinstance(value, str):
        raise Mistake(f"this must be text, not {described(value)}")
    if not value:
        raise Mistake("this is empty", "write a value, or leave the line out")
    if _CONTROL.search(value):
        raise Mistake(f'"{shown(value)}" has control characters in it', "remove them")
    return str(value)


def parse_value(value: Any) -> str:
    """A variable's value: any text, and numbers and switches as they are written."""
    if isinstance(value, (bool, int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str):
        raise Mistake(f"this must be text, not {described(value)}", "quote it")
    if "\0" in value:
        raise Mistake("a variable's value cannot hold a NUL character", "remove it")
    return str(value)


def parse_switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false", "off"):
        return bool(value == "true")
    better = {"on": "true", "yes": "true", "no": "false", "1": "true", "0": "false"}.get(str(value).lower())
    raise Mistake(f"{described(value)} is neither true nor false", f"write {better or 'true or false'}")


def count(low: int, high: int, what: str = "a number") -> Kind:
    """A whole number within bounds."""

    def parse(value: Any) -> int:
        text = str(value)
        if isinstance(value, (bool, list, dict)) or not re.fullmatch(r"[0-9]{1,18}", text):
            raise Mistake(
                f"this must be {what}, not {described(value)}", f"write a number from {low} to {high}"
            )
        if not low <= int(text) <= high:
            raise Mistake(f"{shown(text)} is out of range", f"write a number from {low} to {high}")
        return int(text)

    return Kind("number", parse, {"type": "integer", "minimum": low, "maximum": high})


def duration(zero: bool = False, off: bool = False) -> Kind:
    """Seconds; with `off` also None."""

    def parse(value: Any) -> float | None:
        if is_off(value):
            if off:
                return None
            raise Mistake("this cannot be off: every wait has an end", "write a duration, for example 1h")
        if off:
            _refuse_zero(value)
        seconds = units.parse_duration(value)
        if not seconds and not zero:
            raise Mistake(
                "a duration of nothing is not possible here", "write off" if off else "write for example 1s"
            )
        return seconds

    schema: Json = {"type": "string", "pattern": units.DURATION_PATTERN}
    return Kind("duration" + off * " or off", parse, or_off(schema) if off else schema, "ms, s, m, h, d")


def size(low: int = 0, off: bool = False) -> Kind:
    """Bytes; with `off` also None."""

    def parse(value: Any) -> int | None:
        if is_off(value):
            if off:
                return None
            raise Mistake("this cannot be off: every buffer has a bound", "write a size, for example 10GiB")
        if off:
            _refuse_zero(value)
        number = units.parse_size(value)
        if number < low:
            raise Mistake(f"{shown(value)} is too little", f"write at least {units.size_text(low)}")
        return number

    schema: Json = {"type": "string", "pattern": units.SIZE_PATTERN}
    units_of_size = "B, KB, MB, GB, KiB, MiB, GiB"
    return Kind("size" + off * " or off", parse, or_off(schema) if off else schema, units_of_size)


def choice(*words: str) -> Kind:
    """One word of a few."""

    def parse(value: Any) -> str:
        word = "off" if value is False and "off" in words else value
        if not isinstance(word, str) or word not in words:
            close = difflib.get_close_matches(str(value), words, n=1)
            hint = f"write {close[0]}" if close else "write one of these"
            raise Mistake(f"{described(value)} is not one of {', '.join(words)}", hint)
        return str(word)

    return Kind(" or ".join(filter(None, (", ".join(words[:-1]), words[-1]))), parse, {"enum": list(words)})


def is_off(value: Any) -> bool:
    return value is False or (isinstance(value, str) and value in ("off", "false"))


def is_on(value: Any) -> bool:
    """Where it takes more than that."""
    return value is True or (isinstance(value, Text) and value.plain and value in ("true", "on", "yes"))


def _refuse_zero(value: Any) -> None:
    """Elsewhere (gunicorn, nginx) 0 means no limit, or no time at all: nobody shall have to guess."""
    if str(value) == "0":
        raise Mistake("0 could mean none or no limit", "write off for no limit")


def or_off(schema: Json) -> Json:
    return {"anyOf": [schema, {"enum": ["off", False]}]}


def _parse_rate(value: Any) -> int | None:
    return None if is_off(value) else units.parse_rate(value)


def _parse_limit(value: Any) -> int | None:
    if is_off(value):
        return None
    _refuse_zero(value)
    number: int = count(1, 10**7).parse(value)
    return number


def _parse_variable(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise Mistake(f"{described(value)} is not the name of a variable", "use letters, digits and _")
    return str(value)


def _parse_header_name(value: Any) -> str:
    if not isinstance(value, str) or not TOKEN.match(value) or len(value) > 128:
        raise Mistake(f"{described(value)} is not a header's name", "write for example X-Frame-Options")
    return str(value)


def _parse_header_value(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise Mistake(f"a header's value is text, not {described(value)}", "quote it")
    if not FIELD_VALUE.match(value):
        raise Mistake(
            "a header's value cannot hold line ends, control characters or letters beyond ASCII",
            "remove them",
        )
    return value.strip()


def _parse_octal(value: Any) -> int:
    text = str(value).removeprefix("0o")
    # A Python caller's 0o660 arrives as a number and is taken as it is.
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        return value
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise Mistake(f"{described(value)} is not a file mode", "write for example 0660")
    return int(text, 8)


def _parse_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _parse_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_parse_json(item) for item in value]
    return core_value(value)


_ONE_LINE: Json = {"type": "string", "minLength": 1}

Word = Annotated[str, Kind("text", parse_text, _ONE_LINE)]
PathText = Annotated[str, Kind("path", parse_text, _ONE_LINE)]
Value = Annotated[str, Kind("text", parse_value, {"type": ["string", "number", "boolean"]})]
Variable = Annotated[str, Kind("name", _parse_variable, {"type": "string"})]
Switch = Annotated[bool, Kind("true or false", parse_switch, {"enum": [True, False, "off"]})]
Duration = Annotated[float, duration()]
DurationOrZero = Annotated[float, duration(zero=True)]
DurationOrOff = Annotated[float | None, duration(off=True)]
Size = Annotated[int, size()]
RateOrOff = Annotated[
    int | None,
    Kind(
        "rate or off", _parse_rate, or_off({"type": "string", "pattern": units.RATE_PATTERN}), "a size and /s"
    ),
]
CountOrOff = Annotated[
    int | None, Kind("number or off", _parse_limit, or_off({"type": "integer", "minimum": 1}))
]
HeaderName = Annotated[str, Kind("header name", _parse_header_name, {"type": "string"})]
HeaderValue = Annotated[str, Kind("header value", _parse_header_value, {"type": ["string", "number"]})]
FileMode = Annotated[int, Kind("file mode", _parse_octal, {"type": ["string", "integer"]}, "octal")]
JsonValue = Annotated[Any, Kind("any JSON value", _parse_json, {})]
