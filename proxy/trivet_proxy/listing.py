"""The page that lists a folder: read from an opened descriptor, sorted, with sizes and dates.

Owns what of a folder may be shown, and that a name is never anything but text and its own link. Knows no
request and no root.
"""

from __future__ import annotations

import html
import os
import stat
import time
from collections.abc import Callable
from typing import NamedTuple

from .locations import encode_path

# A page longer than this nobody reads; who has more to list wants something else than a page.
MOST = 10_000
HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
]

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1d2430; --soft: #667085; --line: #e2e5ea;
  --sheet: #fff; --desk: #f4f5f7; --mark: #0f766e }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e8eaee; --soft: #98a1b0; --line: #2c323c;
  --sheet: #191d24; --desk: #101318; --mark: #5eead4 }} }}
* {{ box-sizing: border-box }}
body {{ margin: 0; padding: 2rem 1.5rem; background: var(--desk); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }}
main {{ max-width: 60rem; margin: 0 auto; padding: 1.5rem 2rem 2rem; background: var(--sheet);
  border: 1px solid var(--line); border-top: 4px solid var(--mark); border-radius: .6rem }}
h1 {{ margin: 0 0 1rem; font-size: 1.3rem; overflow-wrap: anywhere }}
table {{ width: 100%; border-collapse: collapse }}
th {{ color: var(--soft); font-size: .85rem; font-weight: 600; text-align: left }}
th, td {{ padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: baseline }}
td:first-child {{ overflow-wrap: anywhere }}
th + th, td + td {{ width: 1%; padding-right: 0; padding-left: 1.5rem; white-space: nowrap;
  text-align: right; font-variant-numeric: tabular-nums }}
td + td {{ color: var(--soft) }}
a {{ color: var(--mark); text-decoration: none }}
a:hover, a:focus {{ text-decoration: underline }}
p {{ margin: 1rem 0 0; color: var(--soft) }}
@media (max-width: 32rem) {{ th:last-child, td:last-child {{ display: none }} }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<table>
<thead><tr><th scope="col">Name</th><th scope="col">Size</th><th scope="col">Changed (UTC)</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{foot}</main>
</body>
</html>
"""
_ROW = '<tr><td><a href="{link}">{name}</a></td><td>{size}</td><td>{date}</td></tr>'
_PARENT = '<tr><td><a href="../">Parent folder</a></td><td></td><td></td></tr>'


class Item(NamedTuple):
    name: bytes
    is_folder: bool
    size: int
    changed: float


def read(fd: int, is_hidden: Callable[[bytes], bool], look: Callable[[bytes], os.stat_result]) -> list[Item]:
    """What may be shown of a folder, at most MOST + 1 items. `look` follows a link, or raises OSError."""
    items = []
    with os.scandir(fd) as found:
        for entry in found:
            name = os.fsencode(entry.name)
            if is_hidden(name):
                continue
            try:
                info = look(name) if entry.is_symlink() else entry.stat(follow_symlinks=False)
            except OSError:
                continue  # gone since, or a link that leads nowhere we serve
            is_folder = stat.S_ISDIR(info.st_mode)
            if is_folder or stat.S_ISREG(info.st_mode):
                items.append(Item(name, is_folder, info.st_size, info.st_mtime))
            if len(items) > MOST:
                break
    return items


def render(path: bytes, items: list[Item], has_parent: bool) -> bytes:
    """`path`: the folder's, as the client asked for it, decoded and with its final slash."""
    shown = sorted(items[:MOST], key=lambda item: (not item.is_folder, _shown(item.name).lower(), item.name))
    rows = [_row(item) for item in shown]
    if has_parent:
        rows.insert(0, _PARENT)
    foot = "<p>This folder is empty.</p>\n" if not items else ""
    if len(items) > MOST:
        foot = f"<p>Only the first {MOST} are shown.</p>\n"
    page = _PAGE.format(title=html.escape(_shown(path)), rows="\n".join(rows), foot=foot)
    return page.encode("utf-8", "replace")


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
