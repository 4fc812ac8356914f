"""The chunked coding (RFC 9112, 7.1): its decoder and its writers.

Knows no head and no socket. Extensions are checked, bounded and thrown away; trailers are kept. No byte is
looked at twice, and every fault is found at the byte that makes it one, however the pieces are cut.
"""

from collections.abc import Callable, Iterable
from enum import Enum

from . import grammar
from .body import Body, Data
from .cutting import OWS, Field
from .errors import Source

CHUNK_END = b"\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_MOST_EXTENSION = 4 * 1024  # bytes a request; CVE-2024-22019 sent gigabytes
_MOST_OVERHEAD = 16 * 1024  # bytes; Go net/http's bound and rule for CVE-2023-39326
_LONGEST_TRAILERS = 8 * 1024
_MOST_TRAILERS = 100
_LONGEST_SIZE = 16  # digits, leading zeros among them
_LARGEST = 2**63 - 1
# A hop that honoured these after the body would frame or route what it has already read.
_NO_TRAILERS = frozenset({b"content-length", b"transfer-encoding", b"host"})

_CR, _LF, _SEMICOLON = 0x0D, 0x0A, 0x3B


def chunk_head(size: int) -> bytes:
    """The line before `size` (> 0) bytes of data, which CHUNK_END follows."""
    return b"%x\r\n" % size


def last_chunk(trailers: Iterable[Field]) -> bytes:
    """The end of a body, and these behind it; ValueError when a value would split them."""
    lines = [b"%b: %b\r\n" % field for field in trailers]
    end = b"".join((b"0\r\n", *lines, b"\r\n"))
    if end.count(b"\n") != len(lines) + 2 or end.count(b"\r") != len(lines) + 2:
        raise ValueError("a trailer holds CR or LF")
    return end


