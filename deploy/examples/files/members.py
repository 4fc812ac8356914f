"""Decides who may see a file, and lets the proxy send it: the worker is free at once."""

from collections.abc import Callable, Iterable
from typing import Any

_PAGE = b"""<!doctype html><title>Members</title>
<p><a href="/downloads/">Downloads</a> &middot; <a href="/app/orders/7">The application's page</a></p>
<p><a href="/report?member=yes">A report for members</a> &middot; <a href="/report">... and for others</a></p>
"""


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] != "/report":
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [_PAGE]
    if "member=yes" not in environ["QUERY_STRING"]:  # a real one looks at the session
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"For members only.\n"]
    start_response(
        "200 OK",
        [
            ("X-Accel-Redirect", "/members-files/report.txt"),
            ("Content-Disposition", "attachment; filename=report.txt"),
        ],
    )
    return []
