"""What one route can send: a name's entry, looked up at most once a second, and the way from it to a client.

Owns the siblings of a file, and that what is sent is what its headers describe, whatever happens to the file
meanwhile. Knows no path's meaning; where the files lie is its source's matter.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from trivet_common.http1.reasons import refuse

from . import disk
from .codings import CODINGS
from .delivery import Delivery, unreadable
from .open_files import OpenFile
from .preconditions import Asked, Verdict, asked_in, judge
from .presentation import Presentation
from .shelf import LARGEST, Entry, Shelf, Variant, identity_of
from .validators import FileHeaders, Header

if TYPE_CHECKING:
    from .request import Request
    from .writer import ResponseWriter

Result = TypeVar("Result")
Open = Callable[[bytes], int]
Siblings = dict[bytes, tuple[bytes, os.stat_result]]
Dress = Callable[[list[Header]], list[Header]]

_GET, _HEAD = b"GET", b"HEAD"
_TRIES = 3  # a file that is another one each time it is opened
# Written together with its sibling, and yet a moment later: what unpacks a release goes by names.
_TOLERANCE_NS = 2_000_000_000
_VARY: Header = (b"vary", b"accept-encoding")


class Pinned(Protocol):
    """A source as it is now, for a thread. `fd`: the directory, or -1."""

    @property
    def fd(self) -> int: ...
    def open(self, name: bytes) -> int: ...
    def close(self) -> None: ...


class Source(Protocol):
    """Folder, or a single file."""

    def open_if_known(self, name: bytes) -> int: ...
    async def keep_up(self) -> None: ...
    def pin(self) -> Pinned: ...
    @property
    def fresh_until(self) -> float: ...
    @property
    def hashed_names(self) -> Collection[bytes]: ...


class Absent:
    """There is no file of that name: it is a folder, or something else, or `error` says what is wrong."""

    __slots__ = ("error", "is_folder", "is_hidden")

    def __init__(
        self, error: OSError | None = None, is_folder: bool = False, is_hidden: bool = False
    ) -> None:
        self.error = error
        self.is_folder = is_folder
        self.is_hidden = is_hidden  # nobody has looked


class Catalogue:
    """Of one route; the shelf is the site's."""

    __slots__ = ("_number", "_precompressed", "_presentation", "_shelf", "_source")

    def __init__(
        self,
        number: int,
        source: Source,
        presentation: Presentation,
        shelf: Shelf,
        precompressed: bool = True,
    ) -> None:
        """`number`: the route's own, among those that share the shelf."""
        self._number = number
        self._source = source
        self._presentation = presentation
        self._shelf = shelf
        self._precompressed = precompressed

    def __repr__(self) -> str:
        return f"<Catalogue {self._number} of {self._source!r}>"

    def fresh(self, name: bytes) -> Entry | None:
        """What was found less than a second ago."""
        return self._shelf.fresh((self._number, name))

    async def find(self, name: bytes) -> Entry | Absent:
        key = self._number, name
        entry = self._shelf.fresh(key)
        if entry is not None:
            return entry
        try:
            info, siblings = await self._ask(partial(_survey, name, self._precompressed))
        except OSError as error:
            self._shelf.drop(key)
            return Absent(error.with_traceback(None))
        if not stat.S_ISREG(info.st_mode):
            self._shelf.drop(key)
            return Absent(is_folder=stat.S_ISDIR(info.st_mode))
        return self._shelf.put(key, self._describe(name, info, siblings), self._source.fresh_until)

    async def _ask(
        self, question: Callable[[Open], Result], undo: Callable[[Result], object] = lambda result: None
    ) -> Result:
        """At once where the kernel knows the answer, else in a thread. Raises OSError."""
        try:
            return question(self._source.open_if_known)
        except BlockingIOError:
            pass
        await self._source.keep_up()
        pinned = self._source.pin()
        return await disk.ask(pinned.fd, partial(question, pinned.open), pinned.close, undo)

    async def send(
        self,
        name: bytes,
        entry: Entry,
        request: Request,
        writer: ResponseWriter,
    ) -> Absent | None:
        """The whole answer to a GET or HEAD, or to whatever an application had answered with this file.

        What there is instead, if the file is gone since it was found; then nothing was sent.
        """
        head, order = request.head, request.order
        method = _HEAD if head.method == _HEAD else _GET
        accept = head.get(b"accept-encoding") if entry.coded else None
        asked = asked_in(head) if head.method == method else {}
        dress = order.dress if order is not None else None
        variant = entry.plain if accept is None else entry.best(accept)
        for _ in range(_TRIES):
            if variant.body is not None:
                if dress is None and method == _GET and await _is_sent_ready(variant, asked, writer):
                    return None
                delivery = Delivery(writer, variant.file, None, variant.body)
                await delivery.run(method, asked, dress and dress(variant.file.full))
                return None
            opened = self._shelf.open_files.find(variant)
            if opened is not None and _is_still(opened, variant):
                await _send_opened(opened, variant, writer, method, asked, dress)
                return None
            if await self._is_sent(name, variant, request, writer, method, asked, dress):
                return None
            self._shelf.drop((self._number, name))
            found = await self.find(name)
            if isinstance(found, Absent):
                return found
            variant = found.plain if accept is None else found.best(accept)
        await self._send_restless(name, writer, method, asked, dress)
        return None

    async def _send_restless(
        self, name: bytes, writer: ResponseWriter, method: bytes, asked: Asked, dress: Dress | None
    ) -> None:
        """A file that never stays the same, as a log does: what of it was there when it was opened."""
        try:
            fd, info = await self._ask(partial(_open, name), _close)
        except TimeoutError as error:
            raise unreadable(error) from None
        except OSError as error:
            raise refuse("not_found", f"{os.fsdecode(name)}: {error.strerror}.") from None
        opened = OpenFile(fd, info.st_dev)
        try:
            if not stat.S_ISREG(info.st_mode):
                raise refuse("not_found", f"{os.fsdecode(name)} is no regular file any more.")
            file = self._describe(name, info, {}).plain.file
            await Delivery(writer, file, opened).run(method, asked, dress and dress(file.full))
        finally:
            opened.end()

    async def _is_sent(
        self,
        name: bytes,
        variant: Variant,
        request: Request,
        writer: ResponseWriter,
        method: bytes,
        asked: Asked,
        dress: Dress | None,
    ) -> bool:
        """False: nothing was sent, because the file is not the one that the headers describe."""
        try:
            fd, info = await self._ask(partial(_open, variant.name), _close)
        except TimeoutError as error:
            raise unreadable(error) from None
        except OSError:
            return False
        opened = OpenFile(fd, info.st_dev)
        try:
            if identity_of(info) != variant.identity:
                return False
            if variant.file.size > LARGEST:
                self._shelf.open_files.keep(variant, opened, request.resources.deadlines)
                await _send_opened(opened.begin(), variant, writer, method, asked, dress)
                return True
            body = await self._read(fd, info)
            if body is None:
                return False
            self._shelf.keep((self._number, name), variant, body, info)
            delivery = Delivery(writer, variant.file, opened, body)
            await delivery.run(method, asked, dress and dress(variant.file.full))
            return True
        finally:
            opened.end()

    async def _read(self, fd: int, info: os.stat_result) -> bytes | None:
        """All of it, if it stayed the same meanwhile."""
        try:
            body = await disk.read(fd, info.st_size, 0)
            after = await disk.stat(fd, info.st_dev)
        except OSError as error:
            raise unreadable(error) from None
        return body if identity_of(after) == identity_of(info) else None

    def _describe(self, name: bytes, info: os.stat_result, siblings: Siblings) -> Entry:
        content_type = self._presentation.content_type(name)
        headers = self._presentation.headers(name, self._source.hashed_names)
        if siblings:
            headers.append(_VARY)

        def variant(its_name: bytes, its: os.stat_result, coding: bytes = b"") -> Variant:
            state = its.st_size, its.st_mtime_ns
            file = FileHeaders(content_type, *state, headers, coding, its.st_ctime_ns)
            return Variant(its_name, file, identity_of(its))

        coded = {coding: variant(its_name, its, coding) for coding, (its_name, its) in siblings.items()}
        return Entry(variant(name, info), coded)


