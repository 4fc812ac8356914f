"""The keys of `hsts`: how long browsers are to use https only (RFC 6797)."""

import re
from typing import Annotated, Any

from . import fields
from .section import Section, required, setting

YEAR = 365 * 86400.0


def _parse_age(value: Any) -> float | None:
    if fields.is_off(value):
        return None
    years = re.fullmatch(r"([0-9]{1,2})y", str(value))
    seconds: float = int(years[1]) * YEAR if years else fields.duration(zero=True).parse(value)
    return seconds


Age = Annotated[
    float | None,
    fields.Kind("duration or off", _parse_age, fields.or_off({"type": "string"}), "y, and as elsewhere"),
]


class HstsKeys(Section):
    """`hsts`"""

    age: Age = required("For how long: `1y`. `0s` has browsers forget it.")
    subdomains: fields.Switch = setting(False, "For all names below, too: they must all speak https.")
    preload: fields.Switch = setting(
        False, "The site may stand in the browsers' own lists: hard to undo. Needs a year and `subdomains`."
    )

    def text(self) -> str | None:
        """The header's value, or None where there is to be none."""
        if self.age is None:
            return None
        parts = [f"max-age={int(self.age)}"]
        parts += ["includeSubDomains"] if self.subdomains else []
        parts += ["preload"] if self.preload else []
        return "; ".join(parts)


def _hsts_short(value: Any) -> Any:
    return value if isinstance(value, (dict, list, tuple)) else {"age": value}


Hsts = Annotated[HstsKeys, fields.Short("duration", _hsts_short, {"type": ["string", "boolean"]})]
