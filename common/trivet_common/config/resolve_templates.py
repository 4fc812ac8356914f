"""Placeholders in whatever text a route builds: which there are, and what nginx calls them.

Says where one cannot be filled. How they are filled is the proxy's matter.
"""

import re

from .draft import Draft
from .hints import close_name
from .nodes import Loc
from .placeholders import NAME_IN_HEADER
from .problems import shown
from .settings import PLACEHOLDERS

_ANY = re.compile(r"\{([^{}]*)\}")
_NGINX = {
    "request_uri": "{uri}",
    "uri": "{path}",
    "document_uri": "{path}",
    "host": "{host}",
    "http_host": "{host}:{port}",
    "server_name": "{host}",
    "scheme": "{scheme}",
    "args": "{query}",
    "query_string": "{query}",
    "is_args": "?",
    "remote_addr": "{client}",
    "server_port": "{port}",
    "request_id": "{request_id}",
}
_VARIABLE = re.compile(r"\$(?:([0-9])(?![0-9])|(" + "|".join(_NGINX) + r")\b)")


def check_template(text: str, draft: Draft, loc: Loc, groups: int | None, is_header: bool = False) -> bool:
    """Whether all of it can be filled. `groups`: how many {1}… there are; None: nobody gives any."""
    for name in (NAME_IN_HEADER if is_header else _ANY).findall(text):
        if name.isdecimal():
            fault = _group_fault(int(name), groups)
        else:
            fault = None if name in PLACEHOLDERS else _name_fault(name)
        if fault is not None:
            draft.mistake(loc, *fault)
            return False
    if variable := _VARIABLE.search(text):
        number, name = variable.groups()
        cure = f"{{{number}}}" if number else _NGINX[name]
        draft.mistake(loc, f"{shown(variable[0])} is nginx's", f"write {cure}")
        return False
    return True


def _group_fault(number: int, groups: int | None) -> tuple[str, str] | None:
    if groups is None:
        return f"{{{number}}} needs path_regex", "add one with a group, for example path_regex: ^/(.*)$"
    if not 1 <= number <= min(groups, 9):
        several = f"there {'is one group' if groups == 1 else f'are {groups} groups'}, and {{1}} is the first"
        has = several if groups else "there is no group"
        return f"{{{number}}}: {has}", "write ( ) around what is meant"
    return None


def _name_fault(name: str) -> tuple[str, str]:
    hint = close_name(name, list(PLACEHOLDERS))
    known = " ".join(f"{{{word}}}" for word in PLACEHOLDERS)
    cure = f"write {{{hint.removeprefix('write ')}}}" if hint.startswith("write ") else f"there are {known}"
    return f"there is no placeholder {{{shown(name)}}}", cure