async def _is_sent_ready(variant: Variant, asked: Asked, writer: ResponseWriter) -> bool:
    """As it was sent before: whole, or unchanged. False: it is to be made for this request."""
    file, body, shape, status = variant.file, variant.body, writer.shape, 200
    assert body is not None
    fields = file.full
    if asked:
        if judge(asked, file) is not Verdict.UNCHANGED:
            return False
        fields, body, status = file.unchanged, b"", 304
    ready = variant.head if shape is None and status == 200 else variant.head_in(shape, status)
    if ready is None:
        return False
    await writer.send_ready(fields, ready, body, status)
    return True


def _is_still(opened: OpenFile, variant: Variant) -> bool:
    """Else ends it. Who resumes a download must not get the rest of another state (If-Range)."""
    if identity_of(os.fstat(opened.fd)) == variant.identity:
        return True
    opened.end()
    return False


async def _send_opened(
    opened: OpenFile,
    variant: Variant,
    writer: ResponseWriter,
    method: bytes,
    asked: Asked,
    dress: Dress | None,
) -> None:
    """Ends it."""
    try:
        ready = variant.head_in(writer.shape, 200)
        await Delivery(writer, variant.file, opened, ready=ready).run(
            method, asked, dress and dress(variant.file.full)
        )
    finally:
        opened.end()


def _survey(name: bytes, has_siblings: bool, open_file: Open) -> tuple[os.stat_result, Siblings]:
    """The file, and the compressed ones beside it; not what is older than it, and so of another content."""
    info, found = _look(name, open_file), {}
    if not has_siblings or not stat.S_ISREG(info.st_mode):
        return info, {}
    for coding in CODINGS:
        try:
            sibling = _look(name + coding.ending, open_file)
        except BlockingIOError:
            raise
        except OSError:
            continue
        is_of_it = sibling.st_mtime_ns >= info.st_mtime_ns - _TOLERANCE_NS
        if stat.S_ISREG(sibling.st_mode) and is_of_it:
            found[coding.name] = name + coding.ending, sibling
    return info, found


def _look(name: bytes, open_file: Open) -> os.stat_result:
    fd, info = _open(name, open_file)
    disk.let_go(fd)
    return info


def _open(name: bytes, open_file: Open) -> tuple[int, os.stat_result]:
    fd = open_file(name)
    try:
        return fd, os.fstat(fd)
    except BaseException:
        disk.let_go(fd)
        raise


def _close(opened: tuple[int, os.stat_result]) -> None:
    disk.let_go(opened[0])
