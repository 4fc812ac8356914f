"""RFC 9110, 13.2.2 and 14, asked of us and of Debian's nginx over one tree: the same answers, or a reason.

Every difference stands in DIFFERENT and on docs/static-files.md; one that is gone fails as well.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.whole.running import running
from tests.whole.strangers import free_port, stranger
from tests.whole.talking import Answer, Talk

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
PAGE = Path(__file__).parents[2] / "docs" / "static-files.md"
CONF = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
  access_log off;
  types {{ text/plain txt; text/html html; }}
  charset utf-8;
  client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  gzip_static on;
  gzip_vary on;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/tree;
  }}
}}
"""
CONFIG = "proxy: {processes: 1}\nlog: {access: off}\nroutes: [{path: /, files: tree}]\n"
DATA = bytes(range(32, 127)) * 100
SIZE = len(DATA)
DATE, EARLIER, LATER = (f"Sun, 06 Nov 1994 08:49:{second} GMT" for second in (37, 36, 38))


Address = tuple[str, int]


class Row(NamedTuple):
    """One request. {etag} stands for what the server itself calls the file."""

    name: str
    lines: tuple[str, ...] = ()
    target: str = "/data.txt"
    method: str = "GET"


def _precedence() -> Iterator[Row]:
    """Every combination of conditions that are absent, true and false (13.2.2)."""
    match = {"": (), "match": ("If-Match: {etag}",), "no match": ('If-Match: "x"',)}
    unmodified = {
        "": (),
        "unmodified": (f"If-Unmodified-Since: {DATE}",),
        "modified": (f"If-Unmodified-Since: {EARLIER}",),
    }
    none_match = {"": (), "unknown": ('If-None-Match: "x"',), "known": ("If-None-Match: {etag}",)}
    modified = {
        "": (),
        "newer": (f"If-Modified-Since: {EARLIER}",),
        "not newer": (f"If-Modified-Since: {DATE}",),
    }
    for a, one in match.items():
        for b, two in unmodified.items():
            for c, three in none_match.items():
                for d, four in modified.items():
                    name = ", ".join(filter(None, (a, b, c, d))) or "no condition"
                    yield Row(name, (*one, *two, *three, *four))


def _range(name: str, value: str, *lines: str, target: str = "/data.txt", method: str = "GET") -> Row:
    return Row(name, (f"Range: {value}", *lines), target, method)


ROWS = [
    *_precedence(),
    Row("if-match: weak", ("If-Match: W/{etag}",)),
    Row("if-match: *", ("If-Match: *",)),
    Row("if-match: list", ('If-Match: "x", {etag}',)),
    Row("if-none-match: weak", ("If-None-Match: W/{etag}",)),
    Row("if-none-match: *", ("If-None-Match: *",)),
    Row("if-none-match: list", ('If-None-Match: "x", W/{etag}',)),
    Row("if-modified-since: later", (f"If-Modified-Since: {LATER}",)),
    Row("if-modified-since: no date", ("If-Modified-Since: yesterday",)),
    Row("if-unmodified-since: later", (f"If-Unmodified-Since: {LATER}",)),
    Row("if-unmodified-since: no date", ("If-Unmodified-Since: yesterday",)),
    Row("conditions on what is not there", ('If-Match: "x"',), "/none.txt"),
    Row("head", method="HEAD"),
    Row("head: known", ("If-None-Match: {etag}",), method="HEAD"),
    Row("post", method="POST", lines=("Content-Length: 0",)),
    _range("first bytes", "bytes=0-499"),
    _range("middle", "bytes=500-999"),
    _range("suffix", "bytes=-500"),
    _range("from", "bytes=9400-"),
    _range("one byte", "bytes=0-0"),
    _range("last byte", f"bytes={SIZE - 1}-"),
    _range("whole", "bytes=0-"),
    _range("past the end", "bytes=9400-99999"),
    _range("long suffix", "bytes=-99999"),
    _range("two", "bytes=0-0,-1"),
    _range("three", "bytes=0-99,4500-4599,-100"),
    _range("not in order", "bytes=4500-4599,0-99"),
    _range("overlapping", "bytes=0-500,400-900,2000-2099"),
    _range("many overlapping", "bytes=" + ",".join(["0-"] * 20)),
    _range("behind the end", f"bytes={SIZE}-"),
    _range("suffix of nothing", "bytes=-0"),
    _range("one of two", f"bytes={SIZE}-,0-0"),
    _range("backwards", "bytes=5-2"),
    _range("no number", "bytes=a-b"),
    _range("no range", "bytes="),
    _range("another unit", "items=0-1"),
    _range("2^64", "bytes=18446744073709551616-"),
    _range("if-range: etag", "bytes=0-4", "If-Range: {etag}"),
    _range("if-range: other etag", "bytes=0-4", 'If-Range: "x"'),
    _range("if-range: weak", "bytes=0-4", "If-Range: W/{etag}"),
    _range("if-range: date", "bytes=0-4", f"If-Range: {DATE}"),
    _range("if-range: later", "bytes=0-4", f"If-Range: {LATER}"),
    _range("if-range: no date", "bytes=0-4", "If-Range: yesterday"),
    _range("range and known", "bytes=0-4", "If-None-Match: {etag}"),
    _range("range and no match", "bytes=0-4", 'If-Match: "x"'),
    _range("head and range", "bytes=0-4", method="HEAD"),
    _range("an empty file", "bytes=0-", target="/empty.txt"),
    Row("compressed", ("Accept-Encoding: gzip",), "/coded.txt"),
    Row("compressed: not wanted", ("Accept-Encoding: gzip;q=0",), "/coded.txt"),
    Row("compressed: not asked for", (), "/coded.txt"),
    _range("compressed: range", "bytes=0-4", "Accept-Encoding: gzip", target="/coded.txt"),
    Row("index", (), "/folder/"),
    Row("folder without its slash", (), "/folder"),
    Row("folder without an index", (), "/"),
    Row("outside", (), "/../x"),
    Row("encoded", (), "/d%61ta.txt"),
    Row("slashes", (), "//data.txt"),
]

