"""Files from a folder, and single files: what a path means below a root.

Owns the index, hidden names, the missing slash, listings, and what answers where there is no file. How a
file is found and sent is the catalogue's matter.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trivet_common.config.reach import why_not_a_file, why_not_a_folder
from trivet_common.config.settings import FilesAction
from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse

from .. import disk, listing
from ..catalogue import Absent, Catalogue
from ..complaints import Complaints
from ..delivery import NO_ROOM, unreadable
from ..folder import Folder, Pinned, SingleFile, is_hidden
from ..hashed_names import may_be_hashed
from ..kept_assets import KeptAssets
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
    is_private: bool = False,
    folder: Folder,
    kept: KeptAssets | None = None,
) -> Handler:
    """What follows `prefix` (which ends in a slash) in the path is looked up below the folder.

    `number`: the route's own among those that share the shelf.
    """
    presentation = Presentation(files, is_internal, is_private)
    catalogue = Catalogue(number, folder, presentation, shelf, files.precompressed)
    # Below zero: a name may be in both.
    earlier = Catalogue(-1 - number, kept, presentation, shelf, files.precompressed) if kept else None
    return _Files(files, prefix, folder, catalogue, earlier, complaints).serve


def file_handler(
    path: Path, complaints: Complaints, shelf: Shelf, *, number: int = 0, is_private: bool = False
) -> Handler:
    """The one file, whatever stands at its path by then. The operator named it: links are followed."""
    presentation = Presentation(FilesAction(path.parent), is_private=is_private)
    catalogue = Catalogue(number, SingleFile(path), presentation, shelf, precompressed=False)
    name = os.fsencode(path.name)

    async def serve(request: Request, writer: ResponseWriter) -> None:
        method = request.head.method
        if request.order is None and method != _GET and method != _HEAD:
            return await _answer_other(method, writer)
        absent = await _send_or_miss(catalogue, name, request, writer)
        if absent is not None:
            raise _translate(absent, path, path, complaints)

    return serve


class _Files:
    """One route with `files`."""

    __slots__ = (
        "_catalogue",
        "_complaints",
        "_cut",
        "_earlier",
        "_fallback",
        "_folder",
        "_hides",
        "_index",
        "_is_listed",
        "_last_page",
        "_may_be_well_known",
        "_passes_on",
    )

    def __init__(
        self,
        files: FilesAction,
        prefix: bytes,
        folder: Folder,
        catalogue: Catalogue,
        earlier: Catalogue | None,
        complaints: Complaints,
    ) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._earlier = earlier  # what trees before this one had
        self._complaints = complaints
        self._cut = len(prefix)
        self._may_be_well_known = prefix == b"/"
        self._index = os.fsencode(files.index) if files.index is not None else None
        self._fallback = os.fsencode(files.fallback) if files.fallback is not None else None
        self._passes_on = files.passes_on
        self._is_listed = files.listing
        self._last_page = listing.LastPage()
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
            found = Absent(is_hidden=True) if is_hidden else await self._catalogue.find(name)
        if not isinstance(found, Absent):
            found = await self._catalogue.send(name, found, request, writer)
        if found is not None:
            await self._answer_without(path[self._cut :], found, request, writer)

    # Where there is no file.

    async def _answer_without(
        self, name: bytes, absent: Absent, request: Request, writer: ResponseWriter
    ) -> None:
        _refuse_trouble(absent.error)  # another place on a slow disk would be waited for as long again
        if absent.is_folder and not name.endswith(b"/") and name and request.order is None:
            head = request.asked
            # Where a rewrite takes the slash off again, it would lead back here for ever.
            if not head.path.endswith(b"/") and await self._leads_somewhere(name):
                return await writer.send(308, [(b"location", local_location(head.path + b"/", head.query))])
        elif self._is_listed and not absent.is_hidden and (not name or name.endswith(b"/")):
            page = await self._listing(name, request.asked.path)
            if page is not None:
                return await writer.send(200, listing.HEADERS, page)
        if not absent.is_hidden and await self._is_sent_from_another_tree(name, request, writer):
            return
        refusal = self._refusal(name, absent)
        if refusal.status != 404:
            raise refusal
        if self._passes_on:
            request.order = NEXT
            return
        fallback = self._fallback
        if fallback is None or absent.is_hidden or may_be_hashed(name):
            raise refusal
        if not await _try_send(self._catalogue, fallback, request, writer):
            raise refusal

    async def _is_sent_from_another_tree(self, name: bytes, request: Request, writer: ResponseWriter) -> bool:
        """From the one that has just taken this one's place, or from one before."""
        if self._earlier is None:
            return False
        catalogues = [self._catalogue, self._earlier] if await self._folder.look() else [self._earlier]
        for catalogue in catalogues:
            if await _try_send(catalogue, name, request, writer):
                return True
        return False

    async def _leads_somewhere(self, name: bytes) -> bool:
        """Whether there is something behind the slash, where without it something else could answer."""
        if self._is_listed or not (self._passes_on or self._fallback):
            return True
        if self._index is None:
            return False
        return not isinstance(await self._catalogue.find(name + b"/" + self._index), Absent)

    async def _listing(self, name: bytes, path: bytes) -> bytes | None:
        """The folder's page; None: it is no folder."""
        # Ten thousand rows, or a slow disk, must not stop the loop.
        try:
            key = self._folder.identity, name, path
            return await self._last_page.get(key, partial(self._make_page, name, path))
        except OSError as error:
            _refuse_trouble(error)
            return None

    async def _make_page(self, name: bytes, path: bytes) -> bytes:
        root = self._folder.pin()
        work = partial(_list, root, name, path, self._is_hidden if self._hides else _never)
        return await disk.ask(root.fd, work, root.close)

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


