"""What is packed and what is said about it; pieces, turns and ends are the stage's own."""

import gzip
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.proxy.fakes_core import FakeProcess, NewPair, Peer, new_spool, parse
from trivet_proxy import compression
from trivet_proxy.body import EMPTY
from trivet_proxy.compression import (
    Compression,
    PackedBodies,
    choose_method,
    compressing,
    is_compressible,
)
from trivet_proxy.deadlines import Deadlines
from trivet_proxy.stall import Stall
from trivet_proxy.wire import WireClosed
from trivet_proxy.writer import ResponseWriter

TEXT = "".join(f"line {number}: the quick brown fox\n" for number in range(1000)).encode()
PLAIN = [(b"content-type", b"text/plain")]


@pytest.fixture(params=["plain", "tls"])
def kind_of_wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Desk:
    def __init__(self, new_pair: NewPair, deadlines: Deadlines, process: FakeProcess) -> None:
        self._new_pair = new_pair
        self._deadlines = deadlines
        self._process = process

    def stage(
        self, method: bytes = b"GET", *, http10: bool = False, buffer: int | None = None,
        largest: int | None = None, kept: PackedBodies | None = None,
    ) -> tuple[Compression, ResponseWriter, Peer]:  # fmt: skip
        wire, peer = self._new_pair(buffer)
        writer = ResponseWriter(
            wire, Stall(wire, self._deadlines), self._process, EMPTY, method, http10, True
        )
        head, _ = parse(method + b" / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n")
        return Compression(writer, head, largest, kept), writer, peer


@pytest.fixture
async def desk(new_pair: NewPair, tmp_path: Path, nursery: trio.Nursery) -> Desk:
    deadlines = Deadlines()
    nursery.start_soon(deadlines.run)
    return Desk(new_pair, deadlines, FakeProcess(new_spool(tmp_path)))


async def received(peer: Peer, writer: ResponseWriter) -> tuple[bytes, bytes]:
    """Head, and the body with its framing."""
    writer.wire.end_sending()
    head, _, body = (await peer.receive_until_end()).partition(b"\r\n\r\n")
    return head, body


def unchunked(body: bytes) -> bytes:
    found = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        count = int(size, 16)
        if not count:
            assert body == b"\r\n"
            return found
        found, body = found + body[:count], body[count + 2 :]


COMPRESSIBLE = [
    (b"text/html; charset=utf-8", [], True),
    (b"application/json", [], True),
    (b"application/problem+json", [], True),
    (b"image/svg+xml", [], True),
    (b"text/event-stream", [], True),
    (b"image/png", [], False),
    (b"application/zip", [], False),
    (b"text/css", [(b"content-encoding", b"gzip")], False),
    (b"text/css", [(b"content-encoding", b"identity")], True),
    (b"text/css", [(b"cache-control", b"public, No-Transform")], False),
    (b"text/css", [(b"cache-control", b"public")], True),
    (b"text/css", [(b"content-range", b"bytes 0-1/2")], False),
]


@pytest.mark.parametrize(("content_type", "others", "expected"), COMPRESSIBLE)
def test_what_is_compressible(content_type: bytes, others: list[tuple[bytes, bytes]], expected: bool) -> None:
    for fields in ([(b"content-type", content_type), *others], [*others, (b"content-type", content_type)]):
        assert is_compressible(fields) is expected
    assert not is_compressible(others)


@pytest.mark.parametrize(
    ("accept", "control", "expected"),
    [
        (None, None, None),
        (b"", None, None),
        (b"deflate", None, None),
        (b"gzip", None, b"gzip"),
        (b"br, gzip, zstd", None, b"zstd"),
        (b"br;q=1, gzip;q=0.5", None, b"br"),
        (b"gzip", b"no-transform", None),
        (b"gzip", b"max-age=0", b"gzip"),
    ],
)
def test_what_is_chosen(accept: bytes | None, control: bytes | None, expected: bytes | None) -> None:
    lines = b"" if accept is None else b"accept-encoding: " + accept + b"\r\n"
    lines += b"" if control is None else b"cache-control: " + control + b"\r\n"
    method = choose_method(parse(b"GET / HTTP/1.1\r\nhost: a\r\n" + lines + b"\r\n")[0])
    assert (method and method.coding.name) == expected


