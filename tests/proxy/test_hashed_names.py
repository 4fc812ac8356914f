"""Names as build tools write them, and names as people do."""

from __future__ import annotations

import base64
import hashlib

import pytest

from trivet_proxy.hashed_names import is_built, is_hashed, may_be_hashed

HASHED = [
    # Django: 12 hexadecimal digits behind a dot
    "css/base.27e20196a850.css",
    "admin/css/vendor/select2/select2.min.9f54e6414f87.css",
    "admin/js/vendor/jquery/jquery.min.641dd1437010.js",
    "admin/js/vendor/jquery/jquery.min.641dd1437010.js.map",
    "admin/img/icon-addlink.d519b3bab011.svg",
    "fonts/inter.27e20196a850.woff2",
    # Vite and Rollup: 8 of base 64 behind a dash; before Vite 4, hexadecimal behind a dot
    "assets/index-5UjPuW-k.css",
    "assets/index-C_T9x1Qz.js",
    "assets/vendor-D4tVe_p9.js.gz",
    "assets/index.3fce1f81.css",
    "assets/logo.03d6d6da.png",
    # webpack 4 and 5: 8, 16, 20 or 32; Create React App, Next
    "main.073c9b0a.js",
    "static/js/787.28cb0dcd.chunk.js",
    "static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
    "_next/static/chunks/framework-2c79e2a64abdb08b.js",
    "_next/static/css/5d5d9eefa31e5e13.css",
    "app.1a2b3c4d5e6f7a8b9c0d.js",
    "e1b2c3d4f5a697887766.woff2",
    # esbuild and Angular: 8 of base 32; Angular before 17, 16 hexadecimal digits
    "main-5IKXVDVL.js",
    "chunk-PK3EDDWI.js",
    "styles-5INURTSO.css",
    "polyfills-B6TNHZQ6.js",
    "app-F3WN2JYA.js",
    "main.3f1c2d3e4b5a6978.js",
    # Parcel
    "index.4f1d2a8b.css",
    "photo.4f1d2a8b.jpg",
]
# Of builds, and could be what people write: only a manifest tells.
UNKNOWN = [
    "assets/index-DiwrgTda.js",
    "assets/vendor-BrkSpqHe.css",
    "assets/index-BRBmoGS9.js",
    "assets/logo-C_T9x1Qz.svg",
    "assets/photo-5UjPuW-k.jpg",
    "chunk-PKHEDDW3.js",
    "static/js/main.e6c13ad2.js.LICENSE.txt",
    "5d5d9eefa31e5e13a6610d9fa7a283bb.svg",  # or somebody's picture, by the hash of an address
    "avatar-5d5d9eefa31e5e13a6610d9fa7a283bb.jpg",
    "users/27e20196a850e1b2.json",
    "data.27e20196a850.json",
]
NAMED = [
    "app.js",
    "index.html",
    "favicon.ico",
    "css/site.css",
    "jquery-3.7.1.min.js",
    "bootstrap.bundle.min.js",
    "bootstrap-5.3.3.min.css",
    "report.20240131.json",
    "backup-20240131.txt",
    "theme.20240131.css",
    "my-document.js",
    "foo-component.js",
    "photo-12345678.jpg",
    "decade.js",
    "facade-defaced.js",
    "theme.deadbeef.css",
    "lib-VERSION2.js",
    "intro-Chapter1.html",
    "page-a1b2c3d4.html",
    "manual.27e20196a850.pdf",  # uploads and documents are named by people
    "20240131a.png",
    "1a2b3c4d.jpg",
    "users/index-BRBmoGS9",
    "27e20196a850.css/site",
    "",
    ".js",
    "a.27e20196a85.css",  # eleven digits
    # Words, dates, models and parts of something, of eight characters
    *(
        f"photo-{word}.jpg"
        for word in ("June2024", "2024June", "Berlin24", "DSC01234", "IMG_0042", "iPadPro2")
    ),
    *(f"photo.{word}.jpg" for word in ("June2024", "cafe2024", "5dec2024", "decade20", "20240131")),
    *(
        f"report-{word}.js"
        for word in ("Final2023", "final2023", "FY2024Q3", "Q3Report", "Q3REPORT", "Draft-v2")
    ),
    *(f"lib-{word}.css" for word in ("Version2", "GoProHD9", "ES6ToES5", "iOS17App", "B2BSales", "W3CLogo2")),
    *(f"lib-{word}.js" for word in ("Win11Pro", "MP3ToWAV", "HTML5CSS", "MP3CODEC", "Vec3ToMx", "S01E02v3")),
    *(
        f"theme.{word}.css"
        for word in ("cafe2024", "2024feed", "5dec2024", "decade20", "abc12345", "a1234567")
    ),
    *(
        f"theme-{word}.css"
        for word in ("Chapter1", "Area51v2", "TwoThree", "COLUMNS3", "3COLUMNS", "DARKMODE")
    ),
    "report-final2023.pdf",
    "show-S1E2PtII.mp4",
    "sales-FY24Q3EN.json",
    "avatar-550e8400-e29b-41d4-a716-4466554400ab.png",
    "550e8400-e29b-41d4-a716-446e554400ab.js",
    "firmware-001a2b3c4d5e.bin",
    "photo-27e20196a850.jpg",
    "2024-01-31-notes.js",
    "jquery.ui.1.13.2.css",
    "moment-2.30.1.js",
    "chart-v4.4.1.umd.js",
]


@pytest.mark.parametrize("name", HASHED)
def test_hashed(name):
    assert is_hashed(name.encode())
    assert may_be_hashed(name.encode())


@pytest.mark.parametrize("name", NAMED)
def test_not_hashed(name):
    assert not is_hashed(name.encode())


@pytest.mark.parametrize("name", UNKNOWN)
def test_perhaps(name):
    assert not is_hashed(name.encode())
    assert may_be_hashed(name.encode())


@pytest.mark.parametrize("name", ["theme.deadbeef.css", "log.202401311200.txt", "app.js"])
def test_not_even_perhaps(name):
    assert not may_be_hashed(name.encode())


def test_what_a_page_breaks_without():
    assert is_built(b"assets/index-DiwrgTda.js")
    assert is_built(b"assets/index-DiwrgTda.css.br")
    assert not is_built(b"assets/photo-5UjPuW-k.jpg")
    assert not is_built(b"assets/index.js")
    assert not is_built(b"")


def test_most_of_what_bundlers_write_is_seen():
    seen = {"8 hex": 0, "12 hex": 0, "base64": 0, "base32": 0, "chunk": 0, "perhaps": 0}
    for number in range(1000):
        digest = hashlib.sha256(str(number).encode()).digest()
        seen["8 hex"] += is_hashed(b"app.%b.js" % digest.hex()[:8].encode())
        seen["12 hex"] += is_hashed(b"app.%b.js" % digest.hex()[:12].encode())
        text = base64.urlsafe_b64encode(digest)[:8]
        seen["base64"] += is_hashed(b"app-%b.js" % text)
        seen["perhaps"] += may_be_hashed(b"app-%b.js" % text)
        text = base64.b32encode(digest)[:8]
        seen["base32"] += is_hashed(b"app-%b.js" % text)
        seen["chunk"] += is_hashed(b"chunk-%b.js" % text)
    least = {"8 hex": 650, "12 hex": 960, "base64": 370, "base32": 300, "chunk": 700, "perhaps": 990}
    assert all(seen[kind] >= number for kind, number in least.items()), seen
