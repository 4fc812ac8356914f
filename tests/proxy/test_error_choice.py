"""Pages by status, then by class, with what is put into them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trivet_common.config.settings_errors import LARGEST_PAGE, ErrorPage
from trivet_common.http1.errors import HttpError, Source
from trivet_common.http1.reasons import refuse
from trivet_proxy.error_choice import ErrorChoice, Page, read_page, render_for

FILES = {"a.html": b"<style>b { x: {y} }</style>{status} {reason} {why} {request_id} {unknown}",
         "five.txt": b"sorry: {reason} <{request_id}>", "closed.svg": b"<svg>{status}</svg>",
         "logo.png": b"\x89PNG{status}"}  # fmt: skip


def read(path: Path) -> bytes:
    return FILES[path.name]


CHOICE = ErrorChoice(
    [
        ErrorPage(502, Path("a.html")),
        ErrorPage(5, Path("five.txt"), intercept=True),
        ErrorPage(503, intercept=False),
        ErrorPage(
            404, json='{"status": "{status}", "text": "no {reason}", "id": "{request_id}"}', intercept=True
        ),
        ErrorPage(418, Path("logo.png")),
    ],
    read,
    Path("closed.svg"),
)
TABLE = [
    (502, "upstream_bad", b"text/html; charset=utf-8",
     b"<style>b { x: {y} }</style>502 Bad Gateway upstream_bad id&lt;&quot;&gt; {unknown}"),
    (504, "deadline", b"text/plain; charset=utf-8", b'sorry: Gateway Timeout <id<">>'),
    (404, "no_route", b"application/json", b'{"status": 404, "text": "no Not Found", "id": "id<\\">"}\n'),
    (418, "x", b"image/png", b"\x89PNG{status}"),
    (503, "maintenance", b"image/svg+xml; charset=utf-8", b"<svg>503</svg>"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "why", "content_type", "body"), TABLE)
def test_pages(status: int, why: str, content_type: bytes, body: bytes) -> None:
    error = HttpError(status, why, Source.US, headers=((b"retry-after", b"5"),))
    page = CHOICE.page_for(error)
    assert page is not None
    headers, found = page.render(error, 'id<">')
    assert found == body
    fields = dict(headers)
    assert fields[b"content-type"] == content_type
    assert (fields[b"cache-control"], fields[b"retry-after"]) == (b"no-store", b"5")


@pytest.mark.parametrize("status", [400, 403, 503])
def test_others_are_trivets_own(status: int) -> None:
    assert CHOICE.page_for(HttpError(status, "x", Source.US)) is None


def test_what_is_intercepted() -> None:
    found = [
        status
        for status in (200, 301, 400, 404, 418, 500, 502, 503, 504, 599)
        if CHOICE.is_intercepted(status)
    ]
    assert found == [404, 500, 504, 599]
    assert CHOICE.does_intercept
    assert not ErrorChoice([ErrorPage(500)], read).does_intercept


def test_a_request_without_a_route_gets_the_sites() -> None:
    head = SimpleNamespace(get=lambda name: b"text/html")
    request: Any = SimpleNamespace(route=None, request_id="one", head=head)
    error = refuse("no_route")
    assert b'"status": 404' in render_for(request, error, CHOICE)[1]
    assert b"<!doctype html>" in render_for(request, error, None)[1]
    request.route = SimpleNamespace(errors=None)
    assert b"<!doctype html>" in render_for(request, error, CHOICE)[1]


def test_bytes_that_are_no_text_stay(tmp_path: Path) -> None:
    page = Page(b"\xff\xfe {status}", b"text/html")
    assert page.render(refuse("no_route"), "")[1] == b"\xff\xfe 404"


def test_a_page_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"x" * LARGEST_PAGE)
    assert len(read_page(path)) == LARGEST_PAGE
    path.write_bytes(b"x" * (LARGEST_PAGE + 1))
    with pytest.raises(OSError, match="too large"):
        read_page(path)
