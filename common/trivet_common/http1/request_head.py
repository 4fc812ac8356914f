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

    def again(self, method: bytes, target: bytes, path: bytes, query: bytes) -> "RequestHead":
        """Another request with the same fields, of the common form: its raw path is its path."""
        head = RequestHead.__new__(RequestHead)  # setting defaults first took as long again
        head.method = method
        head.target = target
        head.raw_path = head.path = path
        head.query = query
        head.is_http10 = self.is_http10
        head.headers = self.headers
        head.host = self.host
        head.authority = self.authority
        head.content_length = self.content_length
        head.chunked = self.chunked
        head.keep_alive = self.keep_alive
        head.expects_continue = self.expects_continue
        head.upgrade = self.upgrade
        head.hop_by_hop = self.hop_by_hop
        head.dropped = self.dropped
        head.found = self.found
        return head

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.content_length)

    def get(self, name: bytes) -> bytes | None:
        """The value of the first field of that (lower-case) name."""
        for found, value in self.headers:
            if found == name:
                return value
        return None
