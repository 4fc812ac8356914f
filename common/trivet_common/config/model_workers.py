"""How many workers a pool has, how they begin and how they end: the keys that say so, once.

Says how they are written; what of it cannot work together is settled elsewhere.
"""

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from . import fields
from .nodes import described
from .problems import Mistake, shown
from .section import Section, required, setting

MOST_WORKERS = 1024
# The interpreter alone takes about this much; less would recycle a worker after each request.
LEAST_MEMORY = 16 * 2**20

_NAME = r"[^\W\d]\w*"
_FUNCTION = re.compile(rf"{_NAME}(\.{_NAME})*:{_NAME}(\.{_NAME})*\Z")
_workers = fields.count(1, MOST_WORKERS, "a number of workers")


class WorkersKeys(Section):
    """`workers` of a pool"""

    min: Annotated[int, fields.count(1, MOST_WORKERS)] = setting(
        1, "The fewest workers, and how many there are at the start."
    )
    max: Annotated[int, fields.count(1, MOST_WORKERS)] = required("The most workers.")
    wait: fields.Duration = setting(
        "50ms",
        "One worker more when one request in twenty has waited longer than this for a slot.",
    )
    idle: fields.Duration = setting("60s", "One worker fewer when it was not needed for this long.")
    memory: Annotated[int, fields.size(LEAST_MEMORY)] | None = setting(
        None, "No worker more while all together hold this much private memory."
    )


def _ready(value: Any) -> str:
    text = fields.parse_text(value)
    if "://" in text:
        raise Mistake(
            f'"{shown(text)}" is an address, and the application is asked directly',
            f"write ready: {shown(urlsplit(text).path or '/')}",
        )
    if not text.startswith("/"):
        raise Mistake(f'"{shown(text)}" is not a path', f"write ready: /{shown(text)}")
    if not re.fullmatch(r"[!-~]+", text) or "#" in text:
        raise Mistake(f'"{shown(text)}" is not a path', "write it as a browser sends it, %20 for a space")
    return text


class ReloadKeys(Section):
    """`reload` of a pool"""

    timeout: fields.Duration = setting("60s", "How long a new worker may take until it is ready.")
    ready: Annotated[str, fields.Kind("path", _ready, {"type": "string"})] | None = setting(
        None,
        "A path asked of the first new worker before an old one leaves; any status below 500 will do.",
    )
    surge: Annotated[int, fields.count(1, MOST_WORKERS)] = setting(
        1, "How many workers more than usual there may be while new ones take over."
    )


class PreloadKeys(Section):
    """`preload` of a pool"""

    threads: Annotated[str, fields.choice("refuse", "allow")] = setting(
        "refuse",
        "What to do when the application has started threads while it was loaded; workers lack them.",
    )


def _widen_workers(value: Any) -> Any:
    if isinstance(value, dict) or value is None:
        return value
    try:
        number: int = _workers.parse(value)
    except Mistake as mistake:
        raise Mistake(mistake.message, _workers_cure(value) or mistake.hint) from None
    return {"min": number, "max": number}


def _workers_cure(value: Any) -> str | None:
    """For those who mean bounds, and those who mean what happens anyway."""
    if bounds := re.fullmatch(r"\s*([0-9]{1,4})\s*(?:-|\.\.|to|,)\s*([0-9]{1,4})\s*", str(value)):
        return f"write workers: {{min: {bounds[1]}, max: {bounds[2]}}}"
    if str(value).lower() in ("auto", "max", "default"):
        return "leave it out: it is twice the cores by itself"
    return "write workers: 4 or workers: {min: 2, max: 8}" if isinstance(value, (list, tuple)) else None


def _widen_preload(value: Any) -> Any:
    if isinstance(value, dict) or value is None:
        return value
    return {} if fields.parse_switch(value) else None


def _function(value: Any) -> str:
    text = fields.parse_text(value)
    if _FUNCTION.match(text):
        return text
    if _FUNCTION.match(text.removesuffix("()")):
        raise Mistake(f'"{shown(text)}" is a call', f"write {shown(text.removesuffix('()'))}")
    module, _, name = text.rpartition(".")
    dotted = re.fullmatch(rf"{_NAME}(\.{_NAME})+", text)
    raise Mistake(
        f"{described(value)} is not a function",
        f"write {shown(module)}:{shown(name)}" if dotted else "write module:function",
    )


_NUMBER_OR_VARIABLE: fields.Json = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": MOST_WORKERS},
        {"type": "string", "pattern": r"\$\{"},
    ]
}

Workers = Annotated[WorkersKeys | None, fields.Short("number", _widen_workers, _NUMBER_OR_VARIABLE)]
Preload = Annotated[
    PreloadKeys | None,
    fields.Short("true or false", _widen_preload, {"enum": [True, False, "off"]}),
]
Function = Annotated[str, fields.Kind("module:function", _function, {"type": "string"})]
