"""A request as everybody behind the gate sees it. Knows no rules: request.py fills it in."""

from typing import Any

from .cutting import Field


class RequestHead:
    """Header names are in lower case, values without outer whitespace."""

    __slots__ = (
        "authority",
        "chunked",
        "content_length",
        "dropped",
        "expects_continue",
        "found",
        "headers",
        "hop_by_hop",
        "host",
        "is_http10",
        "keep_alive",
        "method",
        "path",
        "query",
        "raw_path",
        "target",
        "upgrade",
    )

    def __init__(
        self, method: bytes, target: bytes, raw_path: bytes, path: bytes, query: bytes, is_http10: bool
    ) -> None:
        # From the request line.
        self.method = method
        self.target = target  # origin form, as received but for characters that no URI has, which are encoded
        self.raw_path = raw_path  # the target before "?"
        self.path = path  # decoded, slashes merged: the one form for matching and for files
        self.query = query
        self.is_http10 = is_http10
        # From the fields.
        self.headers: list[Field] = []
        self.host = ""  # in lower case, without port; "" only for HTTP/1.0 without Host
        self.authority = b""  # host[:port], to be sent on
        self.content_length: int | None = None
        self.chunked = False
        self.keep_alive = not is_http10
        self.expects_continue = False  # there is a body, and the client waits for our 100
        self.upgrade: bytes | None = (
            None  # the protocol asked for, in lower case; never on a request with a body
        )
        self.hop_by_hop: frozenset[bytes] = frozenset()  # named by Connection, beyond fields.HOP_BY_HOP
        self.dropped: list[bytes] = []  # names taken out of `headers`, for the log
        # What was found out from `headers` alone, by name, where other requests share them; else None.
        self.found: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<RequestHead {self}>"

    def __str__(self) -> str:
        """For the error log."""
        return f"{self.method.decode()} {self.host}{self.target.decode()}"

    def take_fields(self, other: "RequestHead") -> None:
        """Those of a request that had the same ones."""
        self.headers = other.headers
        self.host = other.host
        self.authority = other.authority
        self.content_length = other.content_length
        self.chunked = other.chunked
        self.keep_alive = other.keep_alive
        self.expects_continue = other.expects_continue
        self.upgrade = other.upgrade
        self.hop_by_hop = other.hop_by_hop
        self.found = other.found

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.content_length)

    def get(self, name: bytes) -> bytes | None:
        """The value of the first field of that (lower-case) name."""
        for found, value in self.headers:
            if found == name:
                return value
        return None
