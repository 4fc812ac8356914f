"""Headers, prefixes, rewrites and logs of routes, the same before files, a pool and an upstream."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Answer, Talk, ask

pytestmark = pytest.mark.usefixtures("over")

TELLING = """
import json


def application(environ, start_response):
    if environ["PATH_INFO"] == "/order":
        start_response("200 OK", [("X-Accel-Redirect", "/inside/page.txt")])
        return []
    headers = [("Content-Type", "application/json"), ("X-Powered-By", "a"), ("Cache-Control", "private")]
    start_response("404 Not Found" if environ["PATH_INFO"] == "/gone" else "200 OK", headers)
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    return [json.dumps(told).encode()]
"""


class Echo(BaseHTTPRequestHandler):
    """Another server: says what it was asked, in the words of the application."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        told: dict[str, str] = {}
        for name, value in self.headers.items():
            key = f"HTTP_{name.upper().replace('-', '_')}"
            told[key] = f"{told[key]},{value}" if key in told else value
        path, _, query = self.path.partition("?")
        text = json.dumps(
            {**told, "REQUEST_URI": self.path, "PATH_INFO": path, "QUERY_STRING": query}
        ).encode()
        self.send_response(404 if path == "/gone" else 200)
        for field in (
            ("Content-Length", str(len(text))),
            ("X-Powered-By", "a"),
            ("Cache-Control", "private"),
        ):
            self.send_header(*field)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else text)

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        pass


CONFIG = """
proxy: {processes: 2}
log: {access: access.log, format: json}
trusted_proxies: [127.0.0.2]
defaults:
  request_headers: {set: {X-Site: shop, X-Kind: none}, remove: [X-Secret]}
  response_headers: {default: {X-Frame-Options: DENY, X-Kind: none}}
routes:
  - path_regex: "^/(pool|upstream|files)/t/([^/]+)/(.*)$"
    path: /KIND/t/
    ACTION
    strip_prefix: /KIND/t
    request_headers:
      set: {X-Kind: "{1}", X-Uri: "{uri}", X-Tenant: "{2}", X-Who: "{client} {scheme} {host}"}
      add: {X-More: [one, "two {request_id}"]}
      default: {X-Default: ours}
      remove: Accept-Language
    response_headers:
      set: {X-Request-Id: "{request_id}", X-Rest: "{3}"}
      add: {X-Asked: "{uri}"}
      remove: X-Powered-By
      default: {Cache-Control: no-store, X-Kind: "{1}"}
  - path: /KIND/new/
    ACTION
    rewrite: {from: "^/KIND/new/([^/]+)/(.*)$", to: "/{2}?name={1}"}
  - {path: /KIND/plain/, ACTION2, strip_prefix: /KIND/plain/}
  - {path: /KIND/host/, ACTION2, strip_prefix: /KIND/host, request_headers: {set: {Host: inner.example}}}
"""
REST = """
  - {path: /inside/, internal: true, files: public, response_headers: {set: {X-From: "{uri}"}}}
  - {path: /mounted/, mount: true, pool: web}
  - {path: /next/, strip_prefix: /next, files: {root: public, fallback: next}}
  - {path: /next/, pool: web, response_headers: {set: {X-Next: "{path}"}}}
  - {path: /moved/, redirect: {to: "https://new.example{uri}", status: 301}}
  - {path_regex: "^/blog/([0-9]+)/(.*)$", redirect: {to: "/{2}?year={1}&from={uri}", status: 307}}
  - {path: /see, redirect: {to: "/other?{query}", status: 303}}
  - {path: /deny, respond: no, deny: [127.0.0.0/8, unix], response_headers: {set: {X-Id: "{request_id}"}}}
  - {path: /order, pool: web}
pools: {web: {app: telling, workers: 2}}
"""
KINDS = ("pool", "upstream", "files")


def config(server: ThreadingHTTPServer) -> str:
    text, *routes = CONFIG.partition("routes:\n")
    for kind in KINDS:
        action = {
            "pool": "pool: web",
            "upstream": f'upstream: "http://127.0.0.1:{server.server_port}"',
            "files": "files: public",
        }[kind]
        text += routes[0] if kind == "pool" else ""
        text += routes[1].replace("KIND", kind).replace("ACTION2", action).replace("ACTION", action)
    return text + REST


