"""What stands in for an application that cannot be imported, while it is being developed.

Owns the page with the traceback. Never used but by `serve --reload`: a traceback is nothing for strangers.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from trivet_backend.app_name import AppError
from trivet_backend.application import WsgiApplication

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; color: #222 }}
 body {{ margin: 2em auto; max-width: 60em; padding: 0 1em }}
 h1 {{ font-size: 1.3em }}
 pre {{ background: #f4f4f4; border-left: 4px solid #c33; padding: 1em; white-space: pre-wrap }}
 @media (prefers-color-scheme: dark) {{
  body {{ background: #1b1b1b; color: #ddd }}
  pre {{ background: #262626 }}
 }}
</style></head>
<body><h1>{title}</h1>
<pre>{trace}</pre>
<p>Mend the file, then load the page again.</p>
</body></html>
"""


def broken_page(error: AppError) -> WsgiApplication:
    """An application that answers everything with what is wrong: a page to browsers, text to others."""
    title, _, rest = str(error).partition("\n")
    text = f"{title}\n{rest}\n".encode("utf-8", "replace")
    page = _PAGE.format(title=escape(title), trace=escape(rest or title)).encode("utf-8", "replace")

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        wants_page = "text/html" in environ.get("HTTP_ACCEPT", "")
        body, kind = (page, "text/html") if wants_page else (text, "text/plain")
        headers = [
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ]
        start_response("500 Internal Server Error", headers)
        return [body]

    return application
