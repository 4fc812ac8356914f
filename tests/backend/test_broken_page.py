"""The page that says what is wrong with an application under development."""

from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from trivet_backend.app_name import AppError
from trivet_backend.broken_page import broken_page

ERROR = AppError("app: importing shop failed: SyntaxError: <x>", "shop.py:3", "Traceback:\n  <module> & more")


def ask(accept: str | None) -> tuple[str, dict[str, str], bytes]:
    said: list[Any] = []
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    environ["QUERY_STRING"] = ""
    if accept is not None:
        environ["HTTP_ACCEPT"] = accept
    response = validator(broken_page(ERROR))(environ, lambda *args: said.append(args) or len)
    body = b"".join(response)
    response.close()  # type: ignore[attr-defined]
    status, headers = said[0][:2]
    return status, dict(headers), body


def test_a_browser_sees_a_page_with_everything_escaped() -> None:
    status, headers, body = ask("text/html,application/xhtml+xml")
    assert status.startswith("500 ")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert b"SyntaxError: &lt;x&gt;" in body
    assert b"&lt;module&gt; &amp; more" in body
    assert b"<x>" not in body


@pytest.mark.parametrize("accept", [None, "*/*"])
def test_curl_sees_text(accept: str | None) -> None:
    status, headers, body = ask(accept)
    assert status.startswith("500 ")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert body.decode().splitlines()[:2] == [ERROR.text, "hint: shop.py:3"]


def test_an_error_of_one_line_is_a_page_too() -> None:
    said: list[Any] = []
    (body,) = broken_page(AppError("app: no"))({"HTTP_ACCEPT": "text/html"}, lambda *args: said.append(args))
    assert b"<pre>app: no</pre>" in body
