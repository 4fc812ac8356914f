"""X-Accel-Redirect and X-Sendfile: which path is meant, and whose headers the file is sent with."""

from __future__ import annotations

import pytest

from trivet_common.http1.errors import HttpError
from trivet_proxy.orders import read_order, without_orders

FULL = [
    (b"content-type", b"application/pdf"),
    (b"etag", b'"1"'),
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"accept-encoding"),
]


def of(*headers):
    return read_order([(name.encode(), value) for name, value in headers])


def test_none():
    assert of(("content-type", b"a/b"), ("x-accel-buffering", b"no")) is None


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (b"/protected/a.pdf", b"/protected/a.pdf"),
        (b"/protected/a%20b.pdf?x=1", b"/protected/a b.pdf"),
        (b"/protected//a", b"/protected/a"),
        ("/protected/é".encode(), "/protected/é".encode()),
        (b"/protected/%C3%A9", "/protected/é".encode()),
    ],
)
def test_a_path_of_the_site(value, path):
    order = of(("x-accel-redirect", value))
    assert (order.path, order.is_on_disk) == (path, False)


@pytest.mark.parametrize(
    "value",
    [b"", b"protected/a", b"@named", b"http://h/a", b"/a/../b", b"/a/%2e%2e/b", b"/a%00", b"/a%zz", b"/a%0a"],
)
def test_no_path_of_the_site(value):
    with pytest.raises(HttpError) as caught:
        of(("x-accel-redirect", value))
    assert caught.value.why == "upstream_bad"


def test_a_path_on_disk():
    order = of(("x-sendfile", b"/srv//private/a%20b.pdf"))
    assert (order.path, order.is_on_disk) == (b"/srv/private/a%20b.pdf", True)
    for value in (b"", b"a", b"/srv/../etc/passwd", b"/srv/./a", b"../a"):
        with pytest.raises(HttpError):
            of(("x-sendfile", value))


def dressed(*headers):
    order = of(("x-accel-redirect", b"/a"))
    order.take_headers(without_orders([*headers, (b"x-accel-buffering", b"no"), (b"x-sendfile-type", b"x")]))
    return order.dress(FULL)


def test_what_the_application_says_of_the_file_holds():
    said = [(b"content-disposition", b"attachment"), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d")]
    assert dressed(*said) == [*FULL, *said]
    fields = dict(dressed((b"cache-control", b"max-age=5"), (b"content-type", b"text/csv")))
    assert fields[b"cache-control"] == b"max-age=5"
    assert fields[b"content-type"] == b"text/csv"


def test_what_it_says_of_its_own_answer_does_not():
    own = [(b"etag", b'"app"'), (b"last-modified", b"x"), (b"content-encoding", b"gzip"), (b"date", b"x")]
    assert dressed(*own) == FULL


def test_both_may_vary():
    assert [v for n, v in dressed((b"vary", b"cookie")) if n == b"vary"] == [b"accept-encoding", b"cookie"]


def test_a_frameworks_usual_type_is_not_meant():
    html = (b"content-type", b"text/html; charset=utf-8")
    assert dressed(html) == FULL
    order = of(("x-accel-redirect", b"/a"))
    order.take_headers([html])
    assert order.dress([(b"content-type", b"application/octet-stream")]) == [html]


def test_an_upload_is_never_run_in_the_sites_name():
    """A framework's text/html of `evil.dat`, and an inline SVG (stored cross-site scripting)."""
    nosniff = (b"x-content-type-options", b"nosniff")
    unknown, svg = (b"content-type", b"application/octet-stream"), (b"content-type", b"image/svg+xml")
    order = of(("x-accel-redirect", b"/a"))
    order.take_headers([(b"content-type", b"text/html; charset=utf-8")])
    assert order.dress([unknown, nosniff]) == [unknown, nosniff]
    order.take_headers([(b"content-disposition", b"inline; filename=evil.svg")])
    assert order.dress([svg, nosniff]) == [svg, nosniff, (b"content-disposition", b"attachment")]
    own = (b"content-disposition", b'attachment; filename="a.svg"')
    order.take_headers([own])
    assert order.dress([svg, nosniff]) == [svg, nosniff, own]


@pytest.mark.parametrize("name", [b"content-digest", b"repr-digest", b"digest", b"content-md5"])
def test_a_digest_of_the_applications_answer_is_none_of_the_file(name):
    assert dressed((name, b"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:")) == FULL
