"""A folder as a page: what is on it, in which order, and that no name becomes markup or another address."""

from __future__ import annotations

import html.parser
import os
import socket
from urllib.parse import unquote_to_bytes, urljoin

import pytest
import trio

from trivet_proxy import disk, listing
from trivet_proxy.folder import is_hidden
from trivet_proxy.listing import Item, Items, LastPage, read, render, size_text


class Page(html.parser.HTMLParser):
    """The links of a page with their text, and every tag there is."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self._href: str | None = None
        self.feed(page.decode())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._href = dict(attributes).get("href") if tag == "a" else None

    def handle_data(self, data):
        if self._href is not None:
            self.links.append((self._href, data))
            self._href = None


NAMES = [
    b"plain.txt",
    b"a b.txt",
    b"caf\xc3\xa9.txt",
    b"caf\xe9.txt",
    b"<script>alert(1)<",
    b"\"onmouseover='x",
    b"javascript:alert(1)",
    b"a?b#c%41",
    b"&amp;x",
    b"x\ny",
    b"\\evil",
]


def test_each_link_leads_to_its_file():
    page = Page(render(b"/files/", Items([Item(name, False, 1, 0) for name in NAMES]), True))
    links = dict(page.links)
    assert links.pop("../") == "Parent folder"
    here = "http://h/files/"
    assert {unquote_to_bytes(urljoin(here, link).removeprefix(here)) for link in links} == set(NAMES)
    assert "script" not in page.tags
    assert {text for text in links.values() if "<" in text} == {"<script>alert(1)<"}


def test_folders_first_then_by_name():
    items = [
        Item(b"b", False, 1, 0),
        Item(b"A", False, 1, 0),
        Item(b"c", True, 1, 0),
        Item(b"a", False, 1, 0),
    ]
    page = Page(render(b"/", Items(items), False))
    assert [text for _, text in page.links] == ["c/", "A", "a", "b"]
    assert "../" not in dict(page.links)


def test_sizes_and_dates():
    items = [Item(b"a", False, 1536, 784111777), Item(b"b", False, 0, 1e18)]
    page = render(b"/", Items(items), False).decode()
    assert "1.5 KiB" in page
    assert "1994-11-06 08:49" in page
    assert [size_text(size) for size in (0, 1023, 1024, 1024**2 - 1, 123 * 1024, 5 * 1024**3, 2**60)] == [
        "0 B", "1023 B", "1.0 KiB", "1.0 MiB", "123 KiB", "5.0 GiB", "1048576 TiB",
    ]  # fmt: skip


def test_empty_and_too_many():
    assert b"This folder is empty." in render(b"/", Items([]), False)
    items = [Item(b"%d" % number, False, 1, 0) for number in range(3)]
    assert b"holds more" not in render(b"/", Items(items), False)
    page = render(b"/", Items(items, is_cut=True), False)
    assert b"This folder holds more: 3 of its names are shown, the others are not." in page
    assert len(Page(page).links) == 3


async def test_a_page_is_made_once_a_second():
    now = 0.0
    last = LastPage(lambda: now)
    made = iter([b"first", b"second", b"another", b"third"])

    async def make():
        return next(made)

    assert [await last.get("a", make) for _ in range(3)] == [b"first"] * 3
    now = 1.0
    assert await last.get("a", make) == b"second"
    assert "6 bytes" in repr(last)
    assert await last.get("b", make) == b"another"
    assert await last.get("a", make) == b"third"


async def test_two_in_turn_are_not_made_side_by_side(autojump_clock):
    last, making, most, pages = LastPage(), 0, 0, []

    async def make():
        nonlocal making, most
        making += 1
        most = max(most, making)
        await trio.sleep(1)
        making -= 1
        return b"page"

    async def get(key):
        pages.append(await last.get(key, make))

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(get, number % 2)
    assert (most, pages) == (1, [b"page"] * 20)

    async def never():
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(last.get, "hangs", never)
        await trio.sleep(1)
        with pytest.raises(disk.Crowded), trio.fail_after(60):
            await last.get("waits", make)
        nursery.cancel_scope.cancel()
    assert await last.get("after", make) == b"page"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"12345")
    (tmp_path / "sub").mkdir()
    (tmp_path / ".env").write_bytes(b"")
    (tmp_path / "x~").write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "sock"))
    (tmp_path / "in").symlink_to("a.txt")
    (tmp_path / "out").symlink_to("/etc/passwd")
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd, tmp_path
    os.close(fd)


def test_what_is_shown(folder, monkeypatch):
    fd, path = folder

    def look(name):
        if name != b"in":
            raise OSError(18, "leads out")
        return os.stat(path / "in")

    assert {item.name for item in read(fd, is_hidden, look).items} == {b"a.txt", b"sub", b"in"}
    assert {item.name for item in read(fd, lambda name: False, look).items} == {
        b"a.txt",
        b"sub",
        b"in",
        b".env",
        b"x~",
    }
    sizes = {item.name: (item.size, item.is_folder) for item in read(fd, is_hidden, look).items}
    assert sizes[b"in"] == (5, False)
    assert sizes[b"sub"][1]
    assert not read(fd, is_hidden, look).is_cut
    monkeypatch.setattr(listing, "_MOST_SEEN", 2)
    assert read(fd, lambda name: True, look) == ([], True)
    monkeypatch.setattr(listing, "MOST", 1)
    found = read(fd, lambda name: False, look)
    assert (len(found.items), found.is_cut) == (1, True)
