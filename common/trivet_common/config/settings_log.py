"""Where the requests of a route are noted. Plain frozen data."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RouteLog:
    """`file`: "stdout", "stderr" or a path; None: the site's access log. `is_masked`: no whole addresses."""

    is_on: bool = True
    file: str | Path | None = None
    is_masked: bool = False