@pytest.fixture(scope="module")
def site(over: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("headers")
    for name in ("public/t t", "public/sub"):
        (folder / name).mkdir(parents=True)
    for name in ("t t/page.txt", "page.txt", "sub/index.html"):
        (folder / "public" / name).write_text("a page")
        os.utime(folder / "public" / name, (1_600_000_000, 1_600_000_000))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with running(folder, config(server), telling=TELLING) as site:
        yield site
        assert "Traceback" not in site.said()
    server.shutdown()
    server.server_close()


FORGED = (
    "X-Kind: forged", "X-Secret: s", "X-Site: forged", "X-Tenant: forged", "X-Default: theirs",
    "X-Forwarded-Prefix: /forged", "X-More: zero", "Accept-Language: de", "Connection: x-uri, x-default",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["pool", "upstream"])
def test_what_goes_on(site: Site, over: str, kind: str) -> None:
    target = f"/{kind}/t/t%20t/page.txt?a=b%0d%0aX-Evil:%20c"
    for _ in range(2):  # on a kept connection too
        answer = ask(site.address, target, *FORGED)
        told = answer.json()
        request_id = answer.headers["x-request-id"]
        assert told["REQUEST_URI"] == "/t%20t/page.txt?a=b%0d%0aX-Evil:%20c"
        assert told["QUERY_STRING"] == "a=b%0d%0aX-Evil:%20c"
        assert told["HTTP_X_FORWARDED_PREFIX"] == f"/{kind}/t"
        assert told["HTTP_X_KIND"] == kind
        assert told["HTTP_X_SITE"] == "shop"
        assert told["HTTP_X_URI"] == target
        assert told["HTTP_X_TENANT"] == "t%20t"
        assert told["HTTP_X_WHO"] == f"127.0.0.1 {over} a.example"
        assert told["HTTP_X_MORE"] == f"zero,one,two {request_id}"
        assert told["HTTP_X_REQUEST_ID"] == request_id
        assert told["HTTP_X_DEFAULT"] == "ours"  # the client's own Connection field had taken its away
        assert not {"HTTP_X_SECRET", "HTTP_ACCEPT_LANGUAGE", "HTTP_X_EVIL"} & told.keys()
    assert ask(site.address, target, "X-Default: theirs").json()["HTTP_X_DEFAULT"] == "theirs"


def test_what_a_pool_sees_of_a_path(site: Site) -> None:
    """PATH_INFO and REQUEST_URI are what goes on, as behind nginx's proxy_pass; SCRIPT_NAME is mount's."""
    told = ask(site.address, "/pool/plain/a%20b/?q").json()
    assert (told["SCRIPT_NAME"], told["PATH_INFO"], told["QUERY_STRING"]) == ("", "/a b/", "q")
    assert told["REQUEST_URI"] == told["RAW_URI"] == "/a%20b/?q"
    assert told["HTTP_X_FORWARDED_PREFIX"] == "/pool/plain"
    told = ask(site.address, "/pool/new/n%26x/a?b").json()
    assert (told["SCRIPT_NAME"], told["PATH_INFO"], told["QUERY_STRING"]) == ("", "/a", "name=n%26x")
    assert "HTTP_X_FORWARDED_PREFIX" not in told
    told = ask(site.address, "/mounted/a?b").json()
    assert (told["SCRIPT_NAME"], told["PATH_INFO"], told["REQUEST_URI"]) == ("/mounted", "/a", "/mounted/a?b")


@pytest.mark.parametrize("kind", ["pool", "upstream"])
def test_another_host(site: Site, kind: str) -> None:
    told = ask(site.address, f"/{kind}/host/x").json()
    assert (told["HTTP_HOST"], told["HTTP_X_FORWARDED_HOST"]) == ("inner.example", "a.example")


@pytest.mark.parametrize("kind", ["pool", "upstream"])
def test_a_prefix_is_a_trusted_peers_and_ours(site: Site, kind: str) -> None:
    with Talk(site.address, source="127.0.0.2") as talk:
        told = talk.get(f"/{kind}/plain/x", "X-Forwarded-Prefix: /outer").json()
    assert told["HTTP_X_FORWARDED_PREFIX"] == f"/outer/{kind}/plain"
    assert told["REQUEST_URI"] == "/x"


def lines_of(answer: Answer) -> dict[str, str | None]:
    names = ("x-rest", "x-asked", "x-frame-options", "x-kind", "x-powered-by", "cache-control")
    return {name: answer.headers.get(name) for name in names}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_answered(site: Site, kind: str, method: str) -> None:
    target = f"/{kind}/t/t%20t/page.txt?x=%22y"
    with Talk(site.address) as talk:
        first, second = (talk.get(target, method=method) for _ in range(2))
    assert first.status == second.status == 200
    assert lines_of(first) == lines_of(second) == {
        "x-rest": "page.txt", "x-asked": target, "x-frame-options": "DENY", "x-kind": kind,
        "x-powered-by": None, "cache-control": "no-cache" if kind == "files" else "private",
    }  # fmt: skip
    assert len(first.headers["x-request-id"]) == 32
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    if kind == "files" and method == "GET":
        assert first.body == b"a page"


def test_of_files_what_was_not_changed_and_parts_have_them_too(site: Site) -> None:
    target = "/files/t/t%20t/page.txt"
    etag = ask(site.address, target).headers["etag"]
    unchanged = ask(site.address, target, f"If-None-Match: {etag}")
    part = ask(site.address, target, "Range: bytes=2-5")
    lost = ask(site.address, "/files/t/t%20t/gone.txt")
    assert (unchanged.status, part.status, part.body, lost.status) == (304, 206, b"page", 404)
    for answer in (unchanged, part, lost):
        assert answer.headers["x-asked"].startswith("/files/t/t%20t/")
        assert len(answer.headers["x-request-id"]) == 32


def test_files_after_a_prefix_and_a_rewrite(site: Site) -> None:
    assert ask(site.address, "/files/plain/page.txt").body == b"a page"
    assert ask(site.address, "/files/plain/t%20t/page.txt").body == b"a page"
    assert ask(site.address, "/files/new/any/page.txt").body == b"a page"
    assert ask(site.address, "/files/new/any/files/page.txt").status == 404
    assert ask(site.address, "/files/plain/../page.txt").status == 400
    folder = ask(site.address, "/files/plain/sub?a=b")
    assert (folder.status, folder.headers["location"]) == (308, "/files/plain/sub/?a=b")
    assert ask(site.address, "/files/plain/sub/").body == b"a page"
    assert ask(site.address, "/files/plain//sub").headers["location"] == "/files/plain/sub/"


def test_the_next_route_sees_what_the_client_asked(site: Site) -> None:
    assert ask(site.address, "/next/page.txt").body == b"a page"
    answer = ask(site.address, "/next/other?q")
    assert answer.json()["REQUEST_URI"] == "/next/other?q"
    assert answer.headers["x-next"] == "/next/other"


def test_an_ordered_file(site: Site) -> None:
    answer = ask(site.address, "/order?x")
    assert (answer.body, answer.headers["x-from"]) == (b"a page", "/order?x")


def test_a_head_that_just_fits_still_fits_the_pool(site: Site) -> None:
    target = "/pool/t/t/x?" + "q" * 30_000
    assert ask(site.address, target).json()["HTTP_X_URI"] == target
    assert ask(site.address, "/pool/new/" + "n" * 8000 + "/a").json()["QUERY_STRING"] == "name=" + "n" * 8000


def test_redirects(site: Site) -> None:
    for target, status, location in [
        ("/moved/a%20b?c=d", 301, "https://new.example/moved/a%20b?c=d"),
        ("/blog/2024/a%26b?x=1&y", 307, "/a&b?year=2024&from=/blog/2024/a%2526b%3Fx%3D1%26y"),
        ("/blog/2024//evil.example", 307, "/evil.example?year=2024&from=/blog/2024//evil.example"),
        ("/see?a=b&c", 303, "/other?a=b&c"),
    ]:
        answer = ask(site.address, target)
        assert (answer.status, answer.headers["location"]) == (status, location)


def test_a_refusal_of_a_gate_has_the_routes_headers(site: Site) -> None:
    answer = ask(site.address, "/deny")
    assert answer.status == 403
    assert len(answer.headers["x-id"]) == 32


def test_a_target_that_would_climb_is_refused(site: Site) -> None:
    answer = ask(site.address, "/pool/new/x/.")
    assert answer.status == 400


def logged(file: Path, count: int) -> list[str]:
    return wait_until(
        lambda: found if file.exists() and len(found := file.read_text().splitlines()) >= count else None,
        what=f"{count} lines in {file.name}",
    )


def test_the_log_has_what_the_client_asked(site: Site) -> None:
    ask(site.address, "/pool/plain/logged?once")
    line = wait_until(
        lambda: next(
            (line for line in (site.folder / "access.log").read_text().splitlines() if "logged?once" in line),
            None,
        )
    )
    told = json.loads(line)
    assert (told["target"], told["route"]) == ("/pool/plain/logged?once", "/pool/plain/")


LOGS = """
proxy: {processes: 2}
trusted_proxies: [127.0.0.2]
log: {access: main.log, format: FORMAT, client: CLIENT}
routes:
  - {path: /off, respond: x, log: off}
  - {path: /own, respond: x, log: own.log}
  - {path: /masked, respond: x, log: {file: own.log, client: masked}}
  - {path: /here, respond: x, log: {client: masked}}
  - {path: /whole, respond: x, log: {client: whole}}
  - {path: /, respond: x}
"""


@pytest.mark.parametrize(
    "format", ["trivet", *(pytest.param(one, marks=pytest.mark.slow) for one in ("combined", "json"))]
)
def test_logs_of_routes(tmp_path: Path, format: str) -> None:
    text = LOGS.replace("FORMAT", format)

    def get(site: Site, *paths: str) -> None:
        with Talk(site.address, source="127.0.0.2") as talk:
            for path in paths:
                for client in ("198.51.100.77", "2001:db8:a:b::77"):
                    assert talk.get(path, f"X-Forwarded-For: {client}").status == 200

    def clients(name: str) -> list[str]:
        lines = (tmp_path / name).read_text().splitlines()
        return [json.loads(line)["client"] if format == "json" else line.split()[0] for line in lines]

    with running(tmp_path, text.replace("CLIENT", "whole")) as site:
        get(site, "/off", "/own", "/masked", "/here", "/whole", "/")
        logged(tmp_path / "own.log", 4)
        logged(tmp_path / "main.log", 6)
        whole, masked = ["198.51.100.77", "2001:db8:a:b::77"], ["198.51.100.0", "2001:db8:a::"]
        assert clients("own.log") == [*whole, *masked]
        assert clients("main.log") == [*masked, *whole, *whole]
        # Moved away and opened again, as logrotate does it.
        for name in ("own.log", "main.log"):
            (tmp_path / name).rename(tmp_path / f"{name}.1")
        os.kill(site.pid, signal.SIGUSR1)
        wait_until(lambda: (tmp_path / "own.log").exists() and (tmp_path / "main.log").exists())
        wait_until(lambda: get(site, "/own") or (tmp_path / "own.log").read_text())
        # Another configuration: the site masks, and the route's log is another file.
        site.configure(text.replace("CLIENT", "masked").replace("own.log", "new.log"))
        assert site.command("reload").returncode == 0
        (tmp_path / "own.log").rename(tmp_path / "own.log.2")
        get(site, "/own", "/whole", "/")
        with Talk(site.address) as talk:
            talk.say("GET / HTTP/1.1\n\n").answer()
        logged(tmp_path / "new.log", 2)
        wait_until(lambda: "127.0.0.0" in (tmp_path / "main.log").read_text())
        assert clients("new.log") == masked
        # Two processes write when they will.
        assert sorted(clients("main.log")[-5:]) == sorted([*whole, *masked, "127.0.0.0"])
        assert not (tmp_path / "own.log").exists()
        # One that cannot be opened leaves the old configuration in place.
        (tmp_path / "dir").mkdir()
        site.configure(text.replace("CLIENT", "whole").replace("own.log", "dir/own.log"))
        (tmp_path / "dir/own.log").symlink_to("/dev/full/x")
        failed = site.command("reload")
        assert failed.returncode == 1
        assert "dir/own.log" in failed.stderr + failed.stdout
        get(site, "/own")
        assert logged(tmp_path / "new.log", 4)


def test_a_log_of_a_route_where_the_sites_is_off(tmp_path: Path) -> None:
    routes = "routes: [{path: /own, respond: x, log: own.log}, {path: /, respond: x}]\n"
    with running(tmp_path, "log: {access: off}\n" + routes) as site:
        ask(site.address, "/")
        ask(site.address, "/own")
        assert len(logged(tmp_path / "own.log", 1)) == 1


@pytest.mark.slow
def test_lost_lines_of_a_routes_log_are_told(tmp_path: Path) -> None:
    (tmp_path / "full.log").symlink_to("/dev/full")
    config = "proxy: {processes: 1}\nlog: {access: off}\nroutes: [{path: /, respond: x, log: full.log}]\n"
    with running(tmp_path, config) as site, Talk(site.address) as talk:
        for _ in range(60):
            talk.get("/" + "x" * 30_000)
        wait_until(lambda: "full.log could not be written so far" in site.said(), 15)
