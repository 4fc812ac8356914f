"""Where a body ends: the decoders, one shape for all of them.

A decoder takes what arrives and gives back the data, and what came after the end. Strict, bounded and linear.
"""

from .body import Body, Data, NoBody, UntilClose
from .chunked import CHUNK_END, LAST_CHUNK, Chunked, chunk_head, encode_chunk, last_chunk
from .errors import Source

__all__ = [
    "CHUNK_END",
    "LAST_CHUNK",
    "Body",
    "Chunked",
    "Counted",
    "NoBody",
    "UntilClose",
    "chunk_head",
    "encode_chunk",
    "last_chunk",
]


class Counted(Body):
    """Content-Length (RFC 9112, 6.2)."""

    __slots__ = ("_left",)

    def __init__(self, length: int, *, limit: int | None = None, source: Source = Source.CLIENT) -> None:
        super().__init__(source)
        if limit is not None and length > limit:
            raise self._error("too_large", f"Content-Length is {length}, the limit {limit} bytes.")
        self._left = length
        self.is_complete = not length

    def __repr__(self) -> str:
        return f"<Counted {self._left} to come>"

    def feed(self, data: Data) -> bytes:
        data = bytes(data)
        left = self._left
        if len(data) > left:
            self.rest += data[left:]
            data = data[:left]
        self._left = left - len(data)
        self.is_complete = not self._left
        return data
