"""The files handler over a real tree: what is served, what is a 304, and what never leaves the root."""

from __future__ import annotations

import errno
import gc
import os
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from tests.proxy.fakes_files import ask
from trivet_common.config import FilesAction
from trivet_proxy import beneath, disk, open_files
from trivet_proxy.beneath import Links
from trivet_proxy.complaints import Complaints
from trivet_proxy.folder import Folder
from trivet_proxy.handlers import files as rooms
from trivet_proxy.orders import Order
from trivet_proxy.shelf import LARGEST, Shelf

INSIDE, OUTSIDE = b"from inside\n", b"SECRET FROM OUTSIDE\n"


def files_handler(folder, prefix, complaints, **keys):
    """The route of a folder, with a clock of its own if the folder has one."""
    shelf = Shelf(folder._clock)
    return rooms.files_handler(FilesAction(folder.path, **keys), prefix, complaints, shelf, folder=folder)


def file_handler(path, complaints):
    return rooms.file_handler(path, complaints, Shelf())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """`root` to be served, beside it what may not be reached."""
    root = tmp_path / "root"
    (root / "css").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / ".well-known").mkdir()
    (root / ".git").mkdir()
    (root / "a.txt").write_bytes(INSIDE)
    (root / "css" / "site.css").write_bytes(INSIDE)
    (root / "css" / "index.html").write_bytes(INSIDE)
    (root / "index.html").write_bytes(INSIDE)
    (root / "nothing.txt").write_bytes(b"")
    (root / "a b.txt").write_bytes(INSIDE)
    (root / "..a").write_bytes(OUTSIDE)
    (root / "note.txt~").write_bytes(OUTSIDE)
    (root / "note.txt.swp").write_bytes(OUTSIDE)
    (root / ".env").write_bytes(OUTSIDE)
    (root / ".git" / "config").write_bytes(OUTSIDE)
    (root / ".well-known" / "security.txt").write_bytes(INSIDE)
    (root / ".well-known" / ".hidden").write_bytes(OUTSIDE)
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt")).write_bytes(INSIDE)
    (root / "large.bin").write_bytes(os.urandom(LARGEST) + INSIDE)
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(root / "socket"))
    (root / "device").symlink_to("/dev/zero")
    if os.geteuid() == 0:
        os.mknod(root / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    (tmp_path / "secret.txt").write_bytes(OUTSIDE)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_bytes(OUTSIDE)
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2" / "secret.txt").write_bytes(OUTSIDE)
    (root / "link-in.txt").symlink_to("a.txt")
    (root / "link-in-dir").symlink_to("css")
    (root / "css" / "up.txt").symlink_to("../a.txt")
    (root / "absolute.txt").symlink_to(root / "a.txt")
    (root / "absolute-dir").symlink_to(root / "css")
    (root / "link-out.txt").symlink_to("../secret.txt")
    (root / "link-out-absolute").symlink_to(tmp_path / "secret.txt")
    (root / "link-out-dir").symlink_to("../outside")
    (root / "link-out-dir-absolute").symlink_to(tmp_path / "outside")
    (root / "link-sibling").symlink_to(tmp_path / "root2")
    (root / "link-through").symlink_to("css/../../secret.txt")
    (root / "link-slash").symlink_to("/")
    (root / "loop").symlink_to("loop")
    (root / "magic").symlink_to(f"/proc/self/root{tmp_path}/secret.txt")
    (root / "dangling").symlink_to("nowhere")
    return root


@pytest.fixture(params=["openat2", "walk"])
def way(request, monkeypatch):
    """Every test runs both ways of opening: the kernel's, and ours for kernels without it."""
    if request.param == "walk":
        monkeypatch.setattr(beneath, "_has_openat2", False)
    elif not beneath._has_openat2:
        pytest.skip("this kernel has no openat2")
    return request.param


@pytest.fixture
def site(tree, way):
    return files_handler(Folder(tree), b"/", Complaints(print))


SERVED = [
    (b"/a.txt", b"text/plain; charset=utf-8"),
    (b"/", b"text/html; charset=utf-8"),
    (b"/css/", b"text/html; charset=utf-8"),
    (b"/css/site.css", b"text/css; charset=utf-8"),
    (b"//css///site.css", b"text/css; charset=utf-8"),
    (b"/css%2Fsite.css", b"text/css; charset=utf-8"),
    (b"/a%20b.txt", b"text/plain; charset=utf-8"),
    (b"/caf%E9.txt", b"text/plain; charset=utf-8"),
    (b"/.well-known/security.txt", b"text/plain; charset=utf-8"),
    (b"/link-in.txt", b"text/plain; charset=utf-8"),
    (b"/link-in-dir/site.css", b"text/css; charset=utf-8"),
    (b"/css/up.txt", b"text/plain; charset=utf-8"),
    (b"/link-in-dir/up.txt", b"text/plain; charset=utf-8"),
    (b"/absolute.txt", b"text/plain; charset=utf-8"),
    (b"/absolute-dir/up.txt", b"text/plain; charset=utf-8"),
    (b"/absolute-dir/", b"text/html; charset=utf-8"),
    (b"/a.txt?v=1&../../secret.txt", b"text/plain; charset=utf-8"),
]


@pytest.mark.parametrize(("target", "content_type"), SERVED)
async def test_served(site, target, content_type):
    answer = await ask(site, target)
    assert (answer.status, answer.body, answer.sends) == (200, INSIDE, 1)
    assert answer.headers[b"content-type"] == content_type
    head = await ask(site, target, b"HEAD")
    assert (head.status, head.length, head.body, head.is_finished) == (200, len(INSIDE), b"", True)
    assert head.headers == answer.headers


async def test_a_large_file_goes_by_sendfile(site, tree):
    answer = await ask(site, b"/large.bin")
    assert answer.body == (tree / "large.bin").read_bytes()
    assert answer.is_finished
    assert answer.length == LARGEST + len(INSIDE)
    assert answer.sends == 0


async def test_an_empty_file(site):
    answer = await ask(site, b"/nothing.txt")
    assert (answer.status, answer.length, answer.is_finished) == (200, 0, True)


ESCAPES = [
    *(
        b"/link-out.txt",
        b"/link-out-absolute",
        b"/link-out-dir/secret.txt",
        b"/link-out-dir-absolute/secret.txt",
    ),
    *(
        b"/link-sibling/secret.txt",
        b"/link-through",
        b"/link-slash/etc/passwd",
        b"/magic",
        b"/loop",
        b"/dangling",
    ),
    *(
        b"/link-in-dir/../../secret.txt",
        b"/absolute-dir/../../secret.txt",
        b"/link-out-dir/",
        b"/link-slash/",
    ),
    *(b"/../secret.txt", b"/css/../../secret.txt", b"/./../secret.txt", b"/..", b"/.", b"/../", b"/css/.."),
    *(b"/%2e%2e/secret.txt", b"/%2E%2E/secret.txt", b"/.%2e/secret.txt", b"/%2e./secret.txt"),
    *(b"/..%2fsecret.txt", b"/..%2Fsecret.txt", b"/%2e%2e%2fsecret.txt", b"/css%2f..%2f..%2fsecret.txt"),
    *(
        b"/%252e%252e/secret.txt",
        b"/%252e%252e%252fsecret.txt",
        b"/..%252fsecret.txt",
        b"/%25%32%65%25%32%65/secret.txt",
    ),
    *(
        b"/..\\secret.txt",
        b"/..%5csecret.txt",
        b"/%2e%2e%5csecret.txt",
        b"/css\\..\\..\\secret.txt",
        b"/..;/secret.txt",
    ),
    *(
        b"/..%00/secret.txt",
        b"/a.txt%00",
        b"/a.txt%00.html",
        b"/%00",
        b"/..%0a/secret.txt",
        b"/a.txt%0d%0aX:%20y",
    ),
    *(
        b"/%c0%ae%c0%ae/secret.txt",
        b"/%c0%af../secret.txt",
        b"/..%c0%afsecret.txt",
        b"/%e0%80%ae./secret.txt",
    ),
    *(b"/%uff0e%uff0e/secret.txt", b"/%ef%bc%8e%ef%bc%8e/secret.txt", b"/%zz", b"/%", b"/%2", b"/a.txt%"),
    *(
        b"/....//secret.txt",
        b"/..././secret.txt",
        b"/.../secret.txt",
        b"/..a",
        b"/ ../secret.txt",
        b"/%20../secret.txt",
    ),
    *(
        b"/../root2/secret.txt",
        b"/../root/../secret.txt",
        b"//../secret.txt",
        b"/.//../secret.txt",
        b"///../secret.txt",
    ),
    *(b"/etc/passwd", b"//etc/passwd", b"/%2fetc/passwd", b"/file:///etc/passwd", b"/proc/self/environ"),
    *(
        b"/.env",
        b"/.git/config",
        b"/.git/",
        b"/css/.env",
        b"/%2eenv",
        b"/.git%2fconfig",
        b"/.well-known/.hidden",
    ),
    *(
        b"/.well-known/../.env",
        b"/note.txt~",
        b"/note.txt.swp",
        b"/note.txt%7e",
        b"/.well-known",
        b"/css/.well-known/x",
    ),
    *(
        b"/fifo",
        b"/socket",
        b"/device",
        b"/fifo/",
        b"/a.txt/",
        b"/a.txt/index.html",
        b"/empty/",
        b"/none",
        b"/none/",
    ),
    *(
        b"/" + b"a" * 300,
        b"/" + b"a/" * 4000,
        b"/css/" * 900 + b"x",
        b"/~root",
        b"/C:/secret.txt",
        b"/a.txt::$DATA",
    ),
    *(b"http://h/../secret.txt", b"http://h/%2e%2e/secret.txt", b"*", b"secret.txt", b"../secret.txt"),
]


def test_the_corpus_is_large_enough():
    assert len(set(ESCAPES)) >= 100


async def test_nothing_else_is_served(site):
    for target in ESCAPES:
        answer = await ask(site, target)
        assert answer.status in (400, 404), target
        assert answer.body == b"", target


@pytest.mark.parametrize(
    "keys", [{"listing": True}, {"fallback": "index.html"}, {"passes_on": True}], ids=str
)
async def test_nor_by_what_answers_in_its_place(tree, way, keys):
    site = files_handler(Folder(tree), b"/", Complaints(print), **keys)
    for target in ESCAPES:
        answer = await ask(site, target)
        assert answer.status in (-1, 400, 404, 200), target
        assert OUTSIDE not in answer.body, target
        assert b"secret" not in answer.body, target


async def test_nor_below_a_prefix(tree, way):
    handler = files_handler(Folder(tree), b"/static/", Complaints(print))
    for target in ESCAPES:
        slash = (
            b"" if target.startswith(b"/") else b"/"
        )  # the router lets only what lies below the prefix through
        answer = await ask(handler, b"/static" + slash + target)
        assert answer.status in (400, 404), target
        assert answer.body == b"", target


async def test_a_prefix_is_cut_off(tree, way):
    handler = files_handler(Folder(tree / "css"), b"/static/", Complaints(print))
    assert (await ask(handler, b"/static/site.css")).body == INSIDE
    # Here .well-known is not the one of the site's root.
    handler = files_handler(Folder(tree), b"/static/", Complaints(print))
    assert (await ask(handler, b"/static/.well-known/security.txt")).status == 404
    handler = files_handler(Folder(tree / ".well-known"), b"/.well-known/", Complaints(print))
    assert (await ask(handler, b"/.well-known/security.txt")).body == INSIDE


SLASHES = [
    (b"/css", b"/css/"),
    (b"/css?a=b%0d%0ac", b"/css/?a=b%0d%0ac"),
    (b"//css", b"/css/"),
    (b"/link-in-dir", b"/link-in-dir/"),
    (b"/empty", b"/empty/"),
    (b"//evil.example", None),
    (b"//evil.example/%2e%2e", None),
    (b"/%2fcss", b"/css/"),
    (b"/%5ccss", None),
]


@pytest.mark.parametrize(("target", "location"), SLASHES)
async def test_a_folder_without_its_slash(site, target, location):
    answer = await ask(site, target)
    if location is None:
        assert answer.status in (400, 404)
    else:
        assert (answer.status, answer.headers) == (308, {b"location": location})


async def test_a_folder_whose_name_looks_like_a_host(tree, way):
    (tree / "\\evil.example").mkdir()
    (tree / "line\nend").mkdir()
    site = files_handler(Folder(tree), b"/", Complaints(print))
    assert (await ask(site, b"/%5Cevil.example")).headers == {b"location": b"/%5Cevil.example/"}
    assert (await ask(site, b"/line%0Aend")).status == 400


async def test_validators(site, tree):
    os.utime(tree / "a.txt", ns=(0, 784111777_123456789))
    first = await ask(site, b"/a.txt")
    etag, date = first.headers[b"etag"], first.headers[b"last-modified"]
    assert date == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert etag == b'"%x-%x"' % (len(INSIDE), 784111777_123456789)
    other = b'"other"'
    table = [
        (b"if-none-match: " + etag, 304),
        (b"if-none-match: W/" + etag, 304),
        (b"if-none-match: " + other, 200),
        (b"if-none-match: " + other + b", " + etag, 304),
        (b"if-none-match: " + other + b"\r\nif-none-match: " + etag, 304),
        (b'if-none-match: "a,b",W/' + etag, 304),
        (b"if-none-match: *", 304),
        (b"if-none-match: " + etag[1:-1], 200),
        (b"if-none-match:", 200),
        (b'if-none-match: "', 200),
        (b"if-modified-since: " + date, 304),
        (b"if-modified-since: Sunday, 06-Nov-94 08:49:37 GMT", 304),
        (b"if-modified-since: Sun Nov  6 08:49:37 1994", 304),
        (b"if-modified-since: Sun, 06 Nov 1994 08:49:36 GMT", 200),
        (b"if-modified-since: Mon, 07 Nov 1994 08:49:36 GMT", 304),
        (b"if-modified-since: Fri, 31 Dec 9999 23:59:59 GMT", 200),
        (b"if-modified-since: yesterday", 200),
        (b"if-none-match: " + other + b"\r\nif-modified-since: " + date, 200),
        (b"if-none-match: " + etag + b"\r\nif-modified-since: Sun, 06 Nov 1980 08:49:37 GMT", 304),
    ]
    for headers, status in table:
        for method in (b"GET", b"HEAD"):
            answer = await ask(site, b"/a.txt", method, headers + b"\r\n")
            assert answer.status == status, headers
            if status == 304:
                usual = {b"cache-control": b"no-cache"}
                assert answer.headers == {b"etag": etag, b"last-modified": date} | usual
                assert answer.body == b""


async def test_a_file_from_the_future_has_no_date(site, tree):
    os.utime(tree / "a.txt", (time.time() + 86400,) * 2)
    assert b"last-modified" not in (await ask(site, b"/a.txt")).headers


async def test_a_changed_file_has_another_etag(site, tree):
    first = await ask(site, b"/a.txt")
    (tree / "a.txt").write_bytes(b"other bytes\n")  # of the same length
    os.utime(tree / "a.txt", ns=(0, 5))
    second = await ask(site, b"/a.txt")
    assert first.headers[b"etag"] != second.headers[b"etag"]
    assert second.body == b"other bytes\n"


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"PROPFIND"])
async def test_other_methods(site, method):
    answer = await ask(site, b"/a.txt", method)
    assert (answer.status, answer.headers) == (405, {b"allow": b"GET, HEAD, OPTIONS"})


