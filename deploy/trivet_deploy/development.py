"""`serve --reload`: from changed files to renewed pools, one renewal after the other.

Decides what is renewed and when; the process that sees the files is watcher.py's, the renewal its master's.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from trivet_common.config import Settings
from trivet_common.logs import without_trace

from .refusal import FAILED, USAGE, Refusal
from .screen import near
from .watcher import Watched

# Seconds after which a renewal that could not begin is tried again.
_AGAIN = 0.3


class Renewer(Protocol):
    """What the master of `serve` does for us."""

    def is_renewing(self) -> bool: ...
    def renew(self, pools: list[str] | None, done: Callable[[str | None], None]) -> None: ...
    def call_later(self, seconds: float, callback: Callable[[], None]) -> None: ...


class Development:
    """For one `serve --reload`. `tell` prints a line for the developer."""

    def __init__(self, settings: Settings, renewer: Renewer, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._renewer = renewer
        self._tell = tell
        self._changed: dict[str, None] = {}
        self._is_waiting = False

    def __repr__(self) -> str:
        return f"<Development changed={len(self._changed)}>"

    @property
    def watched(self) -> Watched:
        """What the watcher is to look at."""
        return watched(self._settings)

    def adopt(self, settings: Settings) -> None:
        self._settings = settings

    def note(self, paths: Iterable[str]) -> None:
        """These files changed."""
        self._changed.update(dict.fromkeys(paths))
        self._begin()

    def _begin(self) -> None:
        if self._is_waiting or not self._changed:
            return
        if self._renewer.is_renewing():
            self._is_waiting = True
            self._renewer.call_later(_AGAIN, self._try_again)
            return
        paths, self._changed = list(self._changed), {}
        pools = affected(self._settings, paths)
        if pools == []:
            return
        what = "everything" if pools is None else f"pool{'s' * (len(pools) > 1)} {', '.join(pools)}"
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        self._tell(f"{near(Path(paths[0]))}{more} changed: renewing {what}")

        def done(problem: str | None) -> None:
            if problem is not None:
                self._tell(f"not renewed: {without_trace(problem)}")

        self._renewer.renew(pools, done)

    def _try_again(self) -> None:
        self._is_waiting = False
        self._begin()


def refuse_elsewhere(notify_socket: str) -> None:
    """Raise Refusal where --reload has no place or cannot work."""
    if notify_socket:
        raise Refusal(
            "--reload is for development, and systemd runs this (NOTIFY_SOCKET is set); use: trivet reload",
            USAGE,
        )
    if find_spec("watchfiles") is None:
        raise Refusal("--reload needs the package watchfiles: pip install watchfiles", FAILED)


def without_prepare(settings: Settings) -> Settings:
    """For a renewal since code changed: nobody wants to wait for migrations each time a file is saved."""
    pools = {name: replace(pool, prepare=()) for name, pool in settings.pools.items()}
    return replace(settings, pools=pools)


def watched(settings: Settings) -> Watched:
    """The pools' folders, and the files a configuration is made of."""
    roots = [path for pool in settings.pools.values() for path in (pool.directory, *pool.python_path)]
    files = [settings.file, *(pool.env_file for pool in settings.pools.values())]
    return Watched(
        tuple(dict.fromkeys(map(_whole, roots))),
        tuple(dict.fromkeys(_whole(file) for file in files if file is not None)),
    )


def affected(settings: Settings, paths: Iterable[str]) -> list[str] | None:
    """The pools that must be renewed; None when it is the configuration that changed."""
    changed = [Path(path) for path in paths]
    if any(path in watched(settings).files for path in changed):
        return None
    return [
        name
        for name, pool in settings.pools.items()
        if any(
            path.is_relative_to(_whole(root))
            for path in changed
            for root in (pool.directory, *pool.python_path)
        )
    ]


def _whole(path: Path) -> Path:
    return Path(os.path.realpath(path))
