"""Files named by `include:`: found, judged and joined to the main file's routes, pools and upstreams.

The main file's routes come first, then those of each file in name order.
"""

import glob
import os
import stat
from pathlib import Path

from .hints import hint_for_key
from .model import INCLUDED, SiteKeys
from .nodes import Node, Text, described
from .problems import Findings, Place, shown, shown_path
from .source import read_tree

MAX_FILES = 1000
_MAGIC = frozenset("*?[")


def join_included(main: Node, shown_as: str, findings: Findings) -> None:
    """Adds to `main` what its `include:` names."""
    if not isinstance(main.value, dict) or "include" not in main.value:
        return
    patterns = main.value["include"]
    written = patterns.value if isinstance(patterns.value, list) else [patterns]
    found: dict[Path, Node] = {}
    for pattern in written:
        for path in _matches(pattern, findings):
            found.setdefault(path, pattern)
    for order, path in enumerate(sorted(found)[:MAX_FILES], 1):
        place = found[path].place
        if not _is_safe(path, main.folder, place, findings):
            continue
        name = os.path.join(os.path.dirname(shown_as), os.path.relpath(path, main.folder))
        tree = read_tree(path, name, order, findings)
        if tree is not None:
            _join(main.value, tree, Place(order, name, 1), findings)


def warn_if_writable(file: Path, place: Place, findings: Findings) -> None:
    """Whoever runs us named the main file: a warning will do (mounted folders often look like this)."""
    try:
        if file.stat().st_mode & stat.S_IWOTH:
            findings.warning(
                place, "the file can be written by everyone", f"run chmod o-w {shown_path(file)}"
            )
    except OSError:
        pass  # it was read a moment ago, and is gone: nobody can write it any more


def _matches(pattern: Node, findings: Findings) -> list[Path]:
    text = pattern.value
    if not isinstance(text, Text) or not text or "\0" in text:
        return []  # the model says what is wrong with it
    parts = Path(text).parts
    if text.startswith("/") or ".." in parts or "**" in parts:
        findings.mistake(
            pattern.place,
            f'include: "{shown(text)}" leads out of the folder of this file',
            "write a path below it, for example sites/*.yaml",
        )
        return []
    found = [pattern.folder / name for name in glob.glob(text, root_dir=pattern.folder)]
    if not found:
        _nothing(pattern, text, findings)
    if len(found) > MAX_FILES:
        findings.mistake(
            pattern.place, f'include: "{shown(text)}" names more than {MAX_FILES} files', "name fewer"
        )
        return []
    return found


def _nothing(pattern: Node, text: Text, findings: Findings) -> None:
    if _MAGIC & set(text):
        findings.warning(pattern.place, f'include: "{shown(text)}" matches no file')
    else:
        findings.mistake(
            pattern.place,
            f'include: there is no file "{shown(text)}"',
            "write its path relative to this file",
        )


def _is_safe(path: Path, folder: Path, place: Place, findings: Findings) -> bool:
    """Neither outside the folder by a link, nor writable by everyone (who could then run commands as us)."""
    real = path.resolve()
    if not real.is_relative_to(folder.resolve()):
        findings.mistake(
            place,
            f"include: {shown_path(path)} is a link out of the folder of this file",
            "copy the file here",
        )
        return False
    for part in (real, real.parent):
        try:
            mode = part.stat().st_mode
        except OSError:
            return True  # reading it will say why
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            findings.mistake(
                place,
                f"include: {shown_path(part)} can be written by everyone",
                f"run chmod o-w {shown_path(part)}",
            )
            return False
    return True


def _join(main: dict[str, Node], tree: Node, top: Place, findings: Findings) -> None:
    if not isinstance(tree.value, dict):
        findings.mistake(top, f"the file must hold routes, pools or upstreams, not {described(tree.value)}")
        return
    for key, node in tree.value.items():
        if key in INCLUDED:
            _join_key(main, key, node, findings)
        elif key in SiteKeys.model_fields:
            findings.mistake(
                node.place, f"{key}: cannot stand in an included file", "write it in the main file"
            )
        else:
            findings.mistake(node.place, f"unknown key {shown(key)}", hint_for_key(key, SiteKeys, ""))


def _join_key(main: dict[str, Node], key: str, node: Node, findings: Findings) -> None:
    wanted = list if key == "routes" else dict
    if not isinstance(node.value, wanted):
        what = "a list" if key == "routes" else "a mapping"
        findings.mistake(node.place, f"{key}: this must be {what}, not {described(node.value)}")
        return
    mine = main.setdefault(key, Node(wanted(), node.place, node.folder))
    if isinstance(mine.value, list) and isinstance(node.value, list):
        mine.value += node.value
    elif isinstance(mine.value, dict) and isinstance(node.value, dict):
        _join_names(mine.value, node.value, key, findings)
    # What else `mine` may be is reported with the main file.


def _join_names(mine: dict[str, Node], theirs: dict[str, Node], key: str, findings: Findings) -> None:
    for name, item in theirs.items():
        if name in mine:
            before = mine[name].place
            findings.mistake(
                item.place, f"{key}.{shown(name)} was written before, in {before}", "choose another name"
            )
        else:
            mine[name] = item
