"""Where a body ends: decoders that take what arrives and give back the data, and what came after.

Knows neither head nor socket. Strict, bounded and linear: chunk extensions and trailers are checked and thrown away,
no byte is looked at twice, however small the pieces are.
"""

from enum import Enum

from . import grammar
from .errors import HttpError, Source
from .reasons import refuse

CHUNK_END = b"\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_MOST_EXTENSION = 4 * 1024  # a request; CVE-2024-22019 sent gigabytes
_MOST_OVERHEAD = 16 * 1024  # Go net/http's bound for CVE-2023-39326, and its rule below
_LONGEST_TRAILERS = 8 * 1024
_MOST_TRAILERS = 100
_LARGEST = 2**63 - 1
# A hop that honoured these after the body would frame or route what it has already read.
_NO_TRAILERS = frozenset({b"content-length", b"transfer-encoding", b"host"})

Data = bytes | memoryview


def chunk_head(size: int) -> bytes:
    """The line before `size` (> 0) bytes of data, which CHUNK_END follows."""
    return b"%x\r\n" % size


def encode_chunk(data: bytes) -> bytes:
    """`data` as one chunk; nothing for nothing, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class Body:
    """What all decoders have in common. `feed` gives the data of what arrived; after the end, `rest` has what follows."""

    __slots__ = ("is_complete", "rest", "source")

    def __init__(self, source: Source = Source.CLIENT) -> None:
        self.is_complete = False
        self.rest = b""
        self.source = source

    @property
    def remaining(self) -> int | None:
        """How many bytes of data are still to come, where that is known."""
        return None

    def feed(self, data: Data) -> bytes:
        """The decoded bytes of this piece, b"" when it held none; raises HttpError."""
        raise NotImplementedError

    def eof(self) -> None:
        """The peer sent its last byte: HttpError unless the body may end here."""
        if not self.is_complete:
            raise self._error("bad_body:truncated")

    def _error(self, why: str, detail: str = "") -> HttpError:
        """From an upstream every flaw is one reason, told apart by its sentence."""
        error = refuse(why, detail)
        if self.source is Source.UPSTREAM and error.status == 400:
            return refuse("upstream_bad", error.detail)
        return error


class NoBody(Body):
    """Complete from the start; everything fed belongs to what follows."""

    __slots__ = ()

    def __init__(self, source: Source = Source.CLIENT) -> None:
        super().__init__(source)
        self.is_complete = True

    def __repr__(self) -> str:
        return "<NoBody>"

    @property
    def remaining(self) -> int | None:
        return 0

    def feed(self, data: Data) -> bytes:
        self.rest += bytes(data)
        return b""


class Counted(Body):
    """Content-Length."""

    __slots__ = ("_left",)

    def __init__(self, length: int, *, limit: int | None = None, source: Source = Source.CLIENT) -> None:
        super().__init__(source)
        if limit is not None and length > limit:
            raise self._error("too_large", f"Content-Length is {length}, the limit {limit} bytes.")
        self._left = length
        self.is_complete = not length

    def __repr__(self) -> str:
        return f"<Counted {self._left} to come>"

    @property
    def remaining(self) -> int | None:
        return self._left

    def feed(self, data: Data) -> bytes:
        if len(data) <= self._left and not self.is_complete:
            self._left -= len(data)
            self.is_complete = not self._left
            return bytes(data)
        left, self._left = self._left, 0
        self.is_complete = True
        self.rest += bytes(data[left:])
        return bytes(data[:left])


class UntilClose(Body):
    """A response without a length: the connection's end is its end (RFC 9112, 6.3, rule 8). No request has this."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<UntilClose {'ended' if self.is_complete else 'open'}>"

    def feed(self, data: Data) -> bytes:
        return bytes(data)

    def eof(self) -> None:
        self.is_complete = True


class _At(Enum):
    """What the next byte of a chunked body belongs to."""

    SIZE = "size"
    EXTENSION = "extension"
    SIZE_LF = "LF of the size line"
    DATA = "data"
    DATA_CR = "CR after data"
    DATA_LF = "LF after data"
    TRAILER = "trailer"
    TRAILER_LF = "LF of a trailer"
    END = "end"


