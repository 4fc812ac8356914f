"""What a route can send: looked up once a second, with its siblings, and always what its headers describe."""

from __future__ import annotations

import errno
import gzip
import os
import threading
import time
from pathlib import Path

import pytest
import trio

from tests.proxy.fakes_core import FakeProcess, new_spool
from tests.proxy.fakes_files import Sent, request_of
from trivet_common.config import FilesAction
from trivet_common.http1.errors import HttpError
from trivet_proxy import disk, file_systems, shelf
from trivet_proxy.body import EMPTY
from trivet_proxy.catalogue import Absent, Catalogue
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.folder import Folder
from trivet_proxy.presentation import Presentation
from trivet_proxy.shelf import LARGEST, Shelf
from trivet_proxy.stall import Stall
from trivet_proxy.writer import ResponseWriter


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    monkeypatch.setattr(shelf, "_SETTLED", -1)


class Watched:
    def __init__(self, pinned, opened):
        self.fd, self._pinned, self._opened = pinned.fd, pinned, opened

    def open(self, name):
        assert threading.current_thread() is not threading.main_thread()
        self._opened.append(name)
        return self._pinned.open(name)

    def close(self):
        self._pinned.close()


class Place:
    """A folder, its catalogue, a clock, and a count of what was opened."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 0.0
        self.folder = Folder(root, lambda: self.now)
        self.catalogue = Catalogue(0, self, Presentation(FilesAction(root)), Shelf(lambda: self.now))
        self.opened: list[bytes] = []
        self.is_known = True
        self.elsewhere: list[bytes] = []  # what was opened in a thread

    def write(self, name, data, age=100.0):
        (self.root / name).write_bytes(data)
        os.utime(self.root / name, (time.time() - age,) * 2)

    async def get(self, name, **fields):
        entry = await self.catalogue.find(name)
        sent = Sent()
        await self.catalogue.send(name, entry, request_of(**fields), sent)
        return sent

    # As a source.

    def open_if_known(self, name):
        if not self.is_known:
            raise BlockingIOError(11, "not now")
        self.opened.append(name)
        return self.folder.open(name)

    async def keep_up(self):
        await self.folder.keep_up()

    def pin(self):
        return Watched(self.folder.pin(), self.elsewhere)

    @property
    def fresh_until(self):
        return self.folder.fresh_until

    @property
    def hashed_names(self):
        return self.folder.hashed_names


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    found.write("a.txt", b"first")
    return found


async def test_a_small_file_is_read_once_and_looked_at_once_a_second(place):
    assert (await place.get(b"a.txt")).body == b"first"
    place.opened.clear()
    for _ in range(3):
        sent = await place.get(b"a.txt")
        assert (sent.status, sent.body) == (200, b"first")
    assert place.opened == []
    place.now = 1.0
    assert (await place.get(b"a.txt")).body == b"first"
    assert place.opened == [
        b"a.txt",
        b"a.txt.br",
        b"a.txt.zst",
        b"a.txt.gz",
    ]  # and its bytes were not read again


async def test_a_changed_file_is_seen_within_a_second(place):
    await place.get(b"a.txt")
    place.write("a.txt", b"other")
    place.now = 0.99
    assert (await place.get(b"a.txt")).body == b"first"
    place.now = 1.0
    assert (await place.get(b"a.txt")).body == b"other"
    (place.root / "a.txt").unlink()
    place.now = 2.0
    assert isinstance(await place.catalogue.find(b"a.txt"), Absent)


@pytest.mark.parametrize("size", [10, LARGEST + 10])
async def test_a_file_that_changed_since_it_was_looked_at(place, size):
    """Never the headers of one and the bytes of another."""
    place.write("b.bin", b"x" * size)
    entry = await place.catalogue.find(b"b.bin")
    place.write("b.bin", b"y" * (size + 1))
    sent = Sent()
    await place.catalogue.send(b"b.bin", entry, request_of(), sent)
    assert (sent.status, sent.length, sent.body) == (200, size + 1, b"y" * (size + 1))


@pytest.mark.parametrize("other", [b"y" * (LARGEST + 10), b"y" * LARGEST])
async def test_a_large_file_that_is_written_while_it_is_kept_open(place, other):
    """Who resumes a download with If-Range would join two files."""
    before = len(os.listdir("/proc/self/fd"))
    place.write("b.bin", b"x" * (LARGEST + 10))
    request, first = request_of(), Sent()
    await place.catalogue.send(b"b.bin", await place.catalogue.find(b"b.bin"), request, first)
    place.write("b.bin", other, age=50)
    resumed = Sent()
    again = request_of(range=b"bytes=1000-", if_range=first.headers[b"etag"])
    again.resources = request.resources
    await place.catalogue.send(b"b.bin", await place.catalogue.find(b"b.bin"), again, resumed)
    assert (resumed.status, resumed.body) == (200, other)
    assert resumed.headers[b"etag"] != first.headers[b"etag"]
    assert len(os.listdir("/proc/self/fd")) <= before + 2, "those that are kept for a second"


async def test_a_file_that_is_gone_since_it_was_looked_at(place):
    entry = await place.catalogue.find(b"a.txt")
    (place.root / "a.txt").unlink()
    sent = Sent()
    assert isinstance(await place.catalogue.send(b"a.txt", entry, request_of(), sent), Absent)
    assert sent.status == 0


async def test_a_file_that_was_replaced_is_served_whole_from_the_old_one(place, monkeypatch):
    size = 3 * LARGEST
    place.write("large.bin", b"x" * size)

    async def replace(*arguments):
        place.write("new.bin", b"y" * size)
        (place.root / "new.bin").rename(place.root / "large.bin")
        return True

    monkeypatch.setattr("trivet_proxy.delivery.disk.warm", replace)
    assert (await place.get(b"large.bin")).body == b"x" * size


async def test_siblings(place):
    place.write("a.txt.gz", gzip.compress(b"first"))
    place.write("a.txt.br", b"not really brotli")
    place.now = 1.0
    plain = await place.get(b"a.txt")
    assert (plain.body, plain.headers[b"vary"]) == (b"first", b"accept-encoding")
    coded = await place.get(b"a.txt", accept_encoding=b"gzip")
    assert gzip.decompress(coded.body) == b"first"
    assert coded.headers[b"content-encoding"] == b"gzip"
    assert coded.headers[b"vary"] == b"accept-encoding"
    assert coded.headers[b"content-type"] == b"text/plain; charset=utf-8"
    best = await place.get(b"a.txt", accept_encoding=b"gzip, br")
    assert best.headers[b"content-encoding"] == b"br"
    assert len({sent.headers[b"etag"] for sent in (plain, coded, best)}) == 3
    # A 304 and a range are of the coding that is asked for (RFC 9110, 8.8.3.3 and 14.1.2).
    etag = coded.headers[b"etag"]
    known = await place.get(b"a.txt", accept_encoding=b"gzip", if_none_match=etag)
    assert (known.status, known.headers[b"vary"]) == (304, b"accept-encoding")
    assert (await place.get(b"a.txt", if_none_match=etag)).status == 200
    part = await place.get(b"a.txt", accept_encoding=b"gzip", range=b"bytes=0-1")
    assert (part.status, part.body) == (206, b"\x1f\x8b")
    assert (await place.get(b"a.txt.gz")).headers[b"content-type"] == b"application/gzip"


async def test_a_file_without_siblings_does_not_vary(place):
    assert b"vary" not in (await place.get(b"a.txt", accept_encoding=b"gzip")).headers


async def test_a_sibling_of_an_older_file_is_not_sent(place):
    place.write("a.txt.gz", b"old", age=103)
    place.write("b.txt", b"b", age=100)
    place.write("b.txt.gz", b"unpacked a moment before", age=101.5)
    assert (await place.get(b"a.txt", accept_encoding=b"gzip")).body == b"first"
    assert (await place.get(b"b.txt", accept_encoding=b"gzip")).body == b"unpacked a moment before"


async def test_a_sibling_that_is_no_file_or_leads_outside(place):
    os.mkfifo(place.root / "a.txt.br")
    (place.root / "a.txt.gz").symlink_to("/etc/hostname")
    (place.root / "a.txt.zst").mkdir()
    sent = await place.get(b"a.txt", accept_encoding=b"br, gzip, zstd")
    assert (sent.body, b"vary" in sent.headers) == (b"first", False)


async def test_names_of_a_manifest_are_kept_for_a_year(tmp_path):
    (tmp_path / "staticfiles.json").write_text('{"paths": {"a.css": "a.v2.css"}}')
    place = Place(tmp_path)
    place.write("a.v2.css", b"")
    place.write("a.css", b"")
    assert b"immutable" in (await place.get(b"a.v2.css")).headers[b"cache-control"]
    assert (await place.get(b"a.css")).headers[b"cache-control"] == b"no-cache"


async def test_a_manifest_that_comes_later_counts_for_files_that_are_known(tmp_path):
    place = Place(tmp_path)
    place.write("a.v2.css", b"")
    assert (await place.get(b"a.v2.css")).headers[b"cache-control"] == b"no-cache"
    (tmp_path / "staticfiles.json").write_text('{"paths": {"a.css": "a.v2.css"}}')
    place.now = 2.0
    assert b"immutable" in (await place.get(b"a.v2.css")).headers[b"cache-control"]


async def test_head_and_conditions_of_a_kept_file(place):
    await place.get(b"a.txt")
    sent = await place.get(b"a.txt", method=b"HEAD")
    assert (sent.status, sent.length, sent.body) == (200, 5, b"")
    assert (await place.get(b"a.txt", range=b"bytes=1-2")).body == b"ir"
    assert (await place.get(b"a.txt", if_none_match=b"*")).status == 304


async def test_what_is_no_file(place):
    (place.root / "folder").mkdir()
    os.mkfifo(place.root / "fifo")
    assert (await place.catalogue.find(b"folder")).is_folder
    assert not (await place.catalogue.find(b"fifo")).is_folder
    assert (await place.catalogue.find(b"none")).error is not None
    assert "Catalogue 0" in repr(place.catalogue)


@pytest.mark.parametrize("size", [10, LARGEST + 10])
async def test_what_the_kernel_would_have_to_ask_the_disk_for_is_asked_in_a_thread(place, size):
    place.write("b.bin", b"x" * size)
    place.is_known = False
    before = len(os.listdir("/proc/self/fd"))
    assert (await place.get(b"b.bin")).body == b"x" * size
    assert place.elsewhere == [b"b.bin", b"b.bin.br", b"b.bin.zst", b"b.bin.gz", b"b.bin"]
    assert (await place.catalogue.find(b"none")).error.errno == errno.ENOENT
    assert len(os.listdir("/proc/self/fd")) <= before + 3  # trio's own, made once


async def test_a_disk_that_does_not_answer(place, monkeypatch):
    """The look-up ends; what the thread opens at last is closed by it."""
    entry = await place.catalogue.find(b"a.txt")
    place.is_known, place.now = False, 5.0
    await place.catalogue.find(b"none")
    monkeypatch.setattr(disk, "_PATIENCE", 0.05)
    before, hangs, real = len(os.listdir("/proc/self/fd")), threading.Event(), Watched.open
    known, begun = len(place.elsewhere), []  # a thread that came too late for our patience opens nothing

    def open_late(self, name):
        begun.append(name)
        hangs.wait(10)
        return real(self, name)

    monkeypatch.setattr(Watched, "open", open_late)
    try:
        with trio.fail_after(5):
            absent = await place.catalogue.find(b"a.txt")
            assert isinstance(absent.error, TimeoutError)
            with pytest.raises(HttpError) as caught:
                await place.catalogue.send(b"a.txt", entry, request_of(), Sent())
        assert caught.value.why == "disk_slow"
    finally:
        hangs.set()
    with trio.fail_after(5):
        while len(place.elsewhere) < known + len(begun) or len(os.listdir("/proc/self/fd")) > before:
            await trio.sleep(0.01)


async def test_what_a_route_adds_is_made_once_for_a_file_in_memory(place, tmp_path, new_pair):
    """Not at every request; a date of the route's own stays its own."""
    made = []

    def shape_of(*added):
        def shape(headers):
            made.append(added)
            return [*headers, *added]

        return shape

    async def get(shape):
        wire, peer = new_pair()
        writer = ResponseWriter(
            wire, Stall(wire, Deadlines()), FakeProcess(new_spool(tmp_path)), EMPTY, b"GET", False, True
        )
        writer.shape = shape
        entry = await place.catalogue.find(b"a.txt")
        await place.catalogue.send(b"a.txt", entry, request_of(), writer)
        wire.end_sending()
        return (await peer.receive_until_end()).lower()

    plain, secure = shape_of((b"x-frame-options", b"deny")), shape_of((b"x-secure", b"1"))
    await get(None)
    first = await get(plain)
    assert b"\r\nx-frame-options: deny\r\n" in first
    assert await get(plain) == first
    assert b"\r\nx-secure: 1\r\n" in await get(secure)
    assert b"x-frame-options" not in await get(None)
    assert len(made) == 2
    dated = await get(shape_of((b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")))
    assert dated.count(b"\r\ndate: ") == 1


async def test_a_remote_file_is_looked_at_in_threads_only(place, monkeypatch):
    """Also once it is read: a server that hangs would hang the loop."""
    looked, real = [], os.fstat

    def fstat(fd):
        looked.append(threading.current_thread() is threading.main_thread())
        return real(fd)

    place.is_known = False
    monkeypatch.setattr(file_systems, "known", lambda device: file_systems.Kind.REMOTE)
    monkeypatch.setattr("trivet_proxy.catalogue.os.fstat", fstat)
    assert (await place.get(b"a.txt")).body == b"first"
    assert looked
    assert not any(looked)


class Complaining:
    """close(2) of what was opened here, on a file system that has something to say then."""

    def __init__(self, monkeypatch, number):
        self._number = number
        self._close = os.close
        self.times = 0
        monkeypatch.setattr("trivet_proxy.disk.os.close", self.close)

    def close(self, fd):
        self._close(fd)
        self.times += 1
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize("number", [errno.EIO, errno.EINTR, errno.EAGAIN, errno.EDQUOT])
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_file_system_that_complains_when_a_file_is_closed_costs_no_answer(
    place, monkeypatch, number, is_known
):
    large = os.urandom(LARGEST + 1)
    place.write("large", large)
    place.is_known = is_known
    with monkeypatch.context() as patch:
        complaining = Complaining(patch, number)
        assert (await place.get(b"a.txt")).body == b"first"
        assert (await place.get(b"large")).body == large
        assert complaining.times >= 3
    # EAGAIN of a close was taken for a lookup that would have to wait, and asked again in a thread.
    assert bool(place.elsewhere) is not is_known


async def test_what_is_closed_twice_is_no_complaint_of_a_file_system(monkeypatch):
    fd = os.open("/", os.O_RDONLY)
    disk.let_go(fd)
    with pytest.raises(OSError, match="descriptor"):
        disk.let_go(fd)
