"""Files from a folder, and single files: what a path means below a root.

Owns the index, hidden names, the missing slash, listings, and what answers where there is no file. How a
file is found and sent is the catalogue's matter.
"""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trivet_common.config.reach import why_not_a_file, why_not_a_folder
from trivet_common.config.settings import FilesAction
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse

from .. import disk, listing
from ..beneath import Links
from ..catalogue import Absent, Catalogue
from ..complaints import Complaints
from ..folder import Folder, SingleFile, is_hidden
from ..hashed_names import may_be_hashed
from ..locations import local_location
from ..orders import NEXT
from ..presentation import Presentation
from ..router import Handler
from ..shelf import Entry, Shelf

if TYPE_CHECKING:
    from ..request import Request
    from ..writer import ResponseWriter

_WELL_KNOWN = b".well-known/"
_GET, _HEAD, _OPTIONS = b"GET", b"HEAD", b"OPTIONS"
_ALLOW = ((b"allow", b"GET, HEAD, OPTIONS"),)
_COMPLAIN_AGAIN = 60.0  # seconds
# ENXIO: a socket, or a device that is not there. Everything else is the disk's trouble, not the client's.
_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO, errno.ENODEV}
_NO_SUCH_FILE |= {errno.EINVAL, errno.EILSEQ}  # a name this file system cannot have


def files_handler(
    files: FilesAction,
    prefix: bytes,
    complaints: Complaints,
    shelf: Shelf,
    *,
    number: int = 0,
    is_internal: bool = False,
    folder: Folder | None = None,
) -> Handler:
    """What follows `prefix` (which ends in a slash) in the path is looked up below the folder.

    `number`: the route's own among those that share the shelf.
    """
    folder = folder or Folder(files.root, links=Links(files.follow_links))
    presentation = Presentation(files, is_internal)
    catalogue = Catalogue(number, folder, presentation, shelf, files.precompressed)
    return _Files(files, prefix, folder, catalogue, complaints).serve


def file_handler(path: Path, complaints: Complaints, shelf: Shelf, *, number: int = 0) -> Handler:
    """The one file, whatever stands at its path by then. The operator named it: links are followed."""
    presentation = Presentation(FilesAction(path.parent))
    catalogue = Catalogue(number, SingleFile(path), presentation, shelf, precompressed=False)
    name = os.fsencode(path.name)

    async def serve(request: Request, writer: ResponseWriter) -> None:
        method = request.head.method
        if request.order is None and method != _GET and method != _HEAD:
            return await _answer_other(method, writer)
        found = catalogue.find(name)
        absent = found if isinstance(found, Absent) else await catalogue.send(name, found, request, writer)
        if absent is not None:
            raise _translate(absent, path, path, complaints)

    return serve


