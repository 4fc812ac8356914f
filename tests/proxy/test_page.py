"""The skeleton of all pages of our own."""

from __future__ import annotations

from trivet_proxy import error_pages, listing
from trivet_proxy.page import HEADERS, page


def test_what_is_given_stands_in_it_as_it_is():
    text = page("100% %(style)s", "b { width: 50% }", "{x} %s</main>")
    assert "<title>100% %(style)s</title>" in text
    assert "b { width: 50% }\n</style>" in text
    assert "<main>\n{x} %s</main>\n</main>" in text
    assert "main { width: 100%;" in text


def test_nothing_runs_in_any_of_them():
    for headers in (listing.HEADERS, error_pages._HTML_HEADERS):
        assert set(HEADERS) <= set(headers)
    assert b"default-src 'none'" in dict(HEADERS)[b"content-security-policy"]
