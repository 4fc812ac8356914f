"""Whether a path can be reached, and if not, which directory bars the way and for whom.

Looks with the rights of this process; knows nothing of what the path is for.
"""

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

from .problems import shown_path


def why_not_a_file(path: Path) -> str | None:
    """None for a file that can be read, else a sentence."""
    reason = why_unreachable(path)
    if reason:
        return reason
    if os.path.isdir(path):
        return f"{shown_path(path)} is a folder, not a file"
    return None if os.access(path, os.R_OK, effective_ids=True) else _barred(path, "read")


def why_not_a_folder(path: Path) -> str | None:
    """None for a folder that can be entered, else a sentence."""
    reason = why_unreachable(path)
    if reason:
        return reason
    if not os.path.isdir(path):
        return f"{shown_path(path)} is a file, not a folder"
    return None if os.access(path, os.X_OK, effective_ids=True) else _barred(path, "enter")


def why_unreachable(path: Path) -> str | None:
    """None if the path exists, else which part of it is missing or bars the way."""
    try:
        os.stat(path)
        return None
    except ValueError:
        return f"{shown_path(path)} is not a path"
    except OSError as error:
        problem = error
    for part in [*reversed(path.absolute().parents), path.absolute()]:
        try:
            os.stat(part)
        except OSError as error:
            return _explained(path, part, error)
    return f"{shown_path(path)}: {problem.strerror}"


def _explained(path: Path, part: Path, error: OSError) -> str:
    if error.errno == errno.EACCES:
        return _barred(part.parent, "enter", path)
    of = "" if part == path.absolute() else f" (on the way to {shown_path(path)})"
    if error.errno == errno.ENOENT:
        if os.path.islink(part):
            return (
                f"{shown_path(part)} is a link to {shown_path(os.readlink(part))}, which does not exist{of}"
            )
        return f"there is no {shown_path(part)}{of}"
    if error.errno == errno.ENOTDIR:
        return f"{shown_path(part.parent)} is a file, not a folder{of}"
    return f"{shown_path(part)}: {error.strerror}{of}"


def _barred(barrier: Path, verb: str, wanted: Path | None = None) -> str:
    to = f", so {shown_path(wanted)} is out of reach" if wanted else ""
    uid = os.geteuid()
    try:
        found = os.stat(barrier)
    except OSError:
        return f"uid {uid}{_name_of(uid)} may not {verb} {shown_path(barrier)}{to}"
    owner = f"{_user(found.st_uid)}:{_group(found.st_gid)} {stat.filemode(found.st_mode)}"
    return f"uid {uid}{_name_of(uid)} may not {verb} {shown_path(barrier)} ({owner}){to}"


def _name_of(uid: int) -> str:
    name = _user(uid)
    return "" if name == str(uid) else f" ({name})"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
