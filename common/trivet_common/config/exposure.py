"""What must not lie in a folder that a route serves: sockets, kept assets, secrets, logs, the file itself.

Judges paths alone, links followed. Which names can be asked for is the proxy's rule; it knows the dots of it.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .draft import Draft
from .problems import shown_path
from .settings import FilesAction, Route, Settings

_CURE = "serve a folder that holds only what everybody may have, for instance ./public"


class Private(NamedTuple):
    """A file or folder of ours. `is_fatal`: no site wants it, whatever it serves."""

    what: str
    path: Path
    is_fatal: bool = True
    cure: str = _CURE


def check_exposure(settings: Settings, draft: Draft) -> None:
    """Reports each at the route that would serve it."""
    if not draft.checks_front:
        return
    private = [found._replace(path=_real(found.path)) for found in _private(settings)]
    for index, route in enumerate(settings.routes):
        if route.files is None or not _is_asked_for(route):
            continue
        loc = ("routes", index, "files", "root")
        for found in _within(route.files, private):
            say = draft.mistake if found.is_fatal else draft.warning
            message = f"{found.what} ({shown_path(found.path)}) lies in it, for everybody to download"
            say(loc, message, found.cure)


def _private(settings: Settings) -> Iterator[Private]:
    for key, path in (("run_dir", settings.run_dir), ("state_dir", settings.state_dir)):
        if path is not None:
            yield Private(key, path, cure=f"move {key} out of the folder")
    yield Private("spool.dir", settings.spool.dir, False, "move spool.dir out of the folder")
    if settings.file is not None:
        yield Private("the configuration", settings.file, False)
    for pool in settings.pools.values():
        if pool.env_file is not None:
            yield Private(f"env_file of pool {pool.name}", pool.env_file)
    for listen in settings.listen:
        for pair in listen.tls.pairs if listen.tls is not None else ():
            yield Private("the key of a certificate", pair.key)
    for route in settings.routes:
        if route.access is not None and route.access.basic_auth is not None:
            yield Private("the file of passwords", route.access.basic_auth.file)
    of_routes = [("log of a route", file) for file in settings.route_log_files]
    for key, target in (("log.access", settings.log.access), ("log.error", settings.log.error), *of_routes):
        if isinstance(target, Path):
            yield Private(key, target, False, f"move {key} out of the folder")


def _is_asked_for(route: Route) -> bool:
    """An internal route's files are the application's to give away; what it keeps it would keep of itself."""
    return not route.internal or bool(route.files and route.files.keep_releases)


def _within(files: FilesAction, private: Iterable[Private]) -> Iterator[Private]:
    root = _real(files.root)
    for found in private:
        if not found.path.is_relative_to(root):
            continue
        parts = found.path.relative_to(root).parts
        if files.hidden or not any(part.startswith(".") or part.endswith("~") for part in parts):
            yield found


def _real(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):  # a path that nothing can have
        return path
