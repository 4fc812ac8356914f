"""The one exception of HTTP: what is answered, whose fault it is, and why.

Knows no table of reasons (reasons.py) and no error page. Raised anywhere, turned into a reply only in each
program's connection.py.
"""

from enum import Enum

Headers = tuple[tuple[bytes, bytes], ...]


class Source(Enum):
    """Whose fault it is: decides the log level and whether an upstream is counted as failing."""

    CLIENT = "client"
    UPSTREAM = "upstream"
    US = "us"


class HttpError(Exception):
    """A request ends with `status` because of `why`; `detail` is a sentence for the log and the error page.

    `retry`: nobody can have acted on the request yet, so it may be sent again. `headers`: fields the reply
    must carry (Allow, Retry-After), names in lower case.
    """

    def __init__(
        self,
        status: int,
        why: str,
        source: Source,
        detail: str = "",
        *,
        retry: bool = False,
        headers: Headers = (),
    ) -> None:
        super().__init__(status, why, source, detail)
        self.status = status
        self.why = why
        self.source = source
        self.detail = detail
        self.retry = retry
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status} why={self.why} ({self.source.value}): {self.detail}"

    def __repr__(self) -> str:
        return f"<HttpError {self.status} {self.why} by {self.source.value}>"
