"""Files from a folder, and single files: whole, by GET and HEAD, with validators and 304.

Owns what a path means in a folder (index, hidden names, the missing slash) and how a file becomes an
answer. The folder itself says what lies beneath it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from trivet_common.config.reach import why_not_a_file, why_not_a_folder
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse

from ..beneath import READ
from ..complaints import Complaints
from ..content_types import content_type_of
from ..delivery import Delivery
from ..folder import Folder, is_hidden
from ..locations import local_location
from ..preconditions import asked_of
from ..router import Handler
from ..validators import FileHeaders

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

_INDEX = b"index.html"
_WELL_KNOWN = b".well-known/"
_GET, _HEAD, _OPTIONS = b"GET", b"HEAD", b"OPTIONS"
_ALLOW = ((b"allow", b"GET, HEAD, OPTIONS"),)
_COMPLAIN_AGAIN = 60.0  # seconds
# ENXIO: a socket, or a device that is not there. Everything else is the disk's trouble, not the client's.
_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO, errno.ENODEV}
_NO_SUCH_FILE |= {errno.EINVAL, errno.EILSEQ}  # a name this file system cannot have


def files_handler(folder: Folder, prefix: bytes, complaints: Complaints) -> Handler:
    """What follows `prefix` (which ends in a slash) in the path is looked up below the folder."""
    cut = len(prefix)
    may_be_well_known = prefix == b"/"

    async def serve(request: Request, writer: ResponseWriter) -> None:
        head = request.head
        if head.method != _GET and head.method != _HEAD:
            return await _answer_other(head.method, writer)
        name = head.path[cut:]
        _judge_name(name, may_be_well_known)
        if not name or name.endswith(b"/"):
            name += _INDEX
        fd = _open(folder, name, complaints)
        try:
            info = os.fstat(fd)
            if stat.S_ISREG(info.st_mode):
                await _send(request, writer, fd, info, content_type_of(name))
            elif stat.S_ISDIR(info.st_mode) and name == head.path[cut:]:
                await writer.send(308, [(b"location", local_location(head.path + b"/", head.query))])
            else:
                raise refuse("not_found", f"{_shown(folder, name)} is no regular file.")
        finally:
            os.close(fd)

    return serve


def file_handler(path: Path, complaints: Complaints) -> Handler:
    """The one file, whatever stands at its path by then. The operator named it: links are followed."""
    content_type = content_type_of(os.fsencode(path))

    async def serve(request: Request, writer: ResponseWriter) -> None:
        method = request.head.method
        if method != _GET and method != _HEAD:
            return await _answer_other(method, writer)
        try:
            fd = os.open(path, READ)
        except OSError as error:
            raise _translate(error, path, path, complaints) from None
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                raise refuse("not_found", f"{path} is no regular file.")
            await _send(request, writer, fd, info, content_type)
        finally:
            os.close(fd)

    return serve


async def _send(
    request: Request, writer: ResponseWriter, fd: int, info: os.stat_result, content_type: bytes
) -> None:
    file = FileHeaders(content_type, info.st_size, info.st_mtime_ns)
    await Delivery(writer, file, fd).run(request.head.method, asked_of(request.head.headers))


async def _answer_other(method: bytes, writer: ResponseWriter) -> None:
    if method != _OPTIONS:
        raise refuse("method", headers=_ALLOW)
    await writer.send(204, list(_ALLOW))


def _judge_name(name: bytes, may_be_well_known: bool) -> None:
    shown = name[len(_WELL_KNOWN) :] if may_be_well_known and name.startswith(_WELL_KNOWN) else name
    shown = shown.removesuffix(b"/")
    if shown and is_hidden(shown):
        raise refuse("not_found", "Hidden names are not served.")


def _open(folder: Folder, name: bytes, complaints: Complaints) -> int:
    try:
        return folder.open(name)
    except OSError as error:
        if not folder.is_there:
            reason = why_not_a_folder(folder.path) or "The folder has just come back."
            complaints.say(str(folder.path), reason, _COMPLAIN_AGAIN)
            raise refuse("not_found", reason) from None
        raise _translate(error, folder.path / os.fsdecode(name), folder.path, complaints) from None


def _translate(error: OSError, path: Path, served: Path, complaints: Complaints) -> HttpError:
    """To the client there is no such file; what an operator can mend is said in the log.

    Once a minute a route: whoever asks for unreadable files again and again shall not fill the disk.
    """
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        return refuse("overloaded", f"{path}: {error.strerror}.")
    if error.errno in (errno.EACCES, errno.EPERM):
        reason = why_not_a_file(path) or f"{path}: {error.strerror}"
        complaints.say(str(served), reason, _COMPLAIN_AGAIN)
        return refuse("not_found", reason)
    if error.errno == errno.EXDEV:
        return refuse("not_found", f"{path} leads out of the folder.")
    if error.errno in _NO_SUCH_FILE:
        return refuse("not_found", f"{path}: {error.strerror}.")
    return refuse("internal", f"{path}: {error.strerror}.")


def _shown(folder: Folder, name: bytes) -> str:
    return str(folder.path / os.fsdecode(name))
