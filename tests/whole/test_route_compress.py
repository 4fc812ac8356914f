"""`compress: true` over files, pools and upstreams: what is packed, what is not, and events one by one."""

import gzip
import io
import os
import time
import zlib
from collections.abc import Callable, Iterator

import brotli
import pytest
import zstandard

from tests.whole.running import Site, running
from tests.whole.talking import Talk, ask

pytestmark = pytest.mark.usefixtures("over")

TEXT = "".join(f"line {number}: the quick brown fox\n" for number in range(2000)).encode()
APPLICATION = """
import time

TEXT = "".join(f"line {number}: the quick brown fox\\n" for number in range(2000)).encode()
TAG = '"abc"'

def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    headers = [("Content-Type", "text/html; charset=utf-8")]
    status, body = "200 OK", [TEXT]
    if path.endswith("/large"):
        body = (TEXT * 2 for _ in range(80))
    elif path.endswith("/lengthy"):
        body = [TEXT * 160]
        headers.append(("Content-Length", str(len(TEXT) * 160)))
    elif path.endswith("/events"):
        headers = [("Content-Type", "text/event-stream")]
        body = events(query)
    elif path.endswith("/small"):
        body = [b"tiny"]
        headers.append(("Content-Length", "4"))
    elif path.endswith("/png"):
        headers = [("Content-Type", "image/png"), ("Content-Length", str(len(TEXT)))]
    elif path.endswith("/encoded"):
        headers += [("Content-Encoding", "gzip"), ("Content-Length", str(len(TEXT)))]
    elif path.endswith("/final"):
        headers += [("Cache-Control", "private, no-transform"), ("Content-Length", str(len(TEXT)))]
    elif path.endswith("/part"):
        status = "206 Partial Content"
        headers.append(("Content-Range", f"bytes 0-{len(TEXT) - 1}/{len(TEXT)}"))
        headers.append(("Content-Length", str(len(TEXT))))
    elif path.endswith("/tagged"):
        headers += [("ETag", TAG), ("Accept-Ranges", "bytes"), ("Vary", "Cookie"),
                    ("Content-Length", str(len(TEXT)))]
        if TAG in environ.get("HTTP_IF_NONE_MATCH", ""):
            start_response("304 Not Modified", [("ETag", TAG)])
            return []
    elif path.endswith("/handed"):
        body = environ["wsgi.file_wrapper"](open("static/huge.css", "rb"))
        headers.append(("Content-Length", str(len(TEXT) * 40)))
    elif path.endswith("/ordered"):
        headers.append(("X-Accel-Redirect", "/inside/large.css"))
    elif path.endswith("/gone"):
        status = "404 Not Found"
    start_response(status, headers)
    return body

def events(query):
    for number in range(20):
        yield f"data: {number}\\n\\n".encode()
        time.sleep(float(query))
"""
CONFIG = """
stop_timeout: 1s
proxy: {processes: 1}
log: {access: access.log}
defaults: {compress: true}
routes:
  - {path: /static/, files: ./static}
  - {path: /inside/, internal: true, files: ./static}
  - {path: /one.txt, file: ./static/text.txt}
  - {path: /fixed, respond: {body: "WORDS", type: text/plain}}
  - {path: /up/, upstream: "unix:up.sock"}
  - {path: /plain/, pool: web, compress: false}
  - {path: /shaped/, pool: web, response_headers: {set: {Cache-Control: no-transform}}}
  - {path: /, pool: web}
pools: {web: {app: hello, workers: 1, threads: 8}}
""".replace("WORDS", "many words " * 200)


def unzstd(data: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as reader:
        return reader.read()


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": unzstd,
}


@pytest.fixture(scope="module")
def site(over: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "static").mkdir()
    for name, body in {
        "text.txt": TEXT, "large.css": TEXT * 10, "huge.css": TEXT * 40, "small.js": b"x", "a.png": TEXT,
        "both.js": TEXT, "both.js.gz": gzip.compress(TEXT),
    }.items():  # fmt: skip
        (folder / "static" / name).write_bytes(body)
        os.utime(folder / "static" / name, (1_600_000_000, 1_600_000_000))
    config = CONFIG.replace("unix:up.sock", f"unix:{folder}/run/web/pool.sock")
    with running(folder, config, hello=APPLICATION) as site:
        yield site
        assert "Traceback" not in site.said()


PACKED = ["/", "/up/", "/large", "/up/large", "/lengthy", "/gone", "/handed", "/ordered", "/fixed",
          "/one.txt", "/static/text.txt", "/static/large.css"]  # fmt: skip


