"""Who may come in by a route: the same before files, a pool and an upstream, over http and https."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Answer, Talk, ask

pytestmark = pytest.mark.usefixtures("over")

KINDS = ("files", "pool", "upstream")
APPLICATION = '''
import json


def application(environ, start_response):
    """Says what it was told; at /auth it says who has the right cookie, at /order it orders a file."""
    status, headers = "200 OK", [("Content-Type", "application/json")]
    if environ["PATH_INFO"] == "/auth":
        is_known = environ.get("HTTP_COOKIE") == "key=ann"
        status = "204 No Content" if is_known else "401 Unauthorized"
        if is_known:
            headers = [("Remote-User", "ann"), ("X-Asked", environ["HTTP_X_FORWARDED_URI"])]
    elif environ["PATH_INFO"] == "/order":
        headers.append(("X-Accel-Redirect", "/inside/page.txt"))
    start_response(status, headers)
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    told["body"] = environ["wsgi.input"].read().decode()
    return [] if status.startswith("204") else [json.dumps(told).encode()]
'''


class Echo(BaseHTTPRequestHandler):
    """Another server: says what it was told, or whether the cookie is right."""

    protocol_version = "HTTP/1.1"
    late = 0.0

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        told = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        told |= {"body": body.decode(), "PATH_INFO": self.path}
        status = 200
        if self.path.startswith("/auth"):
            status = 200 if self.headers.get("Cookie") == "key=ann" else 401
            time.sleep(self.late)
        text = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        if status == 401:
            self.send_header("X-Accel-Redirect", "/inside/page.txt")
        self.send_header("Remote-User", "ann")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_POST = do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def config(server: ThreadingHTTPServer, options: str, more: str = "", processes: int = 1) -> str:
    """One route of each kind with the same options; `more` routes come before them."""
    return f"""
proxy: {{processes: {processes}}}
trusted_proxies: [127.0.0.1]
log: {{access: access.log}}
routes:
{more}
  - {{path: /files/, files: public, {options}}}
  - {{path: /pool/, pool: web, {options}}}
  - {{path: /upstream/, upstream: "{url(server)}", {options}}}
