"""The keys of a listener."""

from typing import Annotated, Any

from . import fields
from .model_routes import Words
from .model_tls import Tls
from .section import Section, required, setting


def _parse_address(value: Any) -> str:
    is_port = isinstance(value, int) and not isinstance(value, bool)
    return fields.parse_text(str(value) if is_port else value)


Address = Annotated[str, fields.Kind("address", _parse_address, {"type": ["string", "integer"]})]


class ListenKeys(Section):
    """One listener"""

    address: Address = required(
        '`host:port`, a bare port (every address, both families), `"unix:/path"` or `"fd:NAME"` (systemd).'
    )
    name: fields.Word | None = setting(None, "What routes call it: `listener: NAME`.")
    scheme: Annotated[str, fields.choice("http", "https")] = setting(
        "http", "What clients used: `https` where TLS ends in front of us and nobody says so."
    )
    group: fields.Word | None = setting(None, "The group that may connect to a Unix socket.")
    mode: fields.FileMode | None = setting(None, "The mode of a Unix socket; else 0600, 0660 with `group`.")

    tls: Tls | None = setting(None, "TLS: a certificate, or several. Clients use https then.")

    proxy_protocol: Words = setting(
        (),
        "The balancers that begin each connection with a PROXY header (version 1 or 2): networks, `private`, "
        "`unix`. Nobody else may connect here.",
    )


def _address_short(value: Any) -> Any:
    return {"address": str(value)} if isinstance(value, (str, int)) and not isinstance(value, bool) else value


Listeners = Annotated[
    tuple[
        Annotated[ListenKeys, fields.Short("address", _address_short, {"type": ["string", "integer"]})], ...
    ],
    fields.Short("address", fields.one_or_list, {"type": ["string", "integer", "object"]}),
]
