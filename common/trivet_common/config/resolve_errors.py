"""A route's pages for errors and maintenance: its own over those of `defaults`, all of them there."""

import json
import os
from pathlib import Path

from .draft import Draft
from .model_errors import ErrorKeys, ErrorsKeys
from .nodes import Loc
from .problems import shown
from .reach import why_not_a_folder
from .resolve_listen import trusted
from .settings_errors import LARGEST_PAGE, ErrorPage, Maintenance
from .units import size_text

# What a route with one of these answers is its own: there is nothing behind it to intercept.
_ANSWER_THEMSELVES = ("files", "file", "redirect", "respond", "health")


def resolve_errors(own: ErrorsKeys, defaults: ErrorsKeys, draft: Draft, loc: Loc) -> tuple[ErrorPage, ...]:
    """Status by status; `own` may be the defaults themselves."""
    found = {status: _page(status, keys, draft, ("defaults", "errors", status))
             for status, keys in defaults.errors.items()}  # fmt: skip
    if "errors" in own.model_fields_set and not own.errors:
        return ()
    if own is not defaults:
        found |= {
            status: _page(status, keys, draft, (*loc, "errors", status))
            for status, keys in own.errors.items()
        }
        _check_intercept(own, draft, loc)
    return tuple(found.values())


def resolve_maintenance(own: ErrorsKeys, defaults: ErrorsKeys, draft: Draft, loc: Loc) -> Maintenance | None:
    """None on routes for which there is none: those that watch the site are told how it is."""
    is_own = "maintenance" in own.model_fields_set
    keys = (own if is_own else defaults).maintenance
    where: Loc = (*loc, "maintenance") if is_own else ("defaults", "maintenance")
    barred = next((key for key in ("health", "internal") if getattr(own, key, None)), None)
    if keys is None:
        return None
    if barred is not None:
        if is_own:
            draft.mistake(where, f"a route with {barred} is not closed for maintenance", "take it out")
        return None
    when = draft.path(keys.when, *where, "when")
    if draft.checks_front:
        _check_flag(when, draft, (*where, "when"))
    page = None
    if keys.page is not None:
        page = draft.path(keys.page, *where, "page")
        if page == when:
            draft.mistake(
                (*where, "page"), "the page is read when Trivet starts, so it is there when nothing is wrong",
                "give the file of when: another name",
            )  # fmt: skip
        else:
            _check_page(keys.page, draft, (*where, "page"))
    except_ = trusted(keys.except_, draft, (*where, "except")) if keys.except_ else None
    return Maintenance(when, page, except_, keys.retry_after)


def _page(status: str, keys: ErrorKeys, draft: Draft, loc: Loc) -> ErrorPage:
    has_json = draft.tree.has(*loc, "json")
    if has_json and keys.file is not None:
        draft.mistake((*loc, "json"), "a file is written already", "keep one of the two")
    path = _check_page(keys.file, draft, (*loc, "file")) if keys.file is not None else None
    number = int(status[0]) if status.endswith("xx") else int(status)
    text = json.dumps(keys.json_, ensure_ascii=False) if has_json else None
    return ErrorPage(number, path, text, keys.intercept)


def _check_page(text: str, draft: Draft, loc: Loc) -> Path:
    path = draft.file(text, *loc, check=draft.checks_front)
    if not draft.checks_front:
        return path
    try:
        size = os.stat(path).st_size
    except (OSError, ValueError):
        return path  # said already
    if size > LARGEST_PAGE:
        most = size_text(LARGEST_PAGE)
        draft.mistake(loc, f"{shown(text)} is above {most}", "a page is kept in memory: make it smaller")
    return path


def _check_flag(path: Path, draft: Draft, loc: Loc) -> None:
    if os.path.isdir(path):
        draft.mistake(loc, f"{shown(str(path))} is a folder, not a file", "name a file in it")
    elif reason := why_not_a_folder(path.parent):
        draft.warning(loc, reason, "no file can be put there")


def _check_intercept(own: ErrorsKeys, draft: Draft, loc: Loc) -> None:
    action = next((key for key in _ANSWER_THEMSELVES if getattr(own, key, None) is not None), None)
    for status, keys in own.errors.items():
        if keys.intercept and action is not None:
            draft.mistake(
                (*loc, "errors", status, "intercept"),
                f"a route with {action} answers itself: there is nothing to intercept",
                "take it out",
            )