async def _send_or_miss(
    catalogue: Catalogue, name: bytes, request: Request, writer: ResponseWriter
) -> Absent | None:
    """None: it was sent."""
    found = catalogue.fresh(name) or await catalogue.find(name)
    return found if isinstance(found, Absent) else await catalogue.send(name, found, request, writer)


async def _try_send(catalogue: Catalogue, name: bytes, request: Request, writer: ResponseWriter) -> bool:
    absent = await _send_or_miss(catalogue, name, request, writer)
    if absent is not None:
        _refuse_trouble(absent.error)
    return absent is None


def _list(root: Pinned, folder: bytes, path: bytes, is_hidden: Callable[[bytes], bool]) -> bytes:
    def look(name: bytes) -> os.stat_result:
        fd = root.open(folder + name)
        try:
            return os.fstat(fd)
        finally:
            disk.let_go(fd)

    fd = root.open(folder.rstrip(b"/"))
    try:
        return listing.render(path, listing.read(fd, is_hidden, look), has_parent=bool(folder))
    finally:
        disk.let_go(fd)


def _never(name: bytes) -> bool:
    return False


async def _answer_other(method: bytes, writer: ResponseWriter) -> None:
    if method != _OPTIONS:
        raise refuse("method", headers=_ALLOW)
    await writer.send(204, list(_ALLOW))


def _refuse_trouble(error: OSError | None) -> None:
    """Raises HttpError where we cannot say whether there is a file: a 404 would send the client elsewhere."""
    if error is not None and (isinstance(error, TimeoutError) or error.errno in NO_ROOM):
        raise unreadable(error) from None


def _translate(absent: Absent, path: Path, served: Path, complaints: Complaints) -> HttpError:
    """To the client there is no such file; what an operator can mend is said in the log.

    Once a minute a route: whoever asks for unreadable files again and again shall not fill the disk.
    """
    error = absent.error
    if error is None:
        return refuse("not_found", f"{path} is no regular file.")
    _refuse_trouble(error)
    if error.errno in (errno.EACCES, errno.EPERM):
        reason = why_not_a_file(path) or f"{path}: {error.strerror}"
        complaints.say(str(served), reason, _COMPLAIN_AGAIN)
        return refuse("not_found", reason)
    if error.errno == errno.EXDEV:
        return refuse("not_found", f"{path} leads out of the folder.")
    if error.errno in _NO_SUCH_FILE:
        return refuse("not_found", f"{path}: {error.strerror}.")
    return refuse("internal", f"{path}: {error.strerror}.")