@pytest.mark.parametrize("coding", UNPACK)
@pytest.mark.parametrize("path", PACKED)
def test_texts_are_packed(site: Site, path: str, coding: str) -> None:
    plain = ask(site.address, path)
    packed = ask(site.address, path, f"Accept-Encoding: {coding}")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == coding
    assert plain.headers["vary"] == packed.headers["vary"] == "accept-encoding"
    assert packed.status == plain.status
    assert UNPACK[coding](packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert packed.headers["content-type"] == plain.headers["content-type"]
    assert "accept-ranges" not in packed.headers
    head = ask(site.address, path, f"Accept-Encoding: {coding}", method="HEAD")
    for name in ("content-encoding", "vary", "etag", "content-type"):
        assert head.headers.get(name) == packed.headers.get(name), name
    assert head.headers.get("content-length") in (None, packed.headers.get("content-length"))


LEFT = ["/small", "/png", "/encoded", "/final", "/part", "/plain/", "/shaped/", "/static/small.js",
        "/static/a.png", "/static/huge.css"]  # fmt: skip


@pytest.mark.parametrize("path", LEFT)
def test_others_are_left_alone(site: Site, path: str) -> None:
    plain = ask(site.address, path)
    asked = ask(site.address, path, "Accept-Encoding: gzip, br, zstd")
    assert asked.body == plain.body
    assert asked.headers.get("content-encoding") == plain.headers.get("content-encoding")
    assert asked.headers.get("content-length") == plain.headers.get("content-length")
    assert "vary" not in asked.headers


def test_siblings_are_sent_before_anything_is_packed(site: Site) -> None:
    stored = ask(site.address, "/static/both.js", "Accept-Encoding: gzip")
    assert stored.body == (site.folder / "static" / "both.js.gz").read_bytes()
    assert stored.headers["accept-ranges"] == "bytes"
    packed = ask(site.address, "/static/both.js", "Accept-Encoding: zstd")
    assert unzstd(packed.body) == TEXT


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("gzip, deflate, br, zstd", "zstd"), ("gzip, deflate, br", "gzip"), ("br", "br"), ("*", "zstd"),
        ("gzip;q=0.5, br;q=0.9", "br"), ("gzip;q=0", None), ("identity, gzip;q=0.5", None), ("deflate", None),
        ("x-gzip", "gzip"),
    ],
)  # fmt: skip
def test_the_client_chooses(site: Site, accept: str, chosen: str | None) -> None:
    for path in ("/", "/large"):
        answer = ask(site.address, path, f"Accept-Encoding: {accept}")
        assert answer.headers.get("content-encoding") == chosen
        assert answer.headers["vary"] == "accept-encoding"
    final = ask(site.address, "/", f"Accept-Encoding: {accept}", "Cache-Control: no-transform")
    assert final.body == TEXT


@pytest.mark.parametrize("path", ["/tagged", "/static/text.txt", "/static/large.css"])
def test_tags_are_weak_and_still_good_for_asking_again(site: Site, path: str) -> None:
    plain = ask(site.address, path)
    packed = ask(site.address, path, "Accept-Encoding: gzip")
    strong, weak = plain.headers["etag"], packed.headers["etag"]
    assert weak == f"W/{strong}"
    again = ask(site.address, path, "Accept-Encoding: gzip", f"If-None-Match: {weak}")
    assert (again.status, again.headers["etag"], again.body) == (304, weak, b"")
    assert "accept-encoding" in again.headers["vary"]
    other = ask(site.address, path, f"If-None-Match: {strong}")
    assert (other.status, other.headers["etag"]) == (304, strong)
    part = ask(site.address, path, "Accept-Encoding: gzip", "Range: bytes=0-99", f"If-Range: {weak}")
    assert (part.status, gzip.decompress(part.body)) == (200, gzip.decompress(packed.body))


def test_ranges_are_of_what_is_stored(site: Site) -> None:
    part = ask(site.address, "/static/text.txt", "Accept-Encoding: gzip", "Range: bytes=100-199")
    assert (part.status, part.body) == (206, TEXT[100:200])
    assert "content-encoding" not in part.headers


def test_vary_keeps_what_the_application_says(site: Site) -> None:
    assert ask(site.address, "/tagged", "Accept-Encoding: gzip").headers["vary"] == "Cookie, accept-encoding"


@pytest.mark.parametrize("path", ["/large", "/lengthy", "/", "/static/large.css"])
def test_http10(site: Site, path: str) -> None:
    """By a length where it is known, else by the end of the connection."""
    with Talk(site.address) as talk:
        talk.say(f"GET {path} HTTP/1.0\nHost: a.example\nAccept-Encoding: gzip\nConnection: keep-alive\n\n")
        answer = talk.answer()
        assert "transfer-encoding" not in answer.headers
        assert gzip.decompress(answer.body) == ask(site.address, path).body
        assert ("content-length" in answer.headers) == (path == "/")


def test_a_connection_is_kept(site: Site) -> None:
    with Talk(site.address) as talk:
        for path in ("/large", "/", "/gone", "/static/large.css", "/static/text.txt", "/tagged"):
            for coding, unpack in UNPACK.items():
                assert TEXT in unpack(talk.get(path, f"Accept-Encoding: {coding}").body)


@pytest.mark.parametrize("coding", UNPACK)
@pytest.mark.parametrize("path", ["/events", "/up/events"])
def test_events_come_one_by_one(site: Site, path: str, coding: str) -> None:
    """Each is seen while the application waits before the next one."""
    unpackers = {
        "gzip": zlib.decompressobj(31).decompress,
        "br": brotli.Decompressor().process,
        "zstd": zstandard.ZstdDecompressor().decompressobj().decompress,
    }
    seen, pauses = b"", []
    with Talk(site.address) as talk:
        talk.say(f"GET {path}?0.05 HTTP/1.1\nHost: a.example\nAccept-Encoding: {coding}\n\n")
        assert talk.head()[3]["content-encoding"] == coding
        last = time.monotonic()
        while chunk := talk.chunk():
            piece = unpackers[coding](chunk)
            if piece:
                now = time.monotonic()
                pauses.append(now - last)
                last = now
                seen += piece
                assert seen.endswith(b"\n\n")
    assert seen == b"".join(b"data: %d\n\n" % number for number in range(20))
    assert len(pauses) > 15, "they came in heaps"
