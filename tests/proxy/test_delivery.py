"""A file becomes an answer, through the real writer: what stands on the wire."""

from __future__ import annotations

import os
import re

import pytest
import trio

from tests.proxy.fakes_core import FakeProcess, new_spool
from trivet_common.http1.errors import HttpError
from trivet_proxy import delivery, disk
from trivet_proxy.body import EMPTY
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.delivery import SMALL, Delivery
from trivet_proxy.open_files import OpenFile
from trivet_proxy.preconditions import asked_of
from trivet_proxy.stall import Stall
from trivet_proxy.validators import FileHeaders
from trivet_proxy.writer import ResponseWriter

DATA = bytes(range(256)) * 40  # 10,240 bytes


@pytest.fixture(params=["memory", "small", "large", "copied"])
def ask(request, new_pair, tmp_path, monkeypatch):
    """Ask for DATA: kept in memory, read in one piece, or sent by sendfile, or copied."""
    if request.param in ("large", "copied"):
        monkeypatch.setattr(delivery, "SMALL", 0)
    if request.param == "copied":  # as from an overlay: no file system that can tell what is in memory
        monkeypatch.setattr(disk, "_NOWAIT", 1 << 20)
        monkeypatch.setattr(disk, "PIECE", 1000)
    path = tmp_path / "file"
    path.write_bytes(DATA)
    os.utime(path, ns=(0, 784111777 * 10**9))
    fd = os.open(path, os.O_RDONLY)
    file = FileHeaders(b"text/plain", len(DATA), 784111777 * 10**9, [(b"cache-control", b"no-cache")])

    async def ask(method=b"GET", **fields):
        wire, peer = new_pair()
        writer = ResponseWriter(
            wire, Stall(wire, Deadlines()), FakeProcess(new_spool(tmp_path)), EMPTY, method, False, True
        )
        asked = asked_of((name.replace("_", "-").encode(), value) for name, value in fields.items())
        body = DATA if request.param == "memory" else None
        await Delivery(writer, file, OpenFile(fd, 0), body).run(method, asked)
        assert writer.finished
        wire.end_sending()
        head, _, body = (await peer.receive_until_end()).partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        return int(lines[0].split()[1]), dict(line.split(b": ", 1) for line in lines[1:]), body

    yield ask
    os.close(fd)


async def test_whole(ask):
    status, fields, body = await ask()
    assert (status, body, fields[b"content-length"]) == (200, DATA, b"10240")
    assert fields[b"accept-ranges"] == b"bytes"
    status, of_head, body = await ask(b"HEAD", range=b"bytes=0-1")  # 14.2: Range is for GET
    assert (status, body) == (200, b"")
    fields.pop(b"date"), of_head.pop(b"date")
    assert of_head == fields


async def test_one_range(ask):
    status, fields, body = await ask(range=b"bytes=100-199")
    assert (status, body) == (206, DATA[100:200])
    assert fields[b"content-range"] == b"bytes 100-199/10240"
    assert fields[b"content-length"] == b"100"
    assert fields[b"content-type"] == b"text/plain"
    # 15.3.7: what a 200 would have said for caches.
    assert {b"date", b"cache-control", b"etag", b"last-modified"} <= set(fields)


async def test_several_ranges(ask):
    status, fields, body = await ask(range=b"bytes=0-9,5000-5009,-10")
    assert status == 206
    assert b"content-range" not in fields
    boundary = re.fullmatch(rb"multipart/byteranges; boundary=(\w+)", fields[b"content-type"])[1]
    assert int(fields[b"content-length"]) == len(body)
    *parts, end = body.split(b"\r\n--" + boundary)
    assert end == b"--\r\n"
    found = [part.partition(b"\r\n\r\n") for part in parts[1:]]
    assert [part[2] for part in found] == [DATA[:10], DATA[5000:5010], DATA[-10:]]
    assert found[1][0] == b"\r\ncontent-type: text/plain\r\ncontent-range: bytes 5000-5009/10240"


async def test_no_range_that_lies_in_the_file(ask):
    with pytest.raises(HttpError) as caught:
        await ask(range=b"bytes=10240-")
    assert (caught.value.status, caught.value.headers) == (416, ((b"content-range", b"bytes */10240"),))


