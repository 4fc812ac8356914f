"""What compresses an answer on its way: gzip; Zstandard and Brotli where their libraries are installed.

Owns levels and windows, chosen so that one answer needs less than 256 KiB however long it is. Knows no HTTP
but the names of codings.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from .codings import CODINGS, Coding


class Encoder(Protocol):
    """One body."""

    def encode(self, piece: bytes | memoryview) -> bytes:
        """The piece whole: who reads what was returned so far reads all of it."""

    def end(self) -> bytes: ...


class Method(NamedTuple):
    coding: Coding
    start: Callable[[], Encoder]  # for a body of any length, in pieces
    pack: Callable[[bytes], bytes]  # for a small one, at once


class _Deflate:
    """zlib's interface, which others have as well."""

    __slots__ = ("_flush", "_stream")

    def __init__(self, library: Any, level: int, memory: int) -> None:
        self._stream = library.compressobj(level, library.DEFLATED, 31, memory)  # 31: with gzip's head
        self._flush = library.Z_SYNC_FLUSH

    def encode(self, piece: bytes | memoryview) -> bytes:
        return self._stream.compress(piece) + self._stream.flush(self._flush)  # type: ignore[no-any-return]

    def end(self) -> bytes:
        return self._stream.flush()  # type: ignore[no-any-return]


# What Zstandard and Brotli are given at a time: their buffers are several times that. Zstandard's output is
# as small as with blocks of twice as much.
_MORSEL = 16 * 1024


class _Zstandard:
    __slots__ = ("_stream",)

    def __init__(self, library: Any, parameters: Any) -> None:
        # Not a compressobj, which has 128 KiB for what comes out.
        self._stream = library.ZstdCompressor(compression_params=parameters).chunker(chunk_size=_MORSEL)

    def encode(self, piece: bytes | memoryview) -> bytes:
        stream, parts = self._stream, []
        for at in range(0, len(piece), _MORSEL):
            parts += stream.compress(piece[at : at + _MORSEL])
            parts += stream.flush()
        return b"".join(parts)

    def end(self) -> bytes:
        return b"".join(self._stream.finish())


class _Brotli:
    __slots__ = ("_stream",)

    def __init__(self, library: Any) -> None:
        # Above this quality the tables of one stream are from 400 KiB to 2 MiB, whatever the window.
        self._stream = library.Compressor(quality=1, lgwin=16)

    def encode(self, piece: bytes | memoryview) -> bytes:
        stream = self._stream
        parts = [stream.process(piece[at : at + _MORSEL]) for at in range(0, len(piece), _MORSEL)]
        return b"".join([*parts, stream.flush()])

    def end(self) -> bytes:
        return self._stream.finish()  # type: ignore[no-any-return]


def _gzip() -> Method:
    """ISA-L, where it is installed, at its best: four times as fast as zlib, for 10 % more bytes."""
    coding = CODINGS[-1]
    try:
        isal = import_module("isal.isal_zlib")
    except ImportError:
        return Method(coding, lambda: _Deflate(zlib, 5, 7), lambda body: _whole(_Deflate(zlib, 5, 7), body))
    return Method(coding, lambda: _Deflate(isal, 3, 8), lambda body: _whole(_Deflate(isal, 3, 8), body))


def _whole(encoder: _Deflate, body: bytes) -> bytes:
    stream = encoder._stream
    return stream.compress(body) + stream.flush()  # type: ignore[no-any-return]


def _zstandard() -> Method | None:
    try:
        library = import_module("zstandard")
    except ImportError:
        return None
    parameters = library.ZstdCompressionParameters.from_level(
        3, window_log=15, hash_log=12, chain_log=12, write_content_size=False
    )
    pack = library.ZstdCompressor(level=3).compress
    return Method(CODINGS[1], lambda: _Zstandard(library, parameters), pack)


def _brotli() -> Method | None:
    try:
        library = import_module("brotli")
    except ImportError:
        return None
    return Method(
        CODINGS[0], lambda: _Brotli(library), lambda body: library.compress(body, quality=5, lgwin=16)
    )


# The best first, among those that a client likes equally: of what is compressed for one answer, Zstandard is
# as small as gzip for the least work, and Brotli within these bounds of memory is larger than both.
METHODS = tuple(method for method in (_zstandard(), _gzip(), _brotli()) if method is not None)
