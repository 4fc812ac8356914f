"""The keys that say who may come in by a route: field, default and meaning together, once.

Says how they are written; what of it cannot work is settled elsewhere.
"""

import re
from typing import Annotated, Any

from . import fields
from .nodes import described
from .problems import Mistake, shown
from .section import Section, required, setting
from .units import SECONDS

_RATE = re.compile(r"([0-9]{1,9})\s?/\s?(s|m|h|d)\Z")
_MOST = 1_000_000


def _networks(value: Any) -> Any:
    return () if fields.is_off(value) else fields.one_or_list(value)


Places = (
    Annotated[
        tuple[Annotated[str, fields.Kind("network", fields.parse_text, {"type": "string"})], ...],
        fields.Short("network, all, private, unix, off", _networks, {"type": ["string", "boolean"]}),
    ]
    | None
)


def _or_off(key: str) -> Any:
    """`off` is a section without what makes it one; a text is its `key`."""

    def widen(value: Any) -> Any:
        if fields.is_off(value):
            return {}
        if fields.is_on(value):
            raise Mistake(f"this does not say which {key}", f"write the {key}, or off")
        return {key: value} if isinstance(value, str) else value

    return widen


def _realm(value: Any) -> str:
    text = fields.parse_text(value)
    if not fields.FIELD_VALUE.match(text) or '"' in text or "\\" in text or len(text) > 200:
        raise Mistake(
            f'"{shown(text)}" cannot be said in a header', 'write letters, without " \\ and accents'
        )
    return text


class BasicAuthKeys(Section):
    """`basic_auth`"""

    file: fields.PathText | None = setting(
        None, "Who may log in: lines `name:hash` with bcrypt (`htpasswd -B`) or argon2. Read when it changes."
    )
    realm: Annotated[str, fields.Kind("text", _realm, {"type": "string", "minLength": 1})] = setting(
        "restricted", "What the browser shows when it asks for the password."
    )
    forward: fields.Switch = setting(
        False,
        "Pass the `Authorization` header on. Else the application sees who it is (REMOTE_USER, "
        "`X-Remote-User`) and no password.",
    )


class ForwardAuthKeys(Section):
    """`forward_auth`"""

    url: fields.Word | None = setting(
        None, 'Who is asked, with the path: `"http://127.0.0.1:9091/api/verify"`.'
    )
    pool: fields.Word | None = setting(None, "Or a pool that is asked.")
    path: fields.Word = setting("/", "With `pool`: the path that is asked for.")
    copy_: Annotated[
        tuple[fields.HeaderName, ...],
        fields.Short("header name or list", fields.one_or_list, {"type": "string"}),
    ] = setting(
        (),
        "Headers of a good answer that go on to the application; what the client says by these names never "
        "does.",
        alias="copy",
    )
    redirect: fields.Word | None = setting(
        None,
        "Where a 401 sends the client: a path or a URL with the placeholders of `redirect`, encoded behind "
        "its `?`.",
    )
    timeout: fields.Duration = setting("5s", "How long it may take to answer; then 503.")


def parse_rate(value: Any) -> tuple[int, float]:
    """Requests, and in how many seconds. Raises Mistake."""
    text = str(value)
    found = _RATE.match(text)
    if not found:
        nginx = re.fullmatch(r"([0-9]+)r/([sm])", text)
        hint = f"write {nginx[1]}/{nginx[2]}" if nginx else "write for example 10/s or 400/m"
        raise Mistake(f"{described(value)} is not a rate", hint)
    if not 1 <= int(found[1]) <= _MOST:
        raise Mistake(f"{shown(text)} is out of range", f"write 1 to {_MOST} per s, m, h or d")
    return int(found[1]), SECONDS[found[2]]


def _parse_key(value: Any) -> str:
    text = fields.parse_text(value)
    kind, colon, name = text.partition(":")
    if text != "client" and not (kind == "header" and colon and fields.TOKEN.match(name)):
        raise Mistake(f'"{shown(text)}" tells no clients apart', 'write client, or "header:NAME"')
    return text


class RateLimitKeys(Section):
    """`rate_limit`"""

    rate: Annotated[
        tuple[int, float], fields.Kind("requests per s, m, h or d", parse_rate, {"type": "string"})
    ] = required(
        "How many requests may come: `10/s`, `400/m`, evenly spread, by all proxy processes together."
    )
    burst: Annotated[int, fields.count(0, _MOST)] | None = setting(
        None, "How many more may come at once. Else as many as make the rate: ten at once for `10/s`."
    )
    key: Annotated[
        str, fields.Kind("client or header:NAME", _parse_key, {"type": "string", "minLength": 1})
    ] = setting(
        "client", "What has a rate of its own: each client (IPv6: each /64), or each value of a header."
    )


def _one_rate(value: Any) -> Any:
    return {"rate": value} if isinstance(value, str) else value


def _rates(value: Any) -> Any:
    return () if fields.is_off(value) else fields.one_or_list(value)


RateLimits = Annotated[
    tuple[Annotated[RateLimitKeys, fields.Short("rate", _one_rate, {"type": "string"})], ...],
    fields.Short("rate, or off", _rates, {"type": ["string", "object", "boolean"]}),
]


class AccessKeys(Section):
    """Who may come in; also in `defaults`"""

    allow: Places = setting(
        None,
        "Networks that may come in, and no others: `10.0.0.0/8`, `private`, `unix`, `all`. The most specific "
        "network of `allow` and `deny` that a client is in decides.",
    )
    deny: Places = setting(None, "Networks that may not: 403.")
    rate_limit: RateLimits = setting((), "How many requests each client may send; above it 429.")
    basic_auth: (
        Annotated[
            BasicAuthKeys, fields.Short("file or off", _or_off("file"), {"type": ["string", "boolean"]})
        ]
        | None
    ) = setting(None, "Ask for a name and a password.")
    forward_auth: (
        Annotated[
            ForwardAuthKeys, fields.Short("url or off", _or_off("url"), {"type": ["string", "boolean"]})
        ]
        | None
    ) = setting(None, "Ask another service, or a pool, whether each request may come in.")