async def test_options(site):
    answer = await ask(site, b"/a.txt", b"OPTIONS")
    assert (answer.status, answer.headers) == (204, {b"allow": b"GET, HEAD, OPTIONS"})


async def test_a_large_file_that_shrinks_is_cut_not_padded(site, tree, monkeypatch):
    size = LARGEST * 4
    (tree / "log.bin").write_bytes(b"x" * size)

    async def shrink(*arguments):
        os.truncate(tree / "log.bin", size // 2)

    monkeypatch.setattr("trivet_proxy.delivery.disk.warm", shrink)
    answer = await ask(site, b"/log.bin")
    assert not answer.is_finished
    assert (answer.status, answer.length, len(answer.body)) == (200, size, size // 2)
    assert answer.problem.why == "file_changed"  # the connection cuts what has begun


async def test_a_small_file_that_shrinks_is_sent_as_it_is_then(site, tree, monkeypatch):
    (tree / "log.txt").write_bytes(b"x" * 100)
    real = disk.read

    async def shrink(*arguments):
        os.truncate(tree / "log.txt", 50)
        return await real(*arguments)

    monkeypatch.setattr("trivet_proxy.catalogue.disk.read", shrink)
    answer = await ask(site, b"/log.txt")
    assert (answer.status, answer.length, answer.body) == (200, 50, b"x" * 50)


async def test_a_file_that_never_stays_the_same(site, tree, monkeypatch):
    (tree / "log.txt").write_bytes(b"x" * 100)
    real = os.fstat

    def grow(fd):
        with open(tree / "log.txt", "ab") as log:
            log.write(b"y")
        return real(fd)

    monkeypatch.setattr("trivet_proxy.catalogue.os.fstat", grow)
    answer = await ask(site, b"/log.txt")
    assert (answer.status, answer.is_finished, len(answer.body)) == (200, True, answer.length)
    assert answer.length > 100


async def test_unreadable_is_not_found_and_said_once(tree, way, monkeypatch):
    said: list[str] = []
    folder = Folder(tree)
    handler = files_handler(folder, b"/", Complaints(said.append))

    def deny(*arguments):
        raise PermissionError(13, "Permission denied")

    for opener in ("open_beneath", "open_if_known"):
        monkeypatch.setattr(f"trivet_proxy.folder.{opener}", deny)
    for _ in range(3):
        assert (await ask(handler, b"/a.txt")).status == 404
    assert len(said) == 1
    assert "a.txt" in said[0]


@pytest.mark.parametrize(
    ("number", "status"),
    [(24, 503), (23, 503), (12, 503), (5, 500), (28, 500), (9, 500), (2, 404), (36, 404), (6, 404)],
)
async def test_what_the_system_says(tree, way, monkeypatch, number, status):
    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    handler = files_handler(Folder(tree), b"/", Complaints(print))
    for opener in ("open_beneath", "open_if_known"):
        monkeypatch.setattr(f"trivet_proxy.folder.{opener}", fail)
    assert (await ask(handler, b"/a.txt")).status == status


async def test_descriptors_are_given_back(site, monkeypatch):
    monkeypatch.setattr(open_files, "_MOST", 0)  # else a large one is open for a second
    gc.collect()  # folders that earlier tests left in a cycle
    before = len(os.listdir("/proc/self/fd"))
    for target in [*(target for target, _ in SERVED), *ESCAPES, b"/large.bin", b"/css"]:
        await ask(site, target)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_replaced_root_is_followed_within_a_second(tree, way):
    now = 0.0
    current = tree.parent / "current"
    current.symlink_to(tree)
    folder = Folder(current, clock=lambda: now)
    handler = files_handler(folder, b"/", Complaints(print))
    release = tree.parent / "release2"
    release.mkdir()
    (release / "a.txt").write_bytes(b"second\n")
    swap = tree.parent / "current.new"
    swap.symlink_to(release)
    swap.rename(current)
    assert (await ask(handler, b"/a.txt")).body == INSIDE
    now = 1.0
    assert (await ask(handler, b"/a.txt")).body == b"second\n"
    current.unlink()
    now = 2.0
    assert (await ask(handler, b"/a.txt")).body == b"second\n"
    folder.close()


async def test_a_link_swapped_in_a_loop_never_leads_outside(tree, way):
    """Hardening P6: a directory and a link outside change places while files are asked for."""
    (tree / "swap").mkdir()
    (tree / "swap" / "secret.txt").write_bytes(INSIDE)
    stop = threading.Event()
    failed: list[BaseException] = []

    def swap() -> None:
        names = ["swap", "swap.dir"]
        (tree / "swap.out").symlink_to("../outside")
        try:
            while not stop.is_set():
                os.rename(tree / names[0], tree / names[1])
                os.rename(tree / "swap.out", tree / "swap")
                os.rename(tree / "swap", tree / "swap.out")
                os.rename(tree / names[1], tree / names[0])
        except BaseException as error:
            failed.append(error)

    handler = files_handler(Folder(tree), b"/", Complaints(print))
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        statuses = set()
        for _ in range(4000):
            answer = await ask(handler, b"/swap/secret.txt")
            assert answer.body in (b"", INSIDE)
            statuses.add(answer.status)
    finally:
        stop.set()
        swapper.join(10)
    assert not failed
    assert statuses <= {200, 404}


async def test_one_file(tree):
    handler = file_handler(tree / "link-out.txt", Complaints(print))  # the operator's own choice of link
    answer = await ask(handler, b"/anything")
    assert (answer.status, answer.body) == (200, OUTSIDE)
    assert answer.headers[b"content-type"] == b"text/plain; charset=utf-8"
    assert (await ask(handler, b"/anything", b"HEAD")).length == len(OUTSIDE)
    assert (await ask(handler, b"/anything", b"POST")).status == 405
    assert (await ask(handler, b"/anything", b"OPTIONS")).status == 204
    etag = answer.headers[b"etag"]
    assert (await ask(handler, b"/anything", b"GET", b"if-none-match: " + etag + b"\r\n")).status == 304


@pytest.mark.parametrize("name", ["fifo", "socket", "css", "none", "device"])
async def test_one_file_that_is_none(tree, name):
    handler = file_handler(tree / name, Complaints(print))
    assert (await ask(handler, b"/")).status == 404


async def test_a_folder_that_comes_later(tmp_path, way):
    now = 0.0
    said: list[str] = []
    handler = files_handler(Folder(tmp_path / "late", clock=lambda: now), b"/", Complaints(said.append))
    assert (await ask(handler, b"/a.txt")).status == 404
    assert "there is no" in said[0]
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "a.txt").write_bytes(INSIDE)
    assert (await ask(handler, b"/a.txt")).status == 404
    now = 1.0
    assert (await ask(handler, b"/a.txt")).body == INSIDE
    assert len(said) == 1


# What the keys of `files:` change.


def route(tree, **keys):
    links = Links(keys.get("follow_links", "inside"))
    return files_handler(Folder(tree, links=links), b"/", Complaints(print), **keys)


async def test_index(tree, way):
    (tree / "css" / "start.htm").write_bytes(b"start")
    assert (await ask(route(tree, index="start.htm"), b"/css/")).body == b"start"
    assert (await ask(route(tree, index="start.htm"), b"/")).status == 404
    assert (await ask(route(tree, index=None), b"/css/")).status == 404
    assert (await ask(route(tree, index=None), b"/css")).status == 308


async def test_fallback_to_a_file(tree, way):
    (tree / "app.html").write_bytes(b"app")
    site = route(tree, fallback="app.html")
    for target in (b"/orders/7", b"/orders/7/", b"/none.png", b"/empty/", b"/empty", b"/a.txt/"):
        answer = await ask(site, target)
        assert (answer.status, answer.body) == (200, b"app"), target
        assert answer.headers[b"content-type"] == b"text/html; charset=utf-8"
        assert answer.headers[b"cache-control"] == b"no-cache"
    # What is there is there, and a folder with an index is one.
    assert (await ask(site, b"/a.txt")).body == INSIDE
    assert (await ask(site, b"/css")).status == 308
    # An asset of another release is no page: a browser would run it as a script.
    for target in (b"/assets/index-BRBmoGS9.js", b"/assets/index-DiwrgTda.js", b"/app.27e20196a850.css"):
        assert (await ask(site, target)).status == 404
    # Nor is what is hidden, or leads outside.
    for target in (b"/.env", b"/.git/config", b"/note.txt~"):
        assert (await ask(site, target)).status == 404
    assert (await ask(site, b"/link-out.txt")).body == b"app"
    assert (await ask(site, b"/x", b"POST")).status == 405


async def test_fallback_to_the_next_route(tree, way):
    site = route(tree, fallback=None, passes_on=True)
    left = -1
    assert (await ask(site, b"/a.txt")).body == INSIDE
    assert (await ask(site, b"/")).body == INSIDE
    assert (await ask(site, b"/css")).status == 308
    for target in (b"/none", b"/empty", b"/empty/", b"/.env", b"/link-out.txt", b"/fifo", b"/a.txt/"):
        assert (await ask(site, target)).status == left, target
    for method in (b"POST", b"OPTIONS", b"DELETE"):
        assert (await ask(site, b"/a.txt", method)).status == left
    # Without an index the root is nobody's.
    (tree / "index.html").unlink()
    assert (await ask(site, b"/")).status == left


async def test_trouble_of_ours_is_not_left_to_the_next_route(tree, way, monkeypatch):
    def fail(*arguments):
        raise OSError(24, "Too many open files")

    site = route(tree, passes_on=True)
    for opener in ("open_beneath", "open_if_known"):
        monkeypatch.setattr(f"trivet_proxy.folder.{opener}", fail)
    assert (await ask(site, b"/a.txt")).status == 503


async def test_a_listing_is_made_in_a_thread(tree, monkeypatch):
    """Ten thousand rows held up the loop for 47 ms."""
    where: list[threading.Thread] = []
    render = rooms.listing.render

    def watched(*arguments, **keys):
        where.append(threading.current_thread())
        return render(*arguments, **keys)

    monkeypatch.setattr(rooms.listing, "render", watched)
    assert (await ask(route(tree, listing=True), b"/empty/")).status == 200
    assert [thread is threading.current_thread() for thread in where] == [False]


async def test_listing(tree, way):
    site = route(tree, listing=True)
    answer = await ask(site, b"/empty/")
    assert (answer.status, b"This folder is empty." in answer.body) == (200, True)
    assert b'href="../"' in answer.body
    assert answer.headers[b"content-type"] == b"text/html; charset=utf-8"
    assert (await ask(site, b"/css/")).body == INSIDE  # the index comes first
    (tree / "index.html").unlink()
    page = (await ask(site, b"/")).body
    assert b'href="../"' not in page
    for shown in (
        b"./a.txt",
        b"./a%20b.txt",
        b"./caf%E9.txt",
        b"./css/",
        b"./link-in.txt",
        b"./link-in-dir/",
    ):
        assert b'href="%b"' % shown in page
    for hidden in (
        b"link-out",
        b".env",
        b".git",
        b"fifo",
        b"socket",
        b"./device",
        b"~",
        b"dangling",
        b"magic",
    ):
        assert hidden not in page, hidden
    assert (await ask(site, b"/link-in-dir/")).body == INSIDE
    for target in (b"/.git/", b"/link-out-dir/", b"/link-slash/", b"/none/", b"/a.txt/"):
        assert (await ask(site, target)).status == 404, target
    assert (await ask(site, b"/empty/", b"HEAD")).body == b""
    assert (await ask(route(tree), b"/empty/")).status == 404


async def test_hidden(tree, way):
    site = route(tree, hidden=True, listing=True)
    for target in (b"/.env", b"/.git/config", b"/note.txt~"):
        assert (await ask(site, target)).body == OUTSIDE
    assert b'href="./config"' in (await ask(site, b"/.git/")).body
    for target in (b"/../secret.txt", b"/.git/../../secret.txt", b"/link-out.txt"):
        assert (await ask(site, target)).status in (400, 404)


async def test_uploads(tree, way):
    (tree / "a.svg").write_bytes(b"<svg/>")
    site = route(tree, uploads=True)
    answer = await ask(site, b"/a.svg")
    assert answer.headers[b"content-disposition"] == b"attachment"
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert b"content-disposition" not in (await ask(site, b"/a.txt")).headers


async def test_no_links_at_all(tree, way):
    site = route(tree, follow_links="never")
    assert (await ask(site, b"/a.txt")).body == INSIDE
    for target in (
        b"/link-in.txt",
        b"/link-in-dir/site.css",
        b"/css/up.txt",
        b"/absolute.txt",
        b"/link-out.txt",
    ):
        assert (await ask(site, target)).status == 404, target


async def test_every_link(tree, way):
    site = route(tree, follow_links="always")
    for target in (b"/link-out.txt", b"/link-out-absolute", b"/link-out-dir/secret.txt"):
        assert (await ask(site, target)).body == OUTSIDE
    assert (await ask(site, b"/link-in-dir/up.txt")).body == INSIDE
    # The path itself leads nowhere else all the same.
    for target in ESCAPES:
        if b"link" not in target and b"magic" not in target:
            assert (await ask(site, target)).status in (400, 404), target


async def test_types(tree, way):
    site = route(tree, types=(("txt", "text/x-own; charset=utf-8"),))
    assert (await ask(site, b"/a.txt")).headers[b"content-type"] == b"text/x-own; charset=utf-8"


async def test_a_manifest_that_is_none_is_said_once(tree, way):
    said: list[str] = []
    (tree / "staticfiles.json").write_text("{")
    handler = files_handler(Folder(tree), b"/", Complaints(said.append))
    for _ in range(3):
        assert (await ask(handler, b"/none")).status == 404
    assert len(said) == 1
    assert "staticfiles.json is no manifest" in said[0]


async def test_an_order_of_an_application(tree, way):
    """Whatever was asked for and how, it is the file that is sent, with the client's conditions on a GET."""
    folder = Folder(tree)
    handler = rooms.files_handler(
        FilesAction(tree), b"/private/", Complaints(print), Shelf(), folder=folder, is_internal=True
    )
    order = Order(b"/private/a.txt")
    order.take_headers([(b"set-cookie", b"a=b"), (b"content-type", b"text/html")])
    answer = await ask(handler, b"/download/7", order=order)
    assert (answer.status, answer.body) == (200, INSIDE)
    assert answer.headers[b"set-cookie"] == b"a=b"
    assert answer.headers[b"content-type"] == b"text/plain; charset=utf-8"
    assert answer.headers[b"cache-control"] == b"private, no-cache"
    part = await ask(handler, b"/download/7", headers=b"range: bytes=0-3\r\n", order=order)
    assert (part.status, part.body, part.headers[b"set-cookie"]) == (206, INSIDE[:4], b"a=b")
    etag = b"if-none-match: " + answer.headers[b"etag"] + b"\r\n"
    known = await ask(handler, b"/download/7", headers=etag, order=order)
    assert (known.status, known.headers[b"set-cookie"]) == (304, b"a=b")
    posted = await ask(handler, b"/download/7", b"POST", etag, order)
    assert (posted.status, posted.body) == (200, INSIDE)
    assert (await ask(handler, b"/download/7", b"HEAD", order=order)).body == b""
    for path in (b"/private/.env", b"/private/none", b"/private/css", b"/private/link-out.txt"):
        assert (await ask(handler, b"/download/7", order=Order(path))).status == 404
    one = file_handler(tree / "a.txt", Complaints(print))
    assert (await ask(one, b"/x", b"POST", order=Order(b"/one"))).body == INSIDE


async def test_a_disk_that_does_not_answer_is_no_missing_file(tree, monkeypatch):
    """A 404 would be remembered, and a fallback be taken for the file. Nor is it asked a second time."""
    asked = []

    async def late(self, work, after, undo=None):
        asked.append(work)
        after()
        raise TimeoutError(110, "late")

    site = route(tree, listing=True, fallback="index.html")
    single = file_handler(tree / "a.txt", Complaints(print))
    gc.collect()  # what earlier tests left in a cycle
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(disk.Lane, "run", late)
    monkeypatch.setattr("trivet_proxy.file_systems.known", lambda device: None)
    for handler, target in ((site, b"/a.txt"), (single, b"/a.txt"), (site, b"/empty/")):
        sent = await ask(handler, target)
        assert (sent.status, sent.problem.why, len(asked)) == (503, "disk_slow", 1)
        asked.clear()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
async def test_trouble_of_ours_is_no_missing_folder(tree, monkeypatch, number):
    """Descriptors or threads that cannot be had: 503, and what was opened already is closed."""
    site = route(tree, listing=True, index=None)
    await ask(site, b"/")

    def fail(fd):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(disk, "lane_of", fail)
    before = len(os.listdir("/proc/self/fd"))
    sent = await ask(site, b"/empty/")
    assert (sent.status, sent.problem.why) == (503, "overloaded")
    assert len(os.listdir("/proc/self/fd")) == before


async def test_another_build_of_the_same_size_and_time_is_no_304(tree, monkeypatch):
    """Nix and SOURCE_DATE_EPOCH give every file of every build one time."""
    page = tree / "index.html"
    os.utime(page, (1, 1))
    before = (await ask(route(tree), b"/")).headers[b"etag"]
    fresh = tree / "fresh"
    fresh.write_bytes(page.read_bytes().swapcase())
    os.utime(fresh, (1, 1))
    fresh.rename(page)
    again = await ask(route(tree), b"/", headers=b"if-none-match: " + before + b"\r\n")
    assert (again.status, again.body) == (200, INSIDE.swapcase())
    assert b"last-modified" not in again.headers
