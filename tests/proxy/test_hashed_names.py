"""Names as build tools write them, and names as people do."""

from __future__ import annotations

import base64
import hashlib

import pytest

from trivet_proxy.hashed_names import is_hashed, may_be_hashed

HASHED = [
    "css/base.27e20196a850.css",  # Django
    "admin/css/vendor/select2/select2.min.9f54e6414f87.css",
    "admin/js/vendor/jquery/jquery.min.641dd1437010.js.map",
    "fonts/inter.27e20196a850.woff2",
    "assets/index-BRBmoGS9.js",  # Vite
    "assets/index-5UjPuW-k.css",
    "assets/logo-C_T9x1Qz.svg",
    "main.073c9b0a.js",  # Create React App
    "static/js/787.28cb0dcd.chunk.js",
    "static/js/main.e6c13ad2.js.LICENSE.txt",
    "main-5IKXVDVL.js",  # Angular, esbuild
    "main.3f1c2d3e4b5a6978.js",
    "_next/static/chunks/framework-2c79e2a64abdb08b.js",  # Next
    "index.4f1d2a8b.css",  # Parcel
    "5d5d9eefa31e5e13a6610d9fa7a283bb.svg",  # webpack's asset modules
    "app.1a2b3c4d5e6f7a8b9c0d.js",
    "assets/index-BRBmoGS9.js.gz",
]
UNKNOWN = [
    "assets/index-DiwrgTda.js",  # Vite, and could be two words
    "assets/vendor-BrkSpqHe.css",
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


def test_most_of_what_bundlers_write_is_seen():
    seen = {"hex": 0, "base64": 0, "perhaps": 0}
    for number in range(1000):
        digest = hashlib.sha256(str(number).encode()).digest()
        seen["hex"] += is_hashed(b"app.%b.js" % digest.hex()[:8].encode())
        text = base64.urlsafe_b64encode(digest)[:8]
        seen["base64"] += is_hashed(b"app-%b.js" % text)
        seen["perhaps"] += may_be_hashed(b"app-%b.js" % text)
    assert seen["hex"] > 930
    assert seen["base64"] > 600
    assert seen["perhaps"] > 990
