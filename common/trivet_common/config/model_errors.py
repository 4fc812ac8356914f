"""The keys of `errors` and `maintenance`: pages of one's own. Field, default and meaning together, once.

Says how they are written; whether the files are there is settled elsewhere.
"""

import re
from typing import Annotated, Any

from . import fields
from .nodes import described
from .problems import Mistake
from .section import Section, required, setting


class ErrorKeys(Section):
    """`errors`: one status"""

    file: fields.PathText | None = setting(
        None,
        "The page; its name says its type. In texts `{status} {reason} {why} {request_id}` are put in.",
    )
    json_: fields.JsonValue = setting(
        None, "Any JSON value in the place of a page; the same can be put into its texts.", alias="json"
    )
    intercept: fields.Switch = setting(
        False,
        "Also in the place of what the pool or upstream answers with this status; else only of Trivet's own "
        "answers.",
    )


def _page_short(value: Any) -> Any:
    if fields.is_off(value):
        return {}
    if isinstance(value, (bool, int, float, list, tuple)) or value == "true":
        raise Mistake(f"a page is a file, not {described(value)}", "write a file, {json: …} or off")
    return {"file": value} if isinstance(value, str) else value


def _parse_status(value: Any) -> str:
    text = str(value)
    if re.fullmatch(r"[45](xx|[0-9][0-9])", text):
        return text
    if re.fullmatch(r"[45]XX", text):
        raise Mistake(f'"{text}" is written in small letters', f"write {text.lower()}")
    raise Mistake(f"{described(value)} is no status of an error", "write for example 502, 4xx or 5xx")


Status = Annotated[str, fields.Kind("status", _parse_status, {"type": "string", "pattern": "^[45](xx|..)$"})]
_Page = Annotated[
    ErrorKeys, fields.Short("page, or off for Trivet's own", _page_short, {"type": ["string", "boolean"]})
]


def _pages(value: Any) -> Any:
    """YAML's numbers are keys like any other."""
    if fields.is_off(value):
        return {}
    if isinstance(value, (list, tuple)):
        raise Mistake(
            "this must be a mapping of statuses to pages, not a list", "write errors: {5xx: page.html}"
        )
    if isinstance(value, str):
        raise Mistake("this says for no status", f"write errors: {{5xx: {value}}}")
    return {str(status): page for status, page in value.items()} if isinstance(value, dict) else value


Errors = Annotated[dict[Status, _Page], fields.Short("status: page", _pages, {"enum": ["off", False]})]


class MaintenanceKeys(Section):
    """`maintenance`"""

    when: fields.PathText = required("While there is a file of this name, 503 is answered.")
    page: fields.PathText | None = setting(
        None, "What is answered then, as in `errors`. Else Trivet's own page."
    )
    except_: Annotated[
        tuple[fields.Word, ...], fields.Short("network or list", fields.one_or_list, {"type": "string"})
    ] = setting(
        (), "Networks or addresses (`private`, `unix`) that see the site all the same.", alias="except"
    )
    retry_after: fields.DurationOrOff = setting("5m", "When a client is told to come again (Retry-After).")


def _maintenance_short(value: Any) -> Any:
    if fields.is_on(value):
        raise Mistake("this does not say when", "write maintenance: {when: maintenance.on}")
    if isinstance(value, str) and not fields.is_off(value):
        raise Mistake("this does not say when", f"write maintenance: {{when: maintenance.on, page: {value}}}")
    return None if fields.is_off(value) else value


OptionalMaintenance = Annotated[
    MaintenanceKeys | None, fields.Short("off", _maintenance_short, {"enum": ["off", False]})
]


class ErrorsKeys(Section):
    """What a route answers in the place of an error, and during maintenance"""

    errors: Errors = setting(
        {},
        "Pages by status, or by class (`4xx`, `5xx`), which is asked second: a file, `{json: …}`, or `off` "
        "for Trivet's own.",
    )
    maintenance: OptionalMaintenance = setting(
        None, "A page that is answered with 503 to all but a few, while there is a certain file."
    )
