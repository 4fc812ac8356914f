"""Where a request goes on when a handler does not answer it itself: to the next route, or to a file.

An application orders a file by X-Accel-Redirect (a path of this site, percent-encoded) or X-Sendfile (a path
on disk); an order leads to routes with `internal: true` only. Knows no route and opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from trivet_common.http1.errors import HttpError
from trivet_common.http1.reasons import refuse
from trivet_common.http1.target import decode_path

from .presentation import ATTACHMENT, NOSNIFF, is_active
from .validators import Header

ORDERS = (b"x-accel-", b"x-sendfile")
_REDIRECT, _SENDFILE = b"x-accel-redirect", b"x-sendfile"

# What describes the answer of the application, and would be wrong of the file that takes its place.
_OF_THE_ANSWER = frozenset(
    b"accept-ranges content-encoding content-length content-range date etag last-modified "
    b"content-digest repr-digest digest content-md5".split()  # RFC 9530, 3230, 1864
)
# Frameworks say this of every answer for which the application said nothing.
_SAID_BY_ITSELF = b"text/html"
_UNKNOWN = b"application/octet-stream"


class Order:
    """`path`: decoded, of this site; or of the disk, with `is_on_disk`."""

    __slots__ = ("_headers", "is_on_disk", "is_taken", "path")

    def __init__(self, path: bytes, is_on_disk: bool = False) -> None:
        self.path = path
        self.is_on_disk = is_on_disk
        self.is_taken = False
        self._headers: list[Header] = []

    def __repr__(self) -> str:
        return f"<Order {self.path.decode('utf-8', 'replace')}>"

    def take_headers(self, headers: Iterable[Header]) -> None:
        """Those of the application's answer that a client may see."""
        self._headers = [field for field in headers if field[0] not in _OF_THE_ANSWER]

    def dress(self, full: list[Header]) -> list[Header]:
        """The file's headers under those of the application: its cookies, names and caching stay its own."""
        is_upload = NOSNIFF in full
        said = [field for field in self._headers if not _is_usual_type(field, full, is_upload)]
        names = {name for name, _ in said} - {b"vary"}
        dressed = [field for field in full if field[0] not in names] + said
        return _disarmed(dressed) if is_upload else dressed


# The next route in the file that matches.
NEXT = Order(b"")


def read_order(headers: Iterable[Header]) -> Order | None:
    """The order among an answer's headers, if there is one. Raises HttpError upstream_bad for no path."""
    for name, value in headers:
        if name == _REDIRECT:
            return Order(_site_path(value))
        if name == _SENDFILE:
            return Order(_disk_path(value), is_on_disk=True)
    return None


def without_orders(headers: Iterable[Header]) -> list[Header]:
    return [field for field in headers if not field[0].startswith(ORDERS)]


def _site_path(value: bytes) -> bytes:
    if not value.startswith(b"/"):
        raise _bad(_REDIRECT, value, "does not begin with a slash")
    try:
        return decode_path(value.partition(b"?")[0])
    except HttpError as error:
        raise _bad(_REDIRECT, value, f"is refused: {error}") from None


def _disk_path(value: bytes) -> bytes:
    segments = value.split(b"/")
    if not value.startswith(b"/") or b".." in segments or b"." in segments or b"\0" in value:
        raise _bad(_SENDFILE, value, "is no absolute path without . and ..")
    return b"/" + b"/".join(filter(None, segments))


def _bad(name: bytes, value: bytes, why: str) -> HttpError:
    shown = value[:200].decode("utf-8", "backslashreplace")
    return refuse("upstream_bad", f"{name.decode()}: {shown!r} {why}.")


def _disarmed(headers: list[Header]) -> list[Header]:
    """An upload that a browser would run is an attachment, whatever the application says of it."""
    if not any(name == b"content-type" and is_active(value) for name, value in headers):
        return headers
    kept = [(name, value) for name, value in headers if name != b"content-disposition" or _is_attached(value)]
    has_one = any(name == b"content-disposition" for name, _ in kept)
    return kept if has_one else [*kept, ATTACHMENT]


def _is_attached(disposition: bytes) -> bool:
    return disposition.partition(b";")[0].strip().lower() == b"attachment"


def _is_usual_type(field: Header, full: list[Header], is_upload: bool) -> bool:
    """A framework's own text/html, where the file's name says better; of an upload it is never believed."""
    if field[0] != b"content-type" or field[1].partition(b";")[0].strip().lower() != _SAID_BY_ITSELF:
        return False
    return is_upload or any(name == b"content-type" and value != _UNKNOWN for name, value in full)
