import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable
from importlib import reload

import brotli
import pytest
import zstandard

from trivet_proxy import encoders
from trivet_proxy.encoders import METHODS, Method

TEXT = "".join(f"line {number}: the quick brown fox\n" for number in range(5000)).encode()


def unzstd(data: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as reader:
        return reader.read()


UNPACK = {b"gzip": gzip.decompress, b"br": brotli.decompress, b"zstd": unzstd}


def in_pieces(name: bytes) -> Callable[[bytes], bytes]:
    if name == b"gzip":
        return zlib.decompressobj(31).decompress
    if name == b"zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress
    stream = brotli.Decompressor()

    def read(data: bytes) -> bytes:
        """It gives a window at a time."""
        return bytes(stream.process(data)) + b"".join(iter(lambda: stream.process(b""), b""))

    return read


def test_all_of_them_are_here() -> None:
    assert [method.coding.name for method in METHODS] == [b"zstd", b"gzip", b"br"]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.coding.name.decode())
@pytest.mark.parametrize("size", [1, 7, 1000, 16384, 100_000])
def test_each_piece_can_be_read_at_once(method: Method, size: int) -> None:
    encoder, read = method.start(), in_pieces(method.coding.name)
    packed = b""
    for at in range(0, min(len(TEXT), size * 100), size):
        piece = TEXT[at : at + size]
        out = encoder.encode(memoryview(piece))
        assert read(out) == piece
        packed += out
    packed += encoder.end()
    assert UNPACK[method.coding.name](packed) == TEXT[: size * 100]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.coding.name.decode())
def test_at_once(method: Method) -> None:
    for body in (TEXT, TEXT[:1024], os.urandom(5000), b""):
        assert UNPACK[method.coding.name](method.pack(body)) == body
    assert len(method.pack(TEXT)) < len(TEXT) / 3


def test_without_libraries_there_is_gzip(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("brotli", "zstandard", "isal", "isal.isal_zlib"):
        monkeypatch.setitem(sys.modules, name, None)
    try:
        reload(encoders)
        (method,) = encoders.METHODS
        assert gzip.decompress(method.pack(TEXT)) == TEXT
        encoder = method.start()
        assert gzip.decompress(encoder.encode(TEXT) + encoder.end()) == TEXT
    finally:
        monkeypatch.undo()
        reload(encoders)
