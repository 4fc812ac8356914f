"""Error pages: for people, with the reason and the request's id, and nothing an attacker put into them."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from trivet_common.http1.errors import HttpError, Source
from trivet_common.http1.reasons import REASONS, refuse
from trivet_proxy.error_pages import render

BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Tags(HTMLParser):
    VOID = {"meta"}

    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("why", sorted(REASONS))
def test_every_reason_has_a_page(why):
    error = refuse(why, detail="/secret/path of the operator")
    headers, page = render(error, "id-1", BROWSER)
    assert (b"content-type", b"text/html; charset=utf-8") in headers
    text = page.decode()
    assert str(error.status) in text
    assert f"<dd>{why}</dd>" in text
    assert "<dd>id-1</dd>" in text
    assert "/secret/path" not in text
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not {"script", "img", "link", "iframe"} & set(tags.seen)
    headers, plain = render(error, "id-1", b"*/*")
    assert (b"content-type", b"text/plain; charset=utf-8") in headers
    assert f"reason: {why}\n".encode() in plain
    assert b"request: id-1\n" in plain
    assert REASONS[why].meaning.encode() in plain
    assert b"/secret/path" not in plain


@pytest.mark.parametrize(
    ("accept", "is_html"),
    [
        (None, False),
        (b"*/*", False),
        (b"application/json", False),
        (BROWSER, True),
        (b"TEXT/HTML", True),
        (b"\xff", False),
    ],
)
def test_html_only_for_those_who_accept_it(accept, is_html):
    headers, _ = render(refuse("not_found"), "x", accept)
    assert dict(headers)[b"content-type"].startswith(b"text/html") is is_html


def test_what_the_error_carries_is_sent():
    headers, _ = render(refuse("queue_full", headers=((b"retry-after", b"2"),)), "x", None)
    assert (b"retry-after", b"2") in headers
    assert (b"cache-control", b"no-store") in headers
    headers, _ = render(refuse("method", headers=((b"allow", b"GET"),)), "x", None)
    assert (b"allow", b"GET") in headers


def test_everything_is_escaped():
    error = HttpError(500, "<script>why</script>", Source.US, "<b>detail</b>")
    _, page = render(error, "<script>alert(1)</script>", BROWSER)
    assert b"<script>" not in page
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_ids_and_statuses_nobody_expects():
    _, page = render(HttpError(599, "odd", Source.US), "\udcff{cut}\0", BROWSER)
    assert b"599 Error" in page
    assert b"?{cut}" in page
    _, page = render(HttpError(418, "odd", Source.CLIENT), "x", None)
    assert b"418" in page


def test_small():
    for why in REASONS:
        assert len(render(refuse(why), "x" * 32, BROWSER)[1]) < 4096
