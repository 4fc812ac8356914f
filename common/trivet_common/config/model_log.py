"""The keys of a route's own log."""

from typing import Annotated, Any

from . import fields
from .nodes import described
from .problems import Mistake
from .section import Section, setting


def _parse_file(value: Any) -> bool | str:
    """True: the site's log."""
    if isinstance(value, bool) or (isinstance(value, str) and value in ("off", "true", "false")):
        return fields.parse_switch(value)
    if not isinstance(value, str):
        raise Mistake(f"{described(value)} is no file", "write off, true or a file")
    return fields.parse_text(value)


def widen(value: Any) -> Any:
    """`log: off`, `log: FILE`."""
    return value if isinstance(value, (dict, Section)) else {"file": value}


Masking = Annotated[str, fields.choice("whole", "masked")]
MASKING = "Addresses of clients: `whole`, or `masked` to their network (IPv4 /24, IPv6 /48), in every format."


class RouteLogKeys(Section):
    """`log` of a route"""

    file: Annotated[
        bool | str,
        fields.Kind("true, off, stdout, stderr or a file", _parse_file, {"type": ["boolean", "string"]}),
    ] = setting(
        True,
        "Where requests of this route are noted: in the site's access log, nowhere, or in a file of their "
        "own, in the site's format.",
    )
    client: Masking | None = setting(None, MASKING + " Else as `log.client` of the site.")


RouteLogSection = Annotated[
    RouteLogKeys,
    fields.Short("true, off or a file", widen, {"type": ["boolean", "string"]}),
]