async def test_a_whole_answer_has_its_length(desk: Desk) -> None:
    stage, writer, peer = desk.stage()
    await stage.send(
        200, [*PLAIN, (b"etag", b'"a"'), (b"accept-ranges", b"bytes"), (b"repr-digest", b"x")], TEXT
    )
    head, body = await received(peer, writer)
    assert gzip.decompress(body) == TEXT
    assert b"content-length: %d" % len(body) in head
    assert b'etag: W/"a"' in head
    assert b"content-encoding: gzip\r\n" in head + b"\r\n"
    assert b"accept-ranges" not in head
    assert b"digest" not in head
    assert writer.finished
    assert writer.keep_alive


async def test_what_would_not_shrink_goes_as_it_is(desk: Desk) -> None:
    stage, writer, peer = desk.stage()
    noise = os.urandom(5000)
    await stage.send(200, PLAIN, noise)
    head, body = await received(peer, writer)
    assert body == noise
    assert b"content-encoding" not in head
    assert b"vary: accept-encoding" in head


@pytest.mark.parametrize("size", [0, 1023, 1024])
async def test_below_1_kib(desk: Desk, size: int) -> None:
    stage, writer, peer = desk.stage()
    await stage.send(200, PLAIN, b"x" * size)
    head, body = await received(peer, writer)
    assert (b"vary" in head) == (size >= 1024)
    assert (gzip.decompress(body) if size >= 1024 else body) == b"x" * size


@pytest.mark.parametrize("http10", [False, True])
@pytest.mark.parametrize("length", [None, len(TEXT) * 20])
async def test_pieces(desk: Desk, http10: bool, length: int | None) -> None:
    """The largest of them by turns, with room for others between."""
    stage, writer, peer = desk.stage(http10=http10)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while not writer.finished:
            turns += 1
            await trio.lowlevel.checkpoint()

    async def answer() -> None:
        stage.start(200, None, PLAIN, length)
        stage.write(TEXT * 10)
        assert not stage.has_room
        while not stage.has_room:
            await stage.wait(None)
        for _ in range(10):
            stage.write(TEXT)
        await stage.finish()
        writer.wire.end_sending()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        nursery.start_soon(answer)
        answered = await peer.receive_until_end()
    head, _, body = answered.partition(b"\r\n\r\n")
    assert b"content-length" not in head
    assert gzip.decompress(body if http10 else unchunked(body)) == TEXT * 20
    assert turns > len(TEXT) * 20 // 131072
    assert writer.keep_alive is not http10


async def test_each_piece_is_out_before_the_next(desk: Desk) -> None:
    stage, _, peer = desk.stage()
    stage.start(200, None, [(b"content-type", b"text/event-stream")], None)
    unpack = zlib.decompressobj(31)
    await peer_head(stage, peer)
    for number in range(5):
        stage.write(b"data: %d\n\n" % number)
        size = int((await until(peer, b"\r\n"))[:-2], 16)
        assert unpack.decompress((await peer.receive_exactly(size + 2))[:-2]) == b"data: %d\n\n" % number


async def peer_head(stage: Compression, peer: Peer) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.wait, None)
        await peer.receive_head()