class _Files:
    """One route with `files`."""

    __slots__ = (
        "_catalogue",
        "_complaints",
        "_cut",
        "_fallback",
        "_folder",
        "_hides",
        "_index",
        "_is_listed",
        "_may_be_well_known",
        "_passes_on",
    )

    def __init__(
        self,
        files: FilesAction,
        prefix: bytes,
        folder: Folder,
        catalogue: Catalogue,
        complaints: Complaints,
    ) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._complaints = complaints
        self._cut = len(prefix)
        self._may_be_well_known = prefix == b"/"
        self._index = os.fsencode(files.index) if files.index is not None else None
        self._fallback = os.fsencode(files.fallback) if files.fallback is not None else None
        self._passes_on = files.passes_on
        self._is_listed = files.listing
        self._hides = not files.hidden

    async def serve(self, request: Request, writer: ResponseWriter) -> None:
        head, order = request.head, request.order
        path, method = (head.path, head.method) if order is None else (order.path, _GET)
        if method != _GET and method != _HEAD:
            return await self._answer_other(request, writer)
        name = path[self._cut :]
        if self._index is not None and (not name or name.endswith(b"/")):
            name += self._index
        # What is known was asked for before, so it is no hidden name.
        found: Entry | Absent | None = self._catalogue.fresh(name)
        if found is None:
            is_hidden = self._hides and self._is_hidden(name)
            found = Absent(is_hidden=True) if is_hidden else self._catalogue.find(name)
        if not isinstance(found, Absent):
            found = await self._catalogue.send(name, found, request, writer)
        if found is not None:
            await self._answer_without(path[self._cut :], found, request, writer)

    # Where there is no file.

    async def _answer_without(
        self, name: bytes, absent: Absent, request: Request, writer: ResponseWriter
    ) -> None:
        if absent.is_folder and not name.endswith(b"/") and name and request.order is None:
            if self._leads_somewhere(name):
                head = request.head
                return await writer.send(308, [(b"location", local_location(head.path + b"/", head.query))])
        elif self._is_listed and not absent.is_hidden and (not name or name.endswith(b"/")):
            items = await self._read_folder(name)
            if items is not None:
                return await writer.send(200, listing.HEADERS, listing.render(request.head.path, items))
        refusal = self._refusal(name, absent)
        if refusal.status != 404:
            raise refusal
        if self._passes_on:
            request.order = NEXT
            return
        if self._fallback is not None and not absent.is_hidden and not may_be_hashed(name):
            found: Entry | Absent | None = self._catalogue.find(self._fallback)
            if not isinstance(found, Absent | None):
                found = await self._catalogue.send(self._fallback, found, request, writer)
            if found is None:
                return
        raise refusal

    def _leads_somewhere(self, name: bytes) -> bool:
        """Whether there is something behind the slash, where without it something else could answer."""
        if self._is_listed or not (self._passes_on or self._fallback):
            return True
        if self._index is None:
            return False
        return not isinstance(self._catalogue.find(name + b"/" + self._index), Absent)

    async def _read_folder(self, name: bytes) -> list[listing.Item] | None:
        """None: it is no folder."""
        try:
            fd = self._folder.open(name.rstrip(b"/"))
        except OSError:
            return None
        try:
            hides = self._is_hidden if self._hides else _never
            # A large folder on a slow disk must not stop the loop.
            return await disk.run(partial(listing.read, fd, hides, partial(self._look, name)))
        except OSError:
            return None
        finally:
            os.close(fd)

    def _look(self, folder: bytes, name: bytes) -> os.stat_result:
        fd = self._folder.open(folder + name)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    async def _answer_other(self, request: Request, writer: ResponseWriter) -> None:
        if self._passes_on:
            request.order = NEXT
        else:
            await _answer_other(request.head.method, writer)

    def _is_hidden(self, name: bytes) -> bool:
        shown = name[len(_WELL_KNOWN) :] if self._may_be_well_known and name.startswith(_WELL_KNOWN) else name
        shown = shown.removesuffix(b"/")
        return bool(shown) and is_hidden(shown)

    def _refusal(self, name: bytes, absent: Absent) -> HttpError:
        folder = self._folder
        if absent.is_hidden:
            return refuse("not_found", "Hidden names are not served.")
        if not folder.is_there:
            reason = why_not_a_folder(folder.path) or "The folder has just come back."
            self._complaints.say(str(folder.path), reason, _COMPLAIN_AGAIN)
            return refuse("not_found", reason)
        if folder.problem:
            self._complaints.say(str(folder.path), folder.problem, _COMPLAIN_AGAIN)
        return _translate(absent, folder.path / os.fsdecode(name), folder.path, self._complaints)


def _never(name: bytes) -> bool:
    return False


async def _answer_other(method: bytes, writer: ResponseWriter) -> None:
    if method != _OPTIONS:
        raise refuse("method", headers=_ALLOW)
    await writer.send(204, list(_ALLOW))


def _translate(absent: Absent, path: Path, served: Path, complaints: Complaints) -> HttpError:
    """To the client there is no such file; what an operator can mend is said in the log.

    Once a minute a route: whoever asks for unreadable files again and again shall not fill the disk.
    """
    error = absent.error
    if error is None:
        return refuse("not_found", f"{path} is no regular file.")
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
