"""What all body decoders have in common, and the two that need no arithmetic. Knows no head and no socket."""

from collections.abc import Sequence

from .cutting import Field
from .errors import HttpError, Source
from .reasons import refuse

Data = bytes | memoryview


class Body:
    """`feed` gives the data of what arrived; once `is_complete`, `rest` has the bytes of the next message."""

    __slots__ = ("is_complete", "rest", "source")

    trailers: "Sequence[Field]" = ()

    def __init__(self, source: Source = Source.CLIENT) -> None:
        self.is_complete = False
        self.rest = b""
        self.source = source

    def feed(self, data: Data) -> bytes:
        """The decoded bytes of this piece, b"" when it held none; raises HttpError."""
        raise NotImplementedError

    def eof(self) -> None:
        """The peer sent its last byte: HttpError unless the body may end here."""
        if not self.is_complete:
            raise self._error("bad_body:truncated")

    def _error(self, why: str, detail: str = "") -> HttpError:
        """From an upstream every flaw has one reason; its sentence tells them apart."""
        error = refuse(why, detail)
        return refuse("upstream_bad", error.detail) if self.source is Source.UPSTREAM else error


class NoBody(Body):
    """Complete from the start; everything fed belongs to what follows."""

    __slots__ = ()

    def __init__(self, source: Source = Source.CLIENT) -> None:
        super().__init__(source)
        self.is_complete = True

    def __repr__(self) -> str:
        return "<NoBody>"

    def feed(self, data: Data) -> bytes:
        self.rest += bytes(data)
        return b""


class UntilClose(Body):
    """A response without a length ends where its connection does (RFC 9112, 6.3, rule 8); no request does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<UntilClose {'ended' if self.is_complete else 'open'}>"

    def feed(self, data: Data) -> bytes:
        return bytes(data)

    def eof(self) -> None:
        self.is_complete = True