def encode_chunk(data: bytes) -> bytes:
    """`data` as one chunk; nothing for nothing, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class _At(Enum):
    """What the next byte belongs to."""

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
    """`limit` bounds the data, in bytes, of all chunks together."""

    __slots__ = (
        "_at",
        "_extension",
        "_left",
        "_limit",
        "_line",
        "_overhead",
        "_total",
        "_trailer_bytes",
        "trailers",
    )

    def __init__(self, *, limit: int | None = None, source: Source = Source.CLIENT) -> None:
        super().__init__(source)
        # For the body.
        self._limit = _LARGEST if limit is None else limit
        self._total = 0  # bytes of data announced
        self._extension = 0  # bytes of extensions
        self._overhead = 0  # bytes of chunk lines beyond what the data excuses
        self.trailers: list[Field] = []  # names in lower case
        self._trailer_bytes = 0
        # For this chunk or line.
        self._at = _At.SIZE
        self._left = 0
        self._line = bytearray()

    def __repr__(self) -> str:
        return f"<Chunked at {self._at.value}, {self._total} bytes announced>"

    def feed(self, data: Data) -> bytes:
        data = bytes(data)
        pieces: list[bytes] = []
        position = 0
        while position < len(data):
            if self._at is _At.SIZE and not self._line:
                position = self._take_whole_chunks(data, position, pieces)
                if position == len(data):
                    break
            if self._at is _At.END:
                self.rest += data[position:]
                break
            if self._at is _At.DATA:
                position = self._take_data(data, position, pieces)
            else:
                position = _STEPS[self._at](self, data, position)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_whole_chunks(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """The ordinary case: chunks complete in `data`, without extensions. Stops before any other one."""
        while (found := grammar.match_chunk_head(data, position)) is not None:
            size, start = int(found[1], 16), found.end()
            end = start + size
            if not size or data[end : end + 2] != CHUNK_END:
                break
            self._count_chunk(size, len(found[1]))
            pieces.append(data[start:end])
            position = end + 2
        return position

    def _take_data(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        piece = data[position : position + self._left]
        pieces.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._at = _At.DATA_CR
        return position + len(piece)

    def _take_size(self, data: bytes, position: int) -> int:
        """Digits. Refused at the first byte that is none: nobody waits for the end of a line of rubbish."""
        end = grammar.skip_hex(data, position)
        if len(self._line) + end - position > _LONGEST_SIZE:
            raise self._error("bad_body:chunk_size")
        self._line += data[position:end]
        if end == len(data):
            return end
        if not self._line or data[end] not in (_CR, _SEMICOLON):
            raise self._error("bad_body:chunk_size")
        self._left = int(self._line, 16)
        self._count_chunk(self._left, len(self._line))
        self._line.clear()
        if data[end] == _SEMICOLON:
            self._at = _At.EXTENSION
            return end
        self._at = _At.SIZE_LF
        return end + 1

    def _take_extension(self, data: bytes, position: int) -> int:
        end = self._take_line(data, position)
        self._extension += end - position
        if self._extension > _MOST_EXTENSION:
            raise self._error("bad_body:chunk_overhead", f"More than {_MOST_EXTENSION} bytes of extensions.")
        if end == len(data):
            return end
        self._expect(data, end, _CR, "bad_body:line_end")
        if not grammar.is_chunk_extension(self._line):
            raise self._error("bad_body:chunk_extension")
        self._line.clear()
        self._at = _At.SIZE_LF
        return end + 1

    def _take_size_lf(self, data: bytes, position: int) -> int:
        self._at = _At.DATA if self._left else _At.TRAILER
        return self._expect(data, position, _LF, "bad_body:line_end")

    def _take_data_cr(self, data: bytes, position: int) -> int:
        self._at = _At.DATA_LF
        return self._expect(data, position, _CR, "bad_body:chunk_end")

    def _take_data_lf(self, data: bytes, position: int) -> int:
        self._at = _At.SIZE
        return self._expect(data, position, _LF, "bad_body:chunk_end")

    def _take_trailer(self, data: bytes, position: int) -> int:
        end = self._take_line(data, position)
        self._trailer_bytes += end - position
        if self._trailer_bytes > _LONGEST_TRAILERS:
            raise self._error("bad_body:trailer_big")
        if end == len(data):
            return end
        self._at = _At.TRAILER_LF
        return self._expect(data, end, _CR, "bad_body:line_end")

    def _take_trailer_lf(self, data: bytes, position: int) -> int:
        position = self._expect(data, position, _LF, "bad_body:line_end")
        line = bytes(self._line)
        self._line.clear()
        self._at = _At.TRAILER if line else _At.END
        self.is_complete = not line
        if line:
            self._judge_trailer(line)
        return position

    def _take_line(self, data: bytes, position: int) -> int:
        """Add to the line what comes before the next CR or LF; a bare LF is then refused (CVE-2025-22871)."""
        found = grammar.find_cr_or_lf(data, position)
        end = found.start() if found else len(data)
        self._line += data[position:end]
        return end

    def _expect(self, data: bytes, position: int, byte: int, why: str) -> int:
        if data[position] != byte:
            raise self._error(why)
        return position + 1

    def _judge_trailer(self, line: bytes) -> None:
        """Checked whoever wants them: after a malformed one the sender and we disagree about the framing."""
        name, colon, value = line.partition(b":")
        if len(self.trailers) >= _MOST_TRAILERS:
            raise self._error("bad_body:trailer_big")
        if not colon or not grammar.is_token(name) or value.translate(None, grammar.FIELD_VALUE_BYTES):
            raise self._error("bad_body:trailer")
        if name.lower() in _NO_TRAILERS:
            raise self._error("bad_body:trailer", f"{name.decode('ascii')} may not be a trailer.")
        self.trailers.append((name.lower(), value.strip(OWS)))

    def _count_chunk(self, size: int, digits: int) -> None:
        """Go's rule: a chunk excuses 16 bytes of its own lines, and two for each byte of data."""
        self._total += size
        if self._total > self._limit:
            raise self._error(
                "too_large", f"The chunks announce {self._total} bytes, the limit is {self._limit}."
            )
        self._overhead = max(self._overhead + digits + 4 - 16 - 2 * size, 0)
        if self._overhead > _MOST_OVERHEAD:
            raise self._error("bad_body:chunk_overhead")


_STEPS: dict[_At, Callable[[Chunked, bytes, int], int]] = {
    _At.SIZE: Chunked._take_size,
    _At.EXTENSION: Chunked._take_extension,
    _At.SIZE_LF: Chunked._take_size_lf,
    _At.DATA_CR: Chunked._take_data_cr,
    _At.DATA_LF: Chunked._take_data_lf,
    _At.TRAILER: Chunked._take_trailer,
    _At.TRAILER_LF: Chunked._take_trailer_lf,
}
