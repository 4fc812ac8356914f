"""What a route says of a file by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from trivet_common.config import FilesAction
from trivet_proxy.presentation import Presentation, is_active

ROOT = Path("/srv/static")
YEAR = (b"cache-control", b"public, max-age=31536000, immutable")
ASK = (b"cache-control", b"no-cache")


def of(**keys):
    return Presentation(FilesAction(ROOT, **keys))


def test_caching_by_itself():
    assert of().headers(b"app.27e20196a850.css") == [YEAR]
    assert of().headers(b"app.css") == [ASK]
    assert of().headers(b"assets/x-DiwrgTda.js") == [ASK]
    assert of().headers(b"assets/x-DiwrgTda.js", {b"assets/x-DiwrgTda.js"}) == [YEAR]


def test_caching_as_written():
    assert of(cache=None).headers(b"app.27e20196a850.css") == []
    assert of(cache="max-age=60").headers(b"app.27e20196a850.css") == [(b"cache-control", b"max-age=60")]


def test_what_an_application_guards_is_for_one_client():
    presentation = Presentation(FilesAction(ROOT), is_internal=True)
    assert presentation.headers(b"app.27e20196a850.css") == [(b"cache-control", b"private, no-cache")]


def test_what_a_gate_guards_is_for_no_shared_cache():
    presentation = Presentation(FilesAction(ROOT), is_private=True)
    year = (b"cache-control", b"private, max-age=31536000, immutable")
    assert presentation.headers(b"app.27e20196a850.css") == [year]
    assert presentation.headers(b"app.css") == [(b"cache-control", b"private, no-cache")]
    written = Presentation(FilesAction(ROOT, cache="max-age=60"), is_private=True)
    assert written.headers(b"app.css") == [(b"cache-control", b"max-age=60")]


def test_types():
    presentation = of(types=(("glb", "model/x"), ("css", "text/plain; charset=utf-8")))
    assert presentation.content_type(b"a.GLB") == b"model/x"
    assert presentation.content_type(b"a.css") == b"text/plain; charset=utf-8"
    assert presentation.content_type(b"a.js") == b"text/javascript; charset=utf-8"
    assert of().content_type(b"a.css") == b"text/css; charset=utf-8"


@pytest.mark.parametrize(
    "name", ["a.html", "a.HTM", "a.svg", "a.xml", "a.xhtml", "a.xsl", "feed.rss", "a.atom"]
)
def test_what_would_run_is_downloaded(name):
    headers = dict(of(uploads=True).headers(name.encode()))
    assert headers[b"content-disposition"] == b"attachment"
    assert headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize("name", ["a.png", "a.pdf", "a.txt", "a", "a.27e20196a850.css"])
def test_other_uploads_are_shown_and_not_guessed(name):
    headers = dict(of(uploads=True).headers(name.encode()))
    assert headers == {b"cache-control": b"no-cache", b"x-content-type-options": b"nosniff"}


def test_a_type_of_ones_own_can_be_active():
    assert is_active(b"Text/HTML ; charset=utf-8")
    assert is_active(b"application/foo+xml")
    assert not is_active(b"text/plain")
