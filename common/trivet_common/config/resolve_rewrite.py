"""Redirects, prefixes that are stripped, paths that are rewritten: what is written, what cannot be meant."""

import re

from ..http1.errors import HttpError
from ..http1.target import decode_path
from .draft import Draft
from .fields import FIELD_VALUE
from .matching import judge_path
from .model_rewrite import RedirectKeys, RewriteKeys
from .model_routes import RouteKeys
from .nodes import Loc
from .problems import Mistake, shown
from .resolve_templates import check_template
from .settings import PLACEHOLDERS, Redirect
from .settings_rewrite import Rewrite

_NAMES = re.compile(r"\{(" + "|".join(PLACEHOLDERS) + r"|[0-9])\}")
_FOUND, _PERMANENT = 302, 308


def resolve_redirect(keys: RedirectKeys, route: RouteKeys, draft: Draft, loc: Loc) -> Redirect:
    where = (*loc, "to")
    check_template(keys.to, draft, where, _groups(route))
    if not re.match(r"/|https?://|\{scheme\}://|\{uri\}|\{path\}", keys.to):
        draft.mistake(
            where, f'"{shown(keys.to)}" is neither a path nor a URL', "write /path or https://host{uri}"
        )
    elif not FIELD_VALUE.match(keys.to) or " " in keys.to:
        draft.mistake(where, "a URL has neither spaces nor letters beyond ASCII", "write them as %XX")
    if keys.status is not None and "permanent" in keys.model_fields_set:
        draft.mistake((*loc, "permanent"), "status says it already", "keep one of the two")
    return Redirect(keys.to, keys.status or (_PERMANENT if keys.permanent else _FOUND))


def resolve_prefix(keys: RouteKeys, draft: Draft, loc: Loc) -> str | None:
    """The prefix without a slash at its end."""
    if keys.strip_prefix is None:
        return None
    where = (*loc, "strip_prefix")
    prefix = keys.strip_prefix.rstrip("/")
    _check_use(keys, draft, where)
    if prefix == "true":
        draft.mistake(
            where, "this does not say which", f"write {shown((keys.path or '').rstrip('/') or '/api')}"
        )
        return None
    try:
        judge_path(keys.strip_prefix)
    except Mistake as mistake:
        draft.report(where, mistake)
        return None
    if not prefix:
        draft.mistake(where, "there is nothing to strip", "write for example /api")
    elif keys.path is not None and not _can_begin(keys.path, prefix):
        draft.mistake(
            where, f"no path of this route ({shown(keys.path)}) begins with {shown(prefix)}", "correct one"
        )
    return prefix


def resolve_rewrite(keys: RewriteKeys | None, route: RouteKeys, draft: Draft, loc: Loc) -> Rewrite | None:
    if keys is None:
        return None
    _check_use(route, draft, loc)
    groups = keys.from_.groups if keys.from_ is not None else _groups(route)
    if check_template(keys.to, draft, (*loc, "to"), groups):
        _check_target(keys.to, draft, (*loc, "to"))
    return Rewrite(keys.to, keys.from_)


def _groups(keys: RouteKeys) -> int | None:
    return keys.path_regex.groups if keys.path_regex is not None else None


def _check_use(keys: RouteKeys, draft: Draft, where: Loc) -> None:
    if keys.internal:
        draft.mistake(where, "the application that orders a file names its path itself", "take it out")
    elif not (keys.pool or keys.upstream or keys.files):
        draft.mistake(where, "the path goes nowhere: write it beside pool, upstream or files", "take it out")
    elif keys.mount:
        draft.mistake(
            where,
            "mount: true takes the route's path off already, and says so in SCRIPT_NAME",
            "keep one of the two",
        )


def _can_begin(path: str, prefix: str) -> bool:
    """Whether paths of the route can begin with it."""
    return (
        path == prefix
        or path.startswith(f"{prefix}/")
        or (path.endswith("/") and f"{prefix}/".startswith(path))
    )


def _check_target(to: str, draft: Draft, where: Loc) -> None:
    """As far as it can be known before anybody asks; the rest is judged when it is filled in."""
    path = _NAMES.sub("x", to.partition("?")[0])
    if not to.startswith(("/", "{path}", "{uri}")):
        draft.mistake(where, f'"{shown(to)}" is no path', "write /path; redirect: sends clients to a URL")
    elif "#" in to or " " in to or not to.isascii():
        draft.mistake(where, "a path has neither # nor spaces nor letters beyond ASCII", "write them as %XX")
    elif to.startswith("//"):
        draft.mistake(where, "it begins with two slashes", "write one")
    elif path.startswith("/"):
        try:
            decode_path(path.encode())
        except HttpError as error:
            draft.mistake(where, error.detail, "correct the path")
