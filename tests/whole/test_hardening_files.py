"""P1 to P10 on the wire, with real files: what a path may reach, and what a file that changes may do.

The rooms behind it have longer lists and the race of P6 (tests/proxy/test_files.py, test_beneath.py).
"""

import os
import socket
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk, ask
from tests.whole.volley import Outcome, Shot, fire

CANARY = b"CANARY that nobody may see"
INSIDE = b"meant to be seen"
BIG = 32 * 1024 * 1024
CONFIG = """
proxy: {processes: 1}
limits: {write_timeout: 20s}
routes:
  - {path: /static/, files: ./public}
  - {path: /guarded/, respond: {status: 403, body: no}}
  - {path: /, files: ./public}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    public = folder / "public"
    for directory in (
        public / "deep",
        public / "guarded",
        public / ".git",
        public / ".well-known",
        folder / "public2",
    ):
        directory.mkdir(parents=True)
    canaries = (
        "secret.txt",
        "app.py",
        "public2/x.txt",
        "public/guarded/x.txt",
        "public/.env",
        "public/.git/config",
    )
    for name in (*canaries, "public/a.txt~", "public/a.txt.swp", "public/.a.txt.swp", "public/#a.txt#"):
        (folder / name).write_bytes(CANARY)
    for name in (
        "a.txt",
        "deep/b.txt",
        "İx.txt",
        "ß é.txt",
        "semi;colon.txt",
        "100%.txt",
        "a+b.txt",
        ".well-known/ok.txt",
    ):
        (public / name).write_bytes(INSIDE)
    links = {
        "out.txt": "../secret.txt", "out": "..", "abs.txt": str(folder / "secret.txt"),
        "in.txt": "deep/b.txt", "loop": "loop", "proc": "/proc/self", "twice.txt": "out/secret.txt",
    }  # fmt: skip
    for name, to in links.items():
        (public / name).symlink_to(to)
    os.mkfifo(public / "fifo.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(public / "socket.txt"))
        with running(folder, CONFIG, verb="proxy") as site:
            yield site
            assert "Traceback" not in site.said()


def visit(site: Site, targets: list[bytes]) -> list[Outcome]:
    heads = (
        b"GET %b HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n" % target for target in targets
    )
    return fire(site.address, [Shot([head]) for head in heads], 32)


def assert_nothing_seen(site: Site, targets: list[bytes], allowed: tuple[int, ...] = (400, 403, 404)) -> None:
    for target, outcome in zip(targets, visit(site, targets), strict=True):
        answer = outcome.answers[0]
        assert answer.status in allowed, (target, answer)
        assert CANARY not in answer.body, target
        assert b"root:" not in answer.body, target


def climbs() -> list[bytes]:
    """Ways up, once and twice encoded, with every slash and to every depth, towards what lies outside."""
    dots = [
        b"..",
        b"%2e%2e",
        b".%2E",
        b"%252e%252e",
        b"..;",
        b"...",
        b"%c0%ae%c0%ae",
        b"%uff0e%uff0e",
        b".%00.",
    ]
    slashes = [b"/", b"%2f", b"%5c", b"\\", b"%252f", b"%c0%af", b"//", b"/./"]
    starts = [b"/", b"/static/", b"/deep/", b"/static/deep/", b"/a.txt/", b"//"]
    ends = [b"secret.txt", b"app.py", b"etc/passwd"]
    found = []
    for dot, slash, start, depth in product(dots, slashes, starts, (1, 2, 7)):
        found += [start + (dot + slash) * depth + end for end in ends]
    return found


def test_p1_no_way_up(site: Site) -> None:
    targets = climbs()[::3] + climbs()[1::3][:500]
    assert len(targets) > 1500
    assert_nothing_seen(site, targets)


def test_p2_a_prefix_ends_at_a_slash(site: Site) -> None:
    found = [
        b"/static..",
        b"/static../",
        b"/static../secret.txt",
        b"/static../app.py",
        b"/static2/x.txt",
        b"/static.txt",
    ]
    assert_nothing_seen(site, [*found, b"/staticsecret.txt", b"/static%2e%2e/secret.txt", b"/public2/x.txt"])


GUARDED = [
    b"/guarded/x.txt", b"//guarded/x.txt", b"///guarded//x.txt", b"/%67uarded/x.txt", b"/guarded%2fx.txt",
    b"/guarded%2Fx.txt", b"/./guarded/x.txt", b"/deep/../guarded/x.txt", b"/guarded;/x.txt",
    b"/guarded;a=b/x.txt", b"/guarded%5cx.txt", b"/%2fguarded/x.txt", b"/%2f%2fguarded/x.txt",
    b"/guarded/%2e/x.txt", b"/GUARDED/x.txt", b"/guarded%00/x.txt", b"/guarded%20/x.txt",
    b"/guarded./x.txt", b"/guarded%c0%afx.txt", b"/guarde%64/x.txt", b"/guarded?/../x.txt",
    b"/a.txt/../guarded/x.txt", b"/static;/guarded/x.txt", b"http://a.example/guarded/x.txt",
    b"http://a.example//guarded/x.txt", b"/%67%75%61%72%64%65%64%2f%78%2e%74%78%74", b"/guarded/x.txt%00",
]  # fmt: skip


def test_p3_what_is_matched_is_what_is_opened(site: Site) -> None:
    """No spelling of a guarded path passes the guard and finds the file all the same."""
    assert_nothing_seen(site, GUARDED, (400, 403, 404, 308))
    assert ask(site.address, "/guarded/x.txt").status == 403
    for target in ("//guarded/x.txt", "/%67uarded/x.txt", "/guarded%2fx.txt"):
        assert ask(site.address, target).status == 403, target


@pytest.mark.parametrize(
    "target",
    [
        "/a.txt", "//a.txt", "/static/a.txt", "/static//deep///b.txt", "/%61.txt", "/a%2etxt",
        "/deep%2fb.txt", "/%C4%B0x.txt", "/%C3%9F%20%C3%A9.txt", "/semi;colon.txt", "/semi%3Bcolon.txt",
        "/100%25.txt", "/a+b.txt", "/a.txt?x=/../y", "/in.txt", "/.well-known/ok.txt",
    ],
)  # fmt: skip
def test_p3_p4_one_form_of_a_name(target: str, site: Site) -> None:
    """Decoded once, slashes merged, not a letter changed: not even one whose lower case is longer."""
    assert ask(site.address, target).body == INSIDE


def test_p4_case_is_no_alias(site: Site) -> None:
    assert_nothing_seen(
        site, [b"/A.TXT", b"/Static/a.txt", b"/i%CC%87x.txt", b"/DEEP/b.txt", b"/ss%20%C3%A9.txt"]
    )


def test_p5_control_characters_are_400(site: Site) -> None:
    bad = [b"/a.txt%%%02x" % code for code in [*range(32), 127]] + [
        b"/%%%02xa.txt" % code for code in range(32)
    ]
    assert_nothing_seen(site, bad, (400,))


def test_p6_links_do_not_lead_outside(site: Site) -> None:
    assert_nothing_seen(
        site, [b"/out.txt", b"/out/secret.txt", b"/abs.txt", b"/twice.txt", b"/loop", b"/loop/x"], (404,)
    )
    assert_nothing_seen(
        site, [b"/out", b"/out/", b"/proc/environ", b"/proc/root/etc/passwd", b"/proc"], (404,)
    )


def test_p7_hidden_names_and_copies(site: Site) -> None:
    hidden = [
        b"/.env",
        b"/.git/config",
        b"/.git/",
        b"/.git",
        b"/%2eenv",
        b"/%2Egit%2fconfig",
        b"/a.txt~",
        b"/a.txt%7e",
    ]
    assert_nothing_seen(site, [*hidden, b"/a.txt.swp", b"/.a.txt.swp", b"/static/.env", b"/deep//..%2f.env"])


@pytest.mark.parametrize(
    "ranges",
    ["bytes=" + ",".join(f"{n}-" for n in range(1300)), "bytes=0-,0-,0-,0-", "bytes=5-2", "bytes=-99999999",
     "bytes=9223372036854775808-", "bytes=0-18446744073709551615", "bytes=-0", "bytes=--5", "bytes=a-b",
     "bits=0-1"],
)  # fmt: skip
def test_p8_never_more_than_the_file(ranges: str, site: Site) -> None:
    answer = ask(site.address, "/a.txt", f"Range: {ranges}")
    assert answer.status in (200, 206, 416)
    assert answer.status == 416 or answer.body in INSIDE
    assert "multipart" not in answer.headers.get("content-type", "")


def test_p9_a_file_that_shrinks_is_short_and_never_anything_else(site: Site) -> None:
    path = site.folder / "public" / "big.bin"
    path.write_bytes(b"x" * BIG)
    with Talk(site.address) as talk:
        talk.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        talk.say("GET /big.bin HTTP/1.1\nHost: a.example\n\n")
        assert talk.head()[3]["content-length"] == str(BIG)
        assert talk.exactly(100_000) == b"x" * 100_000
        os.truncate(path, 1000)
        try:
            rest = talk.file.read()
        except ConnectionResetError:
            rest = b""
    assert 100_000 + len(rest) < BIG
    # sendfile lends the page cache's own pages, and truncate clears what is left of the last one: a few zeros
    # may be on their way already. What matters: it is short, and nothing of another file.
    assert set(rest) <= {ord("x"), 0}
    assert ask(site.address, "/a.txt").body == INSIDE


def test_p9_a_file_that_is_replaced_is_the_old_one_to_its_end(site: Site) -> None:
    path = site.folder / "public" / "other.bin"
    path.write_bytes(b"x" * BIG)
    with Talk(site.address) as talk:
        talk.say("GET /other.bin HTTP/1.1\nHost: a.example\n\n")
        talk.head()
        (site.folder / "new.bin").write_bytes(b"y" * BIG)
        (site.folder / "new.bin").replace(path)
        assert talk.exactly(BIG) == b"x" * BIG
    assert ask(site.address, "/other.bin").body[:9] == b"y" * 9


def test_p10_what_is_no_file_answers_at_once(site: Site) -> None:
    """A FIFO without a writer would hold the process for ever at open(2)."""
    assert_nothing_seen(
        site, [b"/fifo.txt", b"/fifo.txt/", b"/socket.txt", b"/deep/", b"/a.txt/", b"/a.txt/x"], (404,)
    )
    assert ask(site.address, "/deep").status == 308


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_p10_unreadable_is_not_there(site: Site) -> None:
    path = site.folder / "public" / "locked.txt"
    path.write_bytes(CANARY)
    path.chmod(0)
    assert_nothing_seen(site, [b"/locked.txt"], (403, 404))


def test_nothing_was_left_open(site: Site) -> None:
    """After all of the above: as many descriptors as before another thousand of the same."""
    pid = site.pids("proxy 0")[0] if site.pids("proxy 0") else site.pids("trivet: proxy")[-1]
    folder = Path(f"/proc/{pid}/fd")
    before = len(list(folder.iterdir()))
    visit(site, climbs()[::7] + GUARDED)
    wait_until(lambda: len(list(folder.iterdir())) <= before, 5, "descriptors given back")