class Chunked(Body):
    """Transfer-Encoding: chunked (RFC 9112, 7.1). `limit` bounds the data, in bytes, all chunks together."""

    __slots__ = (
        "_at",
        "_chunk_left",
        "_extension",
        "_limit",
        "_line",
        "_overhead",
        "_total",
        "_trailer_bytes",
        "_trailers",
    )

    def __init__(self, *, limit: int | None = None, source: Source = Source.CLIENT) -> None:
        super().__init__(source)
        # For the body.
        self._limit = _LARGEST if limit is None else limit
        self._total = 0
        self._extension = 0  # bytes of extensions so far
        self._overhead = 0  # bytes of chunk lines beyond what the data excuses
        self._trailers = 0
        self._trailer_bytes = 0
        # For this chunk or line.
        self._at = _At.SIZE
        self._chunk_left = 0
        self._line = bytearray()

    def __repr__(self) -> str:
        return f"<Chunked at {self._at.value}, {self._total} bytes announced>"

    def feed(self, data: Data) -> bytes:
        data = bytes(data)
        pieces: list[bytes] = []
        position, size = 0, len(data)
        while position < size:
            if self._at is _At.SIZE and not self._line:
                position = self._whole_chunks(data, position, pieces)
                if position == size:
                    break
            if self._at is _At.END:
                self.rest += data[position:]
                break
            position = self._STEPS[self._at](self, data, position, pieces)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _whole_chunks(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """The common case: chunks that lie in `data` with size line and end; stops before the first that does not."""
        while (found := grammar.match_chunk_head(data, position)) is not None:
            size, start = int(found[1], 16), found.end()
            end = start + size
            if not size or data[end : end + 2] != CHUNK_END:
                break
            self._count_chunk(size, start - position)
            pieces.append(data[start:end])
            position = end + 2
        return position

    def _size(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """Digits, refused at the first byte that is none: nobody waits for the end of a line of rubbish."""
        found = grammar.match_hex(data, position)
        end = found.end() if found else position
        if len(self._line) + end - position > 16:
            raise self._error("bad_body:chunk_size")
        self._line += data[position:end]
        if end == len(data):
            return end
        if not self._line or data[end] not in b";\r":
            raise self._error("bad_body:chunk_size")
        self._chunk_left = int(self._line, 16)
        if data[end] == 0x0D:
            return self._size_line_ended(end)
        self._line.clear()
        self._overhead += end - position
        self._at = _At.EXTENSION
        return end

    def _extension_bytes(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        end, has_ended = self._collect(data, position)
        self._extension += end - position
        if self._extension > _MOST_EXTENSION:
            raise self._error(
                "bad_body:chunk_overhead", f"More than {_MOST_EXTENSION} bytes of chunk extensions."
            )
        if not has_ended:
            return end
        if not grammar.is_chunk_extension(self._line):
            raise self._error("bad_body:chunk_extension")
        return self._size_line_ended(end)

    def _size_line_ended(self, position: int) -> int:
        self._count_chunk(self._chunk_left, len(self._line) + 2)
        self._line.clear()
        self._at = _At.SIZE_LF
        return position + 1

    def _size_lf(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        self._at = _At.DATA if self._chunk_left else _At.TRAILER
        return self._expect(data, position, 0x0A, "bad_body:line_end")

    def _data(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        piece = data[position : position + self._chunk_left]
        pieces.append(piece)
        self._chunk_left -= len(piece)
        if not self._chunk_left:
            self._at = _At.DATA_CR
        return position + len(piece)

    def _data_cr(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        self._at = _At.DATA_LF
        return self._expect(data, position, 0x0D, "bad_body:chunk_end")

    def _data_lf(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        self._at = _At.SIZE
        return self._expect(data, position, 0x0A, "bad_body:chunk_end")

    def _trailer(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        end, has_ended = self._collect(data, position)
        self._trailer_bytes += end - position
        if self._trailer_bytes > _LONGEST_TRAILERS:
            raise self._error("bad_body:trailer_big")
        if not has_ended:
            return end
        self._at = _At.TRAILER_LF
        return end + 1

    def _trailer_lf(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        position = self._expect(data, position, 0x0A, "bad_body:line_end")
        line = bytes(self._line)
        self._line.clear()
        if not line:
            self._at = _At.END
            self.is_complete = True
            return position
        self._at = _At.TRAILER
        self._judge_trailer(line)
        return position

    _STEPS = {
        _At.SIZE: _size,
        _At.EXTENSION: _extension_bytes,
        _At.SIZE_LF: _size_lf,
        _At.DATA: _data,
        _At.DATA_CR: _data_cr,
        _At.DATA_LF: _data_lf,
        _At.TRAILER: _trailer,
        _At.TRAILER_LF: _trailer_lf,
    }

    def _collect(self, data: bytes, position: int) -> tuple[int, bool]:
        """Add to the line up to its CR; a bare LF is an error (CVE-2025-22871). Says whether the CR was there."""
        found = grammar.find_cr_or_lf(data, position)
        end = found.start() if found else len(data)
        self._line += data[position:end]
        if found and found[0] == b"\n":
            raise self._error("bad_body:line_end")
        return end, found is not None

    def _expect(self, data: bytes, position: int, byte: int, why: str) -> int:
        if data[position] != byte:
            raise self._error(why)
        return position + 1

    def _judge_trailer(self, line: bytes) -> None:
        """Checked although it is dropped: a malformed one means that we and the sender disagree about the framing."""
        name, colon, value = line.partition(b":")
        self._trailers += 1
        if self._trailers > _MOST_TRAILERS:
            raise self._error("bad_body:trailer_big")
        if not colon or not grammar.is_token(name) or value.translate(None, grammar.FIELD_VALUE_BYTES):
            raise self._error("bad_body:trailer")
        if name.lower() in _NO_TRAILERS:
            raise self._error("bad_body:trailer", f"{name.decode('ascii')} may not be a trailer.")

    def _count_chunk(self, size: int, line: int) -> None:
        """Go's rule: a chunk excuses 16 bytes of its own overhead and two for each byte of data."""
        self._total += size
        if self._total > self._limit:
            raise self._error(
                "too_large", f"The chunks announce {self._total} bytes, the limit is {self._limit}."
            )
        self._overhead = max(self._overhead + line + 2 - 16 - 2 * size, 0)
        if self._overhead > _MOST_OVERHEAD:
            raise self._error("bad_body:chunk_overhead")
