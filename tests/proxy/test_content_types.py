"""Content types by our own table, whatever the host has in /etc/mime.types."""

import re

import pytest

from trivet_proxy.content_types import TYPES, UNKNOWN, content_type_of


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.html", b"text/html; charset=utf-8"),
        (b"css/site.3f2a.css", b"text/css; charset=utf-8"),
        (b"app.mjs", b"text/javascript; charset=utf-8"),
        (b"LOGO.SVG", b"image/svg+xml; charset=utf-8"),
        (b"photo.JPG", b"image/jpeg"),
        (b"data.json", b"application/json"),
        (b"app.webmanifest", b"application/manifest+json"),
        (b"font.woff2", b"font/woff2"),
        (b"code.wasm", b"application/wasm"),
        (b"shot.avif", b"image/avif"),
        (b"source.tar.gz", b"application/gzip"),
        (b"apple-app-site-association", b"application/json"),
        (b".well-known/apple-app-site-association", b"application/json"),
        (b"README", UNKNOWN),
        (b"a.b/README", UNKNOWN),
        (b"a.css/", UNKNOWN),
        (b".html", UNKNOWN),
        (b"x.", UNKNOWN),
        (b"x.exe", UNKNOWN),
        (b"caf\xe9.txt", b"text/plain; charset=utf-8"),
        (b"", UNKNOWN),
    ],
)
def test_types(name, expected):
    assert content_type_of(name) == expected


def test_the_table_is_well_formed():
    assert len(TYPES) > 100
    for ending, media_type in TYPES.items():
        assert ending == ending.lower()
        assert re.fullmatch(rb"[a-z]+/[a-z0-9.+-]+(; charset=utf-8)?", media_type)
        if media_type.startswith(b"text/"):
            assert media_type.endswith(b"charset=utf-8")
