"""The files handler over a real tree: what is served, what is a 304, and what never leaves the root."""

from __future__ import annotations

import gc
import os
import socket
import stat
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from trivet_common.http1.errors import HttpError
from trivet_common.http1.request import HeadLimits, RequestReader
from trivet_proxy import beneath
from trivet_proxy.complaints import Complaints
from trivet_proxy.delivery import SMALL
from trivet_proxy.folder import Folder
from trivet_proxy.handlers.files import file_handler, files_handler

INSIDE, OUTSIDE = b"from inside\n", b"SECRET FROM OUTSIDE\n"


@dataclass
class FakeRequest:
    head: object


@dataclass
class FakeWriter:
    """Keeps what was answered; `send_file` reads the file as sendfile does."""

    method: bytes = b"GET"
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    length: int | None = None
    body: bytes = b""
    sends: int = 0
    is_finished: bool = False
    problem: HttpError | None = None

    async def send(self, status, headers, body=b"", reason=None):
        self.status, self.headers, self.length = status, dict(headers), len(body)
        self.body = b"" if self.method == b"HEAD" else body
        self.sends += 1
        self.is_finished = True

    def start(self, status, reason, headers, length):
        self.status, self.headers, self.length = status, dict(headers), length

    has_room = True

    def write(self, piece):
        self.body += piece

    async def send_file(self, fd, offset, count):
        data = os.pread(fd, count, offset)
        self.body += data
        return len(data)

    async def finish(self):
        self.is_finished = True


async def ask(handler, target: bytes, method: bytes = b"GET", headers: bytes = b"") -> FakeWriter:
    """Through the real gate, as a client would; the gate's refusals count as answers."""
    writer = FakeWriter(method)
    try:
        reader = RequestReader(HeadLimits(32768, 100))
        head = reader.feed(method + b" " + target + b" HTTP/1.1\r\nhost: h\r\n" + headers + b"\r\n")
        await handler(FakeRequest(head), writer)
    except HttpError as error:
        writer.problem = error
        if not writer.status:
            writer.status, writer.headers = error.status, dict(error.headers)
    return writer


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
    (root / "large.bin").write_bytes(os.urandom(SMALL) + INSIDE)
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
    assert answer.length == SMALL + len(INSIDE)
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
                assert answer.headers == {b"etag": etag, b"last-modified": date}
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


@pytest.mark.parametrize("size", [100, SMALL * 4])
async def test_a_file_that_shrinks_is_cut_not_padded(tree, way, monkeypatch, size):
    (tree / "log.bin").write_bytes(b"x" * size)
    real = os.fstat

    def shrink(fd):
        info = real(fd)
        os.truncate(tree / "log.bin", size // 2)
        return info

    site = files_handler(Folder(tree), b"/", Complaints(print))
    monkeypatch.setattr("trivet_proxy.handlers.files.os.fstat", shrink)
    answer = await ask(site, b"/log.bin")
    assert not answer.is_finished
    if size <= SMALL:
        assert (answer.status, answer.body) == (500, b"")  # nothing was sent yet: say so
    else:
        assert (answer.status, answer.length, len(answer.body)) == (200, size, size // 2)
        assert answer.problem.why == "file_changed"  # the connection cuts what has begun


async def test_unreadable_is_not_found_and_said_once(tree, way, monkeypatch):
    said: list[str] = []
    folder = Folder(tree)
    handler = files_handler(folder, b"/", Complaints(said.append))

    def deny(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("trivet_proxy.folder.open_beneath", deny)
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
    monkeypatch.setattr("trivet_proxy.folder.open_beneath", fail)
    assert (await ask(handler, b"/a.txt")).status == status


async def test_descriptors_are_given_back(site):
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