async def test_conditions_come_before_ranges(ask):
    status, fields, body = await ask(range=b"bytes=0-1", if_none_match=b"*")
    assert (status, body, fields[b"cache-control"]) == (304, b"", b"no-cache")
    assert b"content-length" not in fields
    with pytest.raises(HttpError) as caught:
        await ask(range=b"bytes=99999-", if_match=b'"x"')
    assert caught.value.status == 412
    assert (await ask(range=b"bytes=0-1", if_range=b'"x"'))[2] == DATA
    etag = (await ask())[1][b"etag"]
    assert (await ask(range=b"bytes=0-1", if_range=etag))[2] == DATA[:2]
    assert (await ask(range=b"bytes=99999-", if_range=b'"x"'))[0] == 200


def test_small_is_what_one_send_carries():
    assert SMALL <= 16384


@pytest.mark.parametrize("count", [100, 100_000])
async def test_a_disk_that_does_not_answer(new_pair, tmp_path, monkeypatch, count):
    async def late(*arguments):
        raise TimeoutError

    monkeypatch.setattr(disk, "_read_in_thread", late)
    monkeypatch.setattr(disk, "_NOWAIT", 1 << 20)
    fd = os.open(__file__, os.O_RDONLY)
    wire, _ = new_pair()
    writer = ResponseWriter(
        wire, Stall(wire, Deadlines()), FakeProcess(new_spool(tmp_path)), EMPTY, b"GET", False, True
    )
    with pytest.raises(HttpError) as caught:
        await Delivery(writer, FileHeaders(b"text/plain", count, 0), OpenFile(fd, 0)).run(b"GET", {})
    os.close(fd)
    assert (caught.value.why, caught.value.status) == ("disk_slow", 503)


@pytest.mark.parametrize("becomes", [900_000, 1000])
async def test_what_a_slow_client_left_lying_is_had_in_memory_again(new_pair, tmp_path, monkeypatch, becomes):
    """Of a window that was read for it minutes ago nobody knows whether it is still there."""
    monkeypatch.setattr(disk, "_FRESH", 0.1)
    warmed, warm = [], disk.warm

    async def note(fd, first, count, lane=None):
        warmed.append((first, first + count))
        return await warm(fd, first, count, lane)

    monkeypatch.setattr(disk, "warm", note)
    path = tmp_path / "file"
    path.write_bytes(os.urandom(900_000))
    content = path.read_bytes()
    wire, peer = new_pair()
    writer = ResponseWriter(
        wire, Stall(wire, Deadlines()), FakeProcess(new_spool(tmp_path)), EMPTY, b"GET", False, True
    )
    outcomes = []

    async def send(opened):
        try:
            await Delivery(writer, FileHeaders(b"text/plain", 900_000, 0), opened).run(b"GET", {})
            outcomes.append("whole")
        except HttpError as error:
            outcomes.append(error.why)
        wire.end_sending()

    with path.open("rb") as file:
        opened = OpenFile(file.fileno(), 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, opened)
            await trio.sleep(0.2)
            assert outcomes == []
            os.truncate(path, becomes)
            body = (await peer.receive_until_end()).partition(b"\r\n\r\n")[2]
    assert warmed[0] == (0, 900_000)
    assert warmed[1][0] > 0
    if becomes == 900_000:
        assert (outcomes, body) == (["whole"], content)
    else:
        assert outcomes == ["file_changed"]
    assert not disk.is_fresh(opened.warmed), "it was in memory when it began, and that is long ago"


async def test_a_small_one_is_not_asked_for_again_within_its_second(new_pair, tmp_path, monkeypatch):
    warmed = []

    async def note(fd, first, count, lane=None):
        warmed.append(first)
        return True

    monkeypatch.setattr(disk, "warm", note)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 20_000)
    with path.open("rb") as file:
        opened = OpenFile(file.fileno(), 0)
        for age in (0.0, 0.0, 1.0):
            opened.warmed -= age
            wire, _ = new_pair()
            writer = ResponseWriter(
                wire, Stall(wire, Deadlines()), FakeProcess(new_spool(tmp_path)), EMPTY, b"GET", False, True
            )
            await Delivery(writer, FileHeaders(b"text/plain", 20_000, 0), opened).run(b"GET", {})
    assert warmed == [0, 0]