async def until(peer: Peer, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += await peer.receive_exactly(1)
    return data


async def test_a_slow_client_slows_it_down(desk: Desk) -> None:
    stage, writer, peer = desk.stage(buffer=4096)
    data = os.urandom(40_000) * 10

    async def answer() -> None:
        await stage.send(200, PLAIN, data)
        writer.wire.end_sending()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        body = (await peer.receive_until_end()).partition(b"\r\n\r\n")[2]
    assert gzip.decompress(unchunked(body)) == data


@pytest.mark.parametrize("too_long", [False, True])
async def test_a_body_that_is_not_what_was_announced(desk: Desk, too_long: bool) -> None:
    stage, writer, peer = desk.stage()
    stage.start(200, None, PLAIN, 2000)
    stage.write(b"x" * (3000 if too_long else 1000))
    await stage.finish()
    assert writer.keep_alive is False
    if not too_long:
        assert not writer.finished
        with pytest.raises(WireClosed):
            await writer.wire.receive()
        return
    assert gzip.decompress(unchunked((await received(peer, writer))[1])) == b"x" * 2000


async def test_files_are_read_and_packed(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(TEXT * 10)
    stage, writer, peer = desk.stage()
    with path.open("rb") as file:
        stage.start(200, None, PLAIN, len(TEXT) * 10)
        assert await stage.send_file(file.fileno(), 0, 1000) == 1000
        assert await stage.send_file(file.fileno(), 1000, len(TEXT) * 10 - 1000) == len(TEXT) * 10 - 1000
        await stage.finish()
    assert gzip.decompress(unchunked((await received(peer, writer))[1])) == TEXT * 10
    stage, writer, peer = desk.stage()
    with path.open("rb") as file:
        stage.start(200, None, PLAIN, len(TEXT) * 20)
        assert await stage.send_file(file.fileno(), 0, len(TEXT) * 20) == len(TEXT) * 10


async def test_a_file_is_not_read_on_when_it_may_have_left_memory(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(TEXT)
    stage, _, _ = desk.stage()
    with path.open("rb") as file:
        stage.start(200, None, PLAIN, len(TEXT))
        monkeypatch.setattr("trivet_proxy.disk._FRESH", 0.0)
        assert await stage.send_file(file.fileno(), 0, len(TEXT)) == 0


@pytest.mark.parametrize("status", [200, 304])
@pytest.mark.parametrize("length", [None, 100, 5000])
async def test_head_says_what_get_would(desk: Desk, status: int, length: int | None) -> None:
    stage, writer, peer = desk.stage(b"HEAD")
    stage.start(status, None, PLAIN, length)
    stage.write(b"x")
    await stage.finish()
    head, body = await received(peer, writer)
    assert body == b""
    assert (b"content-encoding: gzip" in head) == (status == 200 and length != 100)
    assert (b"vary" in head) == (status == 304 or length != 100)
    assert (b"content-length: 100" in head) == (length == 100 and status == 200)
    assert writer.keep_alive


async def test_what_is_taken_back_leaves_nothing(desk: Desk) -> None:
    stage, writer, peer = desk.stage()
    stage.start(200, None, PLAIN, None)
    assert stage.take_back()
    stage.start(200, None, [(b"content-type", b"image/png")], 4)
    stage.write(b"PNG.")
    await stage.finish()
    head, body = await received(peer, writer)
    assert (b"content-encoding" in head, body) == (False, b"PNG.")


async def test_the_routes_shape_counts_and_comes_back(desk: Desk) -> None:
    _, writer, peer = desk.stage()
    shape = writer.shape = lambda headers: [*headers, (b"cache-control", b"no-transform")]

    async def inner(request: Any, stage: ResponseWriter) -> None:
        assert (stage.shape, writer.shape) == (shape, None)
        await stage.send(200, PLAIN, TEXT)

    request: Any = type(
        "Request", (), {"head": parse(b"GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n")[0]}
    )
    await compressing(inner)(request, writer)
    assert writer.shape is shape
    head, body = await received(peer, writer)
    assert body == TEXT
    assert b"cache-control: no-transform" in head


@pytest.mark.parametrize(
    ("vary", "expected"),
    [([], [b"accept-encoding"]), ([b"Cookie"], [b"Cookie", b"accept-encoding"]),
     ([b"Accept-Encoding, Cookie"], [b"Accept-Encoding, Cookie"]), ([b"*"], [b"*"])],
)  # fmt: skip
async def test_vary(desk: Desk, vary: list[bytes], expected: list[bytes]) -> None:
    stage, writer, peer = desk.stage()
    await stage.send(200, [*PLAIN, *((b"vary", value) for value in vary)], TEXT)
    head, _ = await received(peer, writer)
    assert [line[6:] for line in head.split(b"\r\n") if line.startswith(b"vary: ")] == expected


async def test_the_same_bytes_are_packed_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = PackedBodies()
    bodies = set()
    for _ in range(3):
        stage, writer, peer = desk.stage(kept=kept)
        await stage.send_ready(PLAIN, b"", TEXT)
        bodies.add((await received(peer, writer))[1])
    assert len(bodies) == 1
    assert repr(kept).startswith("<PackedBodies 1, ")
    monkeypatch.setattr(compression, "_KEPT", 100)
    kept.keep(b"gzip", b"x" * 90, b"y" * 5)
    assert kept.get(b"gzip", TEXT) is None
    assert kept.get(b"gzip", b"x" * 90) == b"y" * 5
    kept.keep(b"gzip", b"z" * 200, b"y")
    assert repr(kept) == "<PackedBodies 0, 0 bytes>"


async def test_above_a_size(desk: Desk) -> None:
    stage, writer, peer = desk.stage(largest=len(TEXT) - 1)
    await stage.send(200, PLAIN, TEXT)
    head, body = await received(peer, writer)
    assert (b"vary" in head, body) == (False, TEXT)
