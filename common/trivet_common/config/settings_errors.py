"""What a route answers in the place of an error, and while its site is being worked on. Plain frozen data."""

from dataclasses import dataclass
from pathlib import Path

from .addresses import TrustedProxies


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """For one `status`, or for the rest of a class (4: 4xx, 5: 5xx). Neither `file` nor `json`: Trivet's own.

    `json` is a text with PAGE_PLACEHOLDERS. `intercept`: answers of the pool or upstream are replaced too.
    """

    status: int
    file: Path | None = None
    json: str | None = None
    intercept: bool = False


@dataclass(frozen=True, slots=True)
class Maintenance:
    """503 while there is a file `when`; `page` None: Trivet's own. `retry_after` in seconds."""

    when: Path
    page: Path | None = None
    except_: TrustedProxies | None = None
    retry_after: float | None = 300.0


# What pages may have put in. `reason` is the phrase of the status, `why` the word of docs/http.md.
PAGE_PLACEHOLDERS = ("status", "reason", "why", "request_id")
# A page is kept in memory by every proxy process.
LARGEST_PAGE = 1024 * 1024
