"""`files` of a route: from what is written to what is served."""

from .draft import Draft
from .model import SiteKeys
from .model_files import AUTO, NEXT, FilesKeys
from .nodes import Loc
from .problems import shown
from .settings import FilesAction


def resolve_files(keys: FilesKeys, site: SiteKeys, draft: Draft, loc: Loc) -> FilesAction:
    root = draft.folder(keys.root, *loc, "root", check=draft.checks_front)
    files = FilesAction(
        root=root,
        index=keys.index,
        fallback=keys.fallback if keys.fallback != NEXT else None,
        passes_on=keys.fallback == NEXT,
        listing=keys.listing,
        precompressed=keys.precompressed and not keys.uploads,
        cache=keys.cache,
        types=tuple((ending, with_charset(text)) for ending, text in keys.types.items()),
        hidden=keys.hidden,
        uploads=keys.uploads,
        follow_links=keys.follow_links,
        keep_releases=keys.keep_releases,
    )
    _check_fallback(files, draft, loc)
    _check_uploads(keys, draft, loc)
    if (
        keys.keep_releases
        and not keys.uploads
        and site.state_dir is None
        and not draft.environ.get("STATE_DIRECTORY")
    ):
        draft.mistake(
            (*loc, "keep_releases"),
            "there is no folder to keep assets in",
            "write state_dir: FOLDER at the top of the file",
        )
    return files


def with_charset(content_type: str) -> str:
    bare = content_type.partition(";")[0].strip().lower()
    if bare.startswith("text/") and "charset" not in content_type.lower():
        return f"{content_type}; charset=utf-8"
    return content_type


def _check_fallback(files: FilesAction, draft: Draft, loc: Loc) -> None:
    if files.fallback is None or not draft.checks_front or not files.root.is_dir():
        return
    if not (files.root / files.fallback).is_file():
        draft.mistake(
            (*loc, "fallback"),
            f"there is no file {shown(files.fallback)} in root",
            "correct the name, or write next for the next route",
        )


def _check_uploads(keys: FilesKeys, draft: Draft, loc: Loc) -> None:
    if not keys.uploads:
        return
    if keys.precompressed and "precompressed" in keys.model_fields_set:
        draft.mistake(
            (*loc, "precompressed"),
            "among uploads anybody could put a NAME.gz beside another's file",
            "take it out",
        )
    if keys.keep_releases:
        draft.mistake(
            (*loc, "keep_releases"),
            "whoever uploads would decide what is kept, and what was deleted would still be served",
            "take it out",
        )
    if keys.cache not in (AUTO, None) and "immutable" in (keys.cache or ""):
        draft.warning((*loc, "cache"), "an upload that is replaced would not be asked for again")