pools: {{web: {{app: gatehouse, workers: 2}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "public").mkdir()
    (tmp_path / "public/page.txt").write_text("a page")
    (tmp_path / "public/app.27e20196a850.css").write_text("p {}")
    (tmp_path / "users").write_text(f"ann:{hashed(b'secret')}\n")
    return tmp_path


def hashed(password: bytes) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def started(folder: Path, text: str) -> Any:
    return running(folder, text, gatehouse=APPLICATION)


def log_of(site: Site, count: int) -> list[str]:
    path = site.folder / "access.log"
    return wait_until(lambda: lines if len(lines := path.read_text().splitlines()) >= count else None)


def why_of(line: str) -> str:
    return line.partition(" why=")[2]


def page(kind: str) -> str:
    return f"/{kind}/page.txt"


def test_by_address(folder: Path, server: ThreadingHTTPServer) -> None:
    options = 'allow: [10.0.0.0/8, "2001:db8::/32"], deny: 10.9.0.0/16'
    cases = [
        ("10.1.1.1", 200), ("10.9.1.1", 403), ("2001:db8::7", 200), ("192.0.2.7", 403),
        ("::ffff:10.1.1.1", 200),
        # What the client itself wrote stands left of what our own proxy adds.
        ("10.1.1.1, 192.0.2.7", 403), ("192.0.2.7, 10.1.1.1", 200),
    ]  # fmt: skip
    with started(folder, config(server, options)) as site, Talk(site.address) as talk:
        for kind in KINDS:
            assert talk.get(page(kind)).status == 403
            for address, status in cases:
                for method in ("GET", "HEAD"):
                    answer = talk.get(page(kind), f"X-Forwarded-For: {address}", method=method)
                    assert answer.status == status, (kind, address, method)
        assert talk.get("/files").status == 403, "the way to it is behind the same gate"
        # A body that is refused is in nobody's way.
        talk.say("POST /pool/ HTTP/1.1\nHost: a.example\nContent-Length: 5\n\nhello")
        assert talk.answer().status == 403
        assert talk.get(page("pool"), "X-Forwarded-For: 10.1.1.1").status == 200
    assert why_of(log_of(site, 1)[0]) == "denied"


def test_on_a_unix_socket(folder: Path) -> None:
    text = 'listen: ["127.0.0.1:0", "unix:s.sock"]\nroutes: [{respond: x, allow: unix}]\n'
    with running(folder, text) as site:
        assert ask(str(folder / "s.sock"), "/").status == 200
        assert ask(str(folder / "s.sock"), "/", "X-Forwarded-For: 10.0.0.1").status == 200
        with Talk(("127.0.0.1", site.port)) as talk:
            assert talk.get("/", "X-Forwarded-For: unix").status == 403


def test_by_password(folder: Path, server: ThreadingHTTPServer) -> None:
    options = "basic_auth: {file: users, realm: staff}"
    with started(folder, config(server, options)) as site, Talk(site.address) as talk:
        for kind in KINDS:
            for lines in ([], [basic("ann", "wrong")], [basic("eve", "secret")], ["X-Remote-User: ann"]):
                answer = talk.get(page(kind), *lines)
                assert answer.status == 401, (kind, lines)
                assert answer.headers["www-authenticate"] == 'Basic realm="staff", charset="UTF-8"'
            answer = talk.get(
                page(kind),
                basic("ann", "secret"),
                "X-Remote-User: root",
                "X_Remote_User: root",
                "Trivet-User: root",
            )
            assert answer.status == 200, kind
            if kind != "files":
                told = answer.json()
                assert told["HTTP_X_REMOTE_USER"] == "ann"
                assert "HTTP_AUTHORIZATION" not in told
            if kind == "pool":
                assert told["REMOTE_USER"] == "ann"
        for kind in KINDS:
            assert talk.get(page(kind), basic("ann", "secret"), method="HEAD").status == 200
        hashed_name = "/files/app.27e20196a850.css"
        caching = talk.get(hashed_name, basic("ann", "secret")).headers["cache-control"]
        assert caching == "private, max-age=31536000, immutable"
        lines = log_of(site, 15)
    assert ["ann" in line.partition("[")[0] for line in lines[:5]] == [False, True, False, False, True]
    assert [why_of(line) for line in lines[:5]] == ["unauthorized"] * 4 + [""]
    assert "secret" not in site.said() + "".join(lines)


@pytest.mark.slow
def test_the_file_of_passwords_changes_and_goes(folder: Path, server: ThreadingHTTPServer) -> None:
    with started(folder, config(server, "basic_auth: users")) as site:

        def status(password: str) -> int:
            return ask(site.address, page("pool"), basic("ann", password)).status

        assert (status("secret"), status("other")) == (200, 401)
        (folder / "users").write_text(f"ann:{hashed(b'other')}\n")
        wait_until(lambda: status("other") == 200)
        assert status("secret") == 401
        (folder / "users").unlink()
        wait_until(lambda: status("other") == 503)
        assert status("secret") == 503
        assert "nobody can log in" in site.said()
        checked = site.command("check")
        assert checked.returncode == 1
        assert "there is no" in checked.stderr
        (folder / "users").write_text("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")
        wait_until(lambda: status("password") == 401)
        checked = site.command("check")
        assert "users:1: basic_auth: the password of ann is hashed by SHA-1" in checked.stderr
        assert "W6ph" not in site.said() + checked.stderr
        assert site.command("reload").returncode != 0
        (folder / "users").write_text(f"ann:{hashed(b'secret')}\n")
        wait_until(lambda: status("secret") == 200)


@pytest.mark.parametrize("who", ["url", pytest.param("pool", marks=pytest.mark.slow)])
def test_by_the_word_of_another(folder: Path, server: ThreadingHTTPServer, who: str) -> None:
    asks = f'url: "{url(server)}/auth?x=1"' if who == "url" else "pool: web, path: /auth"
    options = f"forward_auth: {{{asks}, copy: [Remote-User, Remote-Groups]}}"
    forged = (
        "Remote-User: root",
        "Remote-Groups: admins",
        "Remote_User: root",
        "Remote_Groups: admins",
        "Connection: remote-user",
    )
    with started(folder, config(server, options)) as site, Talk(site.address) as talk:
        for kind in KINDS:
            for lines in ((), ("Cookie: key=eve",), forged):
                answer = talk.get(page(kind), *lines)
                assert answer.status == 401, (kind, lines)
                assert answer.json()["HTTP_X_FORWARDED_URI"] == page(kind)
                assert "x-accel-redirect" not in answer.headers
            answer = talk.get(page(kind), "Cookie: key=ann", *forged)
            assert answer.status == 200, kind
            if kind != "files":
                told = answer.json()
                assert told["HTTP_REMOTE_USER"] == "ann"
                assert "HTTP_REMOTE_GROUPS" not in told
                assert "HTTP_X_ASKED" not in told
            if kind == "pool":
                assert told["REMOTE_USER"] == "ann"
        told = told_of(
            talk, "POST /pool/a?b HTTP/1.1\nHost: a.example\nCookie: key=ann\nContent-Length: 5\n\nhello"
        )
        assert told["body"] == "hello", "the body is the application's"
        told = told_of(talk, "POST /files/a?b HTTP/1.1\nHost: a.example\nContent-Length: 5\n\nhello")
        assert (told["HTTP_X_FORWARDED_METHOD"], told["HTTP_X_FORWARDED_URI"]) == ("POST", "/files/a?b")
        assert told["body"] == ""
        assert told["HTTP_X_FORWARDED_HOST"] == "a.example"
        lines = log_of(site, 14)
    assert [why_of(line) for line in lines[:4]] == ["unauthorized"] * 3 + [""]
    assert " - ann [" in lines[3]


def told_of(talk: Talk, said: str) -> dict[str, str]:
    told: dict[str, str] = talk.say(said).answer().json()
    return told


def test_who_must_log_in_is_sent_there_and_a_failure_opens_nothing(
    folder: Path, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = f'forward_auth: {{url: "{url(server)}/auth", redirect: /login, timeout: 500ms}}'
    more = '  - {path: /gone/, respond: x, forward_auth: "http://127.0.0.1:1/auth"}'
    with started(folder, config(server, options, more)) as site, Talk(site.address) as talk:
        answer = talk.get(page("pool"))
        assert (answer.status, answer.headers["location"]) == (302, "/login")
        assert talk.get("/gone/").status == 502
        for kind in KINDS:
            assert talk.get(page(kind), "Cookie: key=ann").status == 200
        monkeypatch.setattr(Echo, "late", 1.5)
        assert talk.get(page("files"), "Cookie: key=ann").status == 503
        monkeypatch.setattr(Echo, "late", 0.0)
        assert talk.get(page("files"), "Cookie: key=ann").status == 200
        upgrade = (
            "Connection: upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: x",
            "Sec-WebSocket-Version: 13",
        )
        assert talk.get(page("upstream"), *upgrade).status == 302
        lines = log_of(site, 7)
    assert [why_of(line) for line in lines[:2]] == ["unauthorized", "upstream_refused"]
    assert why_of(lines[5]) == "auth_timeout"


def test_by_number(folder: Path, server: ThreadingHTTPServer) -> None:
    """Over two processes, and a reload forgets nothing."""
    options = "rate_limit: [{rate: 2/h, burst: 3}, {rate: 5/h, burst: 50, key: 'header:X-Key'}]"
    text = config(server, options, processes=2)
    with started(folder, text) as site:

        def statuses(kind: str, count: int, *lines: str) -> list[int]:
            return [ask(site.address, page(kind), *lines).status for _ in range(count)]

        for kind in KINDS:
            assert statuses(kind, 6) == [200] * 4 + [429] * 2, kind
            assert statuses(kind, 5, "X-Forwarded-For: 192.0.2.7") == [200] * 4 + [429], "another client"
            assert statuses(kind, 4, "X-Forwarded-For: 2001:db8::1")[-1] == 200
            assert statuses(kind, 1, "X-Forwarded-For: 2001:db8::2") == [429], "of one network"
            assert statuses(kind, 2, "X-Forwarded-For: 10.1.1.1, 192.0.2.7") == [429] * 2
        answer = ask(site.address, page("pool"))
        assert 1700 <= int(answer.headers["retry-after"]) <= 1800
        assert answer.headers["ratelimit-policy"] == '"client";q=2;w=3600, "x-key";q=5;w=3600'
        assert answer.headers["ratelimit"].startswith('"client";r=0;t=1')
        site.configure(text + "stop_timeout: 20s\n")
        assert site.command("reload").returncode == 0
        assert statuses("pool", 2) == [429, 429]
        assert {why_of(line) for line in log_of(site, 40)} == {"", "rate_limited"}


def test_no_way_round(folder: Path, server: ThreadingHTTPServer) -> None:
    """Neither the next route nor an application's order, and none is asked twice for what is one gate."""
    text = """
proxy: {processes: 1}
log: {access: access.log}
defaults: {basic_auth: users, rate_limit: {rate: 5/h, burst: 4}}
routes:
  - {path: /open/, files: {root: public, fallback: next}, basic_auth: off, rate_limit: off}
  - {path: /inside/, files: public, internal: true, deny: 10.0.0.0/8, rate_limit: off}
  - {path: /free/, pool: web, mount: true, basic_auth: off, rate_limit: off}
  - {path: /counted/, files: {root: public, fallback: next}, basic_auth: off}
  - {path: /counted/, pool: web, basic_auth: off}
  - {path: /, files: {root: public, fallback: next}, rate_limit: off}
  - {path: /, pool: web, rate_limit: off}
trusted_proxies: [127.0.0.1]
pools: {web: {app: gatehouse, workers: 2}}
"""
    known = basic("ann", "secret")
    with started(folder, text) as site, Talk(site.address) as talk:

        def status(path: str, *lines: str) -> int:
            return talk.get(path, *lines).status

        assert (status("/open/page.txt"), status("/open/none")) == (200, 401)
        assert (status("/none"), status("/none", known)) == (401, 200)
        assert talk.get("/none", known).json()["REMOTE_USER"] == "ann"
        # Asked for by a client: as if it were not there.
        assert (status("/inside/page.txt"), status("/inside/page.txt", known)) == (404, 404)
        assert talk.get("/order", known).body == b"a page"
        assert status("/order", known, "X-Forwarded-For: 10.0.0.1") == 403
        # The application has let in whom the files' own gate does not know.
        assert status("/free/order") == 401
        for encoded in ("/%6fpen/..%2f", "/open/../none", "//none", "/./none"):
            assert ask(site.address, encoded).status in (400, 401, 404), encoded
        # Five, though each goes through two routes that have the gate of `defaults`.
        assert [status("/counted/none") for _ in range(6)] == [200] * 5 + [429]


def test_a_refusal_is_an_ordinary_answer(folder: Path, server: ThreadingHTTPServer) -> None:
    """With the page for people, the route's own headers, and nothing of what waits behind it."""
    options = "basic_auth: users, response_headers: {set: {X-Site: a}}"
    with started(folder, config(server, options)) as site:
        answer: Answer = ask(site.address, page("pool"), "Accept: text/html")
        assert b"unauthorized" in answer.body
        assert answer.headers["x-site"] == "a"
        assert answer.headers["cache-control"] == "no-store"
        head = ask(site.address, page("pool"), method="HEAD")
        assert (head.status, head.body) == (401, b"")
        with Talk(site.address) as talk:
            talk.say("POST /pool/ HTTP/1.1\nHost: a.example\nExpect: 100-continue\nContent-Length: 9\n\n")
            assert talk.answer().status == 401, "nothing was asked for"