# The reason, as it stands on the page, and for each row our status and nginx's.
REASONS: dict[str, dict[str, tuple[int, int]]] = {
    "If-None-Match decides alone": {
        "known, newer": (304, 200),
        "unmodified, known, newer": (304, 200),
        "match, known, newer": (304, 200),
        "match, unmodified, known, newer": (304, 200),
    },
    "If-Match decides alone": {
        "match, modified": (200, 412),
        "match, modified, newer": (200, 412),
        "match, modified, not newer": (304, 412),
        "match, modified, unknown": (200, 412),
        "match, modified, unknown, newer": (200, 412),
        "match, modified, unknown, not newer": (200, 412),
        "match, modified, known": (304, 412),
        "match, modified, known, newer": (304, 412),
        "match, modified, known, not newer": (304, 412),
    },
    "A date later than the file's": {"if-modified-since: later": (304, 200)},
    "A condition that is no date": {"if-unmodified-since: no date": (200, 412)},
    "Overlapping ranges": {"overlapping": (206, 206), "many overlapping": (206, 200)},
    "A Range field that is none": {"backwards": (200, 416), "no number": (200, 416)},
    "A Range on HEAD": {"head and range": (200, 206)},
    "A Range of an empty file": {"an empty file": (416, 200)},
    "Ranges of compressed siblings": {"compressed: range": (206, 200)},
    "A folder without its slash": {"folder without its slash": (308, 301)},
    "A folder without an index": {"folder without an index": (404, 403)},
}
DIFFERENT = {name: pair for rows in REASONS.values() for name, pair in rows.items()}


def effect(answer: Answer) -> object:
    """What of an answer must be alike."""
    if answer.status >= 400:
        return answer.status, answer.headers.get("content-range")
    kind = answer.headers.get("content-type", "")
    boundary = re.fullmatch(r"multipart/byteranges; boundary=(\S+)", kind)
    body: object = answer.body
    if boundary is not None:
        parts = answer.body.split(b"\r\n--" + boundary[1].encode())[1:-1]
        heads = [part.partition(b"\r\n\r\n") for part in parts]
        body = [(re.findall(rb"(?i)content-range: (.*)", head), data) for head, _, data in heads]
    length = None if boundary is not None else answer.headers.get("content-length")
    named = [
        answer.headers.get(name) for name in ("content-range", "content-encoding", "last-modified", "vary")
    ]
    has_tag = "etag" in answer.headers
    return answer.status, length, [name and name.lower() for name in named], has_tag, body


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Address, Address]]:
    if NGINX is None:
        pytest.skip("there is no nginx on this machine (Debian: apt install nginx-light)")
    folder = tmp_path_factory.mktemp("nginx")
    tree = folder / "tree"
    (tree / "folder").mkdir(parents=True)
    written = {"data.txt": DATA, "empty.txt": b"", "coded.txt": DATA, "coded.txt.gz": b"\x1f\x8b coded"}
    for name, data in {**written, "folder/index.html": b"index"}.items():
        (tree / name).write_bytes(data)
        os.utime(tree / name, (784111777, 784111777))
    port = free_port()
    (folder / "nginx.conf").write_text(CONF.format(folder=folder, port=port))
    command = [NGINX, "-p", str(folder), "-e", f"{folder}/nginx.log", "-c", f"{folder}/nginx.conf"]
    theirs = ("127.0.0.1", port)
    with running(folder, CONFIG) as site, stranger(command, folder, theirs):
        yield site.address, theirs


def ask(address: Address, row: Row) -> Answer:
    with Talk(address) as talk:
        lines = "".join(row.lines)
        etag = talk.get(row.target).headers["etag"] if "{etag}" in lines else ""
        return talk.get(row.target, *(line.format(etag=etag) for line in row.lines), method=row.method)


def test_the_table_is_whole() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert set(DIFFERENT) <= {row.name for row in ROWS}


@pytest.mark.parametrize("reason", REASONS)
def test_each_difference_is_explained(reason: str) -> None:
    assert f"**{reason}" in PAGE.read_text()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_as_nginx_does(both: tuple[Address, Address], row: Row) -> None:
    ours, theirs = (ask(address, row) for address in both)
    if row.name not in DIFFERENT:
        assert effect(ours) == effect(theirs)
        return
    assert (ours.status, theirs.status) == DIFFERENT[row.name]
    assert effect(ours) != effect(theirs), "this difference is gone"
