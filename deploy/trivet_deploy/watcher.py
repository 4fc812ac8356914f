"""A process that watches folders and files and tells its master which sources changed; `serve --reload` only.

Owns which files count and which folders are left out. Knows no pool.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from trivet_common.channel import Channel, ChannelClosed

# What an application reads once, when it is loaded. Not what it may write while it runs (JSON, databases,
# logs): it would be renewed for ever.
SUFFIXES = {
    *(".py", ".pyx", ".so"),
    *(".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako", ".xml", ".mo"),
    *(".toml", ".ini", ".cfg", ".yaml", ".yml"),
}
_LEFT_OUT = {"__pycache__", "node_modules", "site-packages", "bower_components"}
# The exit status that means: it would fail again.
CANNOT_WATCH = 3
# Each takes one of fs.inotify.max_user_watches, which others share.
MOST_FOLDERS = 5000
_MOST_TOLD = 50
# Milliseconds: changes this close together are one (an editor saves in several steps, git in many); and how
# often to look whether the master is still there.
_TOGETHER, _QUIET, _LOOK = 400, 50, 200


class Watched(NamedTuple):
    """Folders with all that is below them, and single files beside."""

    roots: tuple[Path, ...]
    files: tuple[Path, ...]


def run_watcher(watched: Watched, channel: Channel) -> int:
    """In the child: tell `changed [paths]` until the master is gone, and `warning TEXT`."""
    if len(folders(watched.roots)) == MOST_FOLDERS:
        _warn(channel, f"only the first {MOST_FOLDERS} folders below {watched.roots[0]} are watched")
    while True:
        try:
            if not _watch(watched, channel):
                return 0
        except ChannelClosed:
            return 0
        except FileNotFoundError:
            continue  # a folder left between our look and the kernel's
        except OSError as error:
            cure = "raise fs.inotify.max_user_watches, or set WATCHFILES_FORCE_POLLING=1"
            _warn(channel, f"files cannot be watched: {error}; {cure}")
            return CANNOT_WATCH


def folders(roots: Iterable[Path]) -> list[str]:
    """The folders to watch, each once: all below the roots but those of tools and virtual environments."""
    found: dict[str, None] = {}
    for root in roots:
        for folder in _walk(root):
            if len(found) >= MOST_FOLDERS:
                return list(found)
            found[folder] = None
    return list(found)


def is_source(path: str, watched: Watched) -> bool:
    """Whether a change of this file calls for new workers."""
    file = Path(path)
    if file in watched.files:
        return True
    name = file.name
    # Editors' own: .#views.py, #views.py#, views.py~, .views.py.swp
    if name.startswith((".", "#")) or file.suffix not in SUFFIXES:
        return False
    root = next((root for root in watched.roots if file.is_relative_to(root)), None)
    return root is not None and not any(map(_is_left_out, file.relative_to(root).parts[:-1]))


def _watch(watched: Watched, channel: Channel) -> bool:
    """Watch until a folder is new (True) or the master is gone (False)."""
    from watchfiles import Change, watch

    beside = {str(file.parent) for file in watched.files if file.parent.is_dir()}
    places = [*folders(watched.roots), *beside]
    looks = watch(
        *dict.fromkeys(places), watch_filter=None, recursive=False, debounce=_TOGETHER, step=_QUIET,
        rust_timeout=_LOOK, yield_on_timeout=True, ignore_permission_denied=True,
    )  # fmt: skip
    for changes in looks:
        if _is_over(channel):
            return False
        paths = {path for _change, path in changes}
        # Not os.path.isdir alone: a folder that was only touched is watched already.
        new = [path for change, path in changes if change == Change.added and _is_new_folder(path)]
        for place in (place for path in new for place in _walk(Path(path))):
            paths.update(os.path.join(place, name) for name in _names(place))
        if sources := sorted(path for path in paths if is_source(path, watched)):
            channel.send(b"changed " + json.dumps(sources[:_MOST_TOLD]).encode())
        if new:
            return True
    return False


def _warn(channel: Channel, text: str) -> None:
    try:
        channel.send(f"warning {text}".encode("utf-8", "replace"))
    except ChannelClosed:
        pass  # the end of file is on its way


def _walk(root: Path) -> Iterator[str]:
    for folder, below, names in os.walk(root):
        if "pyvenv.cfg" in names and folder != os.fspath(root):
            below.clear()
            continue
        below[:] = sorted(name for name in below if not _is_left_out(name))
        yield folder


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _is_left_out(name: str) -> bool:
    return name in _LEFT_OUT or name.startswith(".")


def _is_new_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path) and not _is_left_out(os.path.basename(path))


def _is_over(channel: Channel) -> bool:
    """Whether the master has said that all leave, or is gone (ChannelClosed)."""
    message = channel.receive()
    while message is not None:
        if message in (b"quit", b"drain"):
            return True
        message = channel.receive()
    return False
