"""The page that lists a folder: read from an opened descriptor, sorted, with sizes and dates.

Owns what of a folder may be shown, and that a name is never anything but text and its own link. Knows no
request and no root.
"""

from __future__ import annotations

import errno
import html
import os
import stat
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import trio

from . import disk, page
from .locations import encode_path

# A page longer than this nobody reads; who has more to list wants something else than a page.
MOST = 10_000
_MOST_SEEN = 10 * MOST  # hidden names and sockets among them: a folder may hold millions
_KEPT = 1.0  # seconds
_PATIENCE = 30.0  # as with a disk
HEADERS = [*page.HEADERS, (b"cache-control", b"no-cache")]

_STYLE = """\
main { max-width: 60rem }
table { width: 100%; border-collapse: collapse }
th { color: var(--soft); font-size: .85rem; font-weight: 600; text-align: left }
th, td { padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: baseline }
td:first-child { overflow-wrap: anywhere }
th + th, td + td { width: 1%; padding-right: 0; padding-left: 1.5rem; white-space: nowrap;
  text-align: right; font-variant-numeric: tabular-nums }
td + td { color: var(--soft) }
a { color: var(--mark); text-decoration: none }
a:hover, a:focus { text-decoration: underline }
p { margin: 1rem 0 0; color: var(--soft) }
@media (max-width: 32rem) { th:last-child, td:last-child { display: none } }"""
_CONTENT = """\
<h1>{title}</h1>
<table>
<thead><tr><th scope="col">Name</th><th scope="col">Size</th><th scope="col">Changed (UTC)</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>{foot}"""
_ROW = '<tr><td><a href="{link}">{name}</a></td><td>{size}</td><td>{date}</td></tr>'
_PARENT = '<tr><td><a href="../">Parent folder</a></td><td></td><td></td></tr>'


class Item(NamedTuple):
    name: bytes
    is_folder: bool
    size: int
    changed: float


class Items(NamedTuple):
    """What may be shown of a folder. `is_cut`: there is more in it."""

    items: list[Item]
    is_cut: bool = False


class LastPage:
    """Of one route, for a second: whoever asks for a large folder all the time has it made once.

    And for another one in turn: one is made at a time, and who waits for it holds no thread.
    """

    __slots__ = ("_clock", "_made", "_making")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._made: tuple[object, float, bytes] | None = None
        self._making = trio.Lock()

    def __repr__(self) -> str:
        return f"<LastPage {len(self._made[2]) if self._made else 0} bytes>"

    async def get(self, key: object, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Raises Crowded, and what `make` raises."""
        with trio.move_on_after(_PATIENCE) as waiting:
            await self._making.acquire()
        if waiting.cancelled_caught:
            raise disk.Crowded(errno.EAGAIN, "too many wait for a folder's page")
        try:
            made = self._made
            if made is not None and made[0] == key and self._clock() < made[1]:
                return made[2]
            page = await make()
            self._made = key, self._clock() + _KEPT, page
            return page
        finally:
            self._making.release()


def read(fd: int, is_hidden: Callable[[bytes], bool], look: Callable[[bytes], os.stat_result]) -> Items:
    """At most MOST items. `look` follows a link, or raises OSError."""
    items: list[Item] = []
    with os.scandir(fd) as found:
        for seen, entry in enumerate(found):
            if seen >= _MOST_SEEN or len(items) >= MOST:
                return Items(items, True)
            name = os.fsencode(entry.name)
            item = None if is_hidden(name) else _item(name, entry, look)
            if item is not None:
                items.append(item)
    return Items(items)


def render(path: bytes, found: Items, has_parent: bool) -> bytes:
    """`path`: the folder's, as the client asked for it, decoded and with its final slash."""
    shown = sorted(found.items, key=lambda item: (not item.is_folder, _shown(item.name).lower(), item.name))
    rows = [_row(item) for item in shown]
    if has_parent:
        rows.insert(0, _PARENT)
    foot = "" if found.items else "\n<p>This folder is empty.</p>"
    if found.is_cut:
        foot = f"\n<p>This folder holds more: {len(shown)} of its names are shown, the others are not.</p>"
    title = html.escape(_shown(path))
    content = _CONTENT.format(title=title, rows="\n".join(rows), foot=foot)
    return page.page(title, _STYLE, content).encode("utf-8", "replace")


def size_text(size: int) -> str:
    """`512 B`, `1.5 KiB`: three digits say enough."""
    if size < 1024:
        return f"{size} B"
    amount = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        amount /= 1024
        if amount < 999.5 or unit == "TiB":
            break
    return f"{amount:.1f} {unit}" if amount < 99.95 else f"{amount:.0f} {unit}"


def _item(name: bytes, entry: os.DirEntry[str], look: Callable[[bytes], os.stat_result]) -> Item | None:
    """None: it is gone since, a link that leads nowhere we serve, or neither file nor folder."""
    try:
        info = look(name) if entry.is_symlink() else entry.stat(follow_symlinks=False)
    except OSError:
        return None
    is_folder = stat.S_ISDIR(info.st_mode)
    if not is_folder and not stat.S_ISREG(info.st_mode):
        return None
    return Item(name, is_folder, info.st_size, info.st_mtime)


def _row(item: Item) -> str:
    slash = "/" if item.is_folder else ""
    return _ROW.format(
        # ./ in front: a name with a colon in it would be read as a scheme (javascript:).
        link="./" + html.escape(encode_path(item.name).decode("ascii")) + slash,
        name=html.escape(_shown(item.name)) + slash,
        size="" if item.is_folder else size_text(item.size),
        date=_date(item.changed),
    )


def _date(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return ""


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "replace")
