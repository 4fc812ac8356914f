"""`errors` and `maintenance` over files, pools and upstreams: who answers, and with which page and fields."""

import json
import os
import time
from collections.abc import Iterator

import pytest

from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Answer, Talk, ask, logged

pytestmark = pytest.mark.usefixtures("over")

APPLICATION = """
def application(environ, start_response):
    status = environ["PATH_INFO"].rpartition("/")[2]
    if status == "crash":
        raise RuntimeError("crash")
    headers = [("Content-Type", "text/plain"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"), ("ETag", '"x"'),
               ("X-Secret", "stack trace"), ("Retry-After", "7"), ("Access-Control-Allow-Origin", "*")]
    if status == "large":
        start_response("500 Oops", headers)
        return (b"secret" * 10_000 for _ in range(100_000))
    start_response((status if status.isdecimal() else "200") + " Own", headers)
    return [b"the application's own: " + status.encode()]
"""
CONFIG = """
stop_timeout: 1s
proxy: {processes: 1}
log: {access: access.log}
trusted_proxies: [127.0.0.1]
defaults:
  errors: {404: nothing.html, 5xx: {file: sorry.txt}, 503: closed.html}
  maintenance: {when: defaults.on, retry_after: off}
routes:
  - {path: /healthz, health: live}
  - path: /static/
    files: ./static
    errors: {404: {json: {status: "{status}", text: "{reason}", id: "{request_id}"}}}
  - {path: /pages/, files: ./static, response_headers: {set: {X-Shaped: "1"}}}
  - {path: /plain/, pool: web, errors: off}
  - path: /both/
    pool: web
    errors:
      5xx: {file: sorry.txt, intercept: true}
      501: {file: nothing.html}
      404: {file: nothing.html, intercept: true}
      403: {intercept: true}
  - path: /up/
    upstream: "unix:SOCKET"
    compress: true
    errors: {5xx: {file: sorry.txt, intercept: true}, 404: {file: nothing.html, intercept: true}}
  - {path: /dead/, upstream: "http://127.0.0.1:1", maintenance: off}
  - path: /shop/
    pool: web
    maintenance: {when: shop.on, page: closed.html, except: [10.0.0.0/8], retry_after: 2m}
  - {path: /only, pool: web}
  - {path: /gone, respond: 404}
  - {path: /said, respond: {status: 404, body: "own words"}}
  - {path: /teapot, respond: 418}
pools: {web: {app: hello, workers: 1, threads: 4, timeout: 5s}}
"""
NOTHING = (
    b"<h1>{status} {reason}</h1><!-- {why} --><code>{request_id}</code><style>p { a: b }</style>"
    + b" " * 2000
)


@pytest.fixture(scope="module")
def site(over: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "static").mkdir()
    (folder / "static" / "a.txt").write_text("a file")
    (folder / "nothing.html").write_bytes(NOTHING)
    (folder / "sorry.txt").write_text("Sorry: {status} {why}.")
    (folder / "closed.html").write_text("<p>Back soon ({request_id})")
    config = CONFIG.replace("SOCKET", f"{folder}/run/web/pool.sock")
    with running(folder, config, hello=APPLICATION) as site:
        yield site


def page(status: int, phrase: str, why: str, request_id: str) -> bytes:
    text = NOTHING.replace(b"{status}", b"%d" % status).replace(b"{reason}", phrase.encode())
    return text.replace(b"{why}", why.encode()).replace(b"{request_id}", request_id.encode())


def get(site: Site, target: str, *headers: str, method: str = "GET") -> Answer:
    return ask(site.address, target, "X-Request-Id: one.two", *headers, method=method)


OURS = [
    ("/none", 404, "text/html; charset=utf-8", page(404, "Not Found", "no_route", "one.two")),
    ("/pages/x", 404, "text/html; charset=utf-8", page(404, "Not Found", "not_found", "one.two")),
    ("/dead/", 502, "text/plain; charset=utf-8", b"Sorry: 502 upstream_refused."),
    ("/only/crash", 404, "text/html; charset=utf-8", page(404, "Not Found", "no_route", "one.two")),
    ("/both/crash", 500, "text/plain; charset=utf-8", b"Sorry: 500 app_error."),
    ("/gone", 404, "text/html; charset=utf-8", page(404, "Not Found", "respond", "one.two")),
]


@pytest.mark.parametrize(("target", "status", "content_type", "body"), OURS)
def test_our_own(site: Site, target: str, status: int, content_type: str, body: bytes) -> None:
    answer = get(site, target)
    assert (answer.status, answer.headers["content-type"], answer.body) == (status, content_type, body)
    assert answer.headers["cache-control"] == "no-store"
    head = get(site, target, method="HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (status, str(len(body)), b"")
    assert ("x-shaped" in answer.headers) == target.startswith("/pages/")


def test_json(site: Site) -> None:
    answer = get(site, "/static/x")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/json")
    assert json.loads(answer.body) == {"status": 404, "text": "Not Found", "id": "one.two"}


def test_what_respond_says_itself_stays(site: Site) -> None:
    assert (get(site, "/said").body, get(site, "/teapot").body) == (b"own words", b"")


def test_off_is_trivets_own(site: Site) -> None:
    assert b"reason: app_error" in get(site, "/plain/crash").body
    assert b"<!doctype html>" in get(site, "/plain/crash", "Accept: text/html").body


INTERCEPTED = [
    ("/both/500", 500, b"Sorry: 500 intercepted."), ("/both/599", 599, b"Sorry: 599 intercepted."),
    ("/both/404", 404, page(404, "Not Found", "intercepted", "one.two")),
    ("/both/large", 500, b"Sorry: 500 intercepted."),
    ("/up/502", 502, b"Sorry: 502 intercepted."), ("/up/large", 500, b"Sorry: 500 intercepted."),
    ("/up/404", 404, page(404, "Not Found", "intercepted", "one.two")),
]  # fmt: skip
LEFT = ["/both/501", "/both/400", "/both/200", "/up/403", "/up/503", "/plain/500", "/shop/502"]


@pytest.mark.parametrize(("target", "status", "body"), INTERCEPTED)
def test_intercepted(site: Site, target: str, status: int, body: bytes) -> None:
    """The body is dropped with all that describes it; what tells the client what to do goes on."""
    began = time.monotonic()
    answer = get(site, target)
    assert (answer.status, answer.body) == (status, body)
    assert time.monotonic() - began < 3, "the body that is dropped was waited for"
    assert answer.headers["set-cookie"] == "a=b, c=d"
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert not {"etag", "x-secret"} & answer.headers.keys()
    head = get(site, target, method="HEAD")
    assert (head.status, head.headers["content-length"]) == (status, str(len(body)))
    found = wait_until(lambda: lines(site, target), 5, target)
    assert {line["why"] for line in found} == {"intercepted"}


@pytest.mark.parametrize("target", LEFT)
def test_others_are_left_alone(site: Site, target: str) -> None:
    answer = get(site, target)
    status = target.rpartition("/")[2]
    assert (str(answer.status), answer.body) == (status, f"the application's own: {status}".encode())
    assert answer.headers["x-secret"] == "stack trace"


def test_the_built_in_page_can_stand_for_an_applications(site: Site) -> None:
    answer = get(site, "/both/403")
    assert (answer.status, "x-secret" in answer.headers) == (403, False)
    assert b"reason: intercepted" in answer.body


def test_a_connection_goes_on_after_an_error(site: Site) -> None:
    with Talk(site.address) as talk:
        for _ in range(3):
            assert talk.get("/both/500").status == 500
            assert talk.get("/up/404").status == 404
            assert talk.get("/none").status == 404
            assert talk.get("/static/a.txt").body == b"a file"


def lines(site: Site, target: str) -> list[dict[str, str]]:
    found = map(logged, (site.folder / "access.log").read_text().splitlines())
    return [line for line in found if line["target"] == target]


# Maintenance.


def test_maintenance_of_one_route(site: Site) -> None:
    flag = site.folder / "shop.on"
    assert get(site, "/shop/200").status == 200
    flag.touch()
    try:
        closed = wait_until(lambda: (found := get(site, "/shop/200")).status == 503 and found, 5)
        assert (closed.body, closed.headers["retry-after"]) == (b"<p>Back soon (one.two)", "120")
        assert closed.headers["content-type"] == "text/html; charset=utf-8"
        assert get(site, "/shop/200", method="HEAD").status == 503
        assert get(site, "/shop/200", "X-Forwarded-For: 10.1.2.3").status == 200
        assert get(site, "/only").status == 200
        wait_until(lambda: any(line.get("why") == "maintenance" for line in lines(site, "/shop/200")), 5)
    finally:
        flag.unlink()
    wait_until(lambda: get(site, "/shop/200").status == 200, 5)


def test_maintenance_of_the_site(site: Site) -> None:
    """Who watches it, and routes that say off, go on."""
    flag = site.folder / "defaults.on"
    flag.touch()
    try:
        wait_until(lambda: get(site, "/only").status == 503, 5)
        answer = get(site, "/static/a.txt")
        assert (answer.status, answer.body) == (503, b"<p>Back soon (one.two)")
        assert "retry-after" not in answer.headers
        assert get(site, "/pages").status == 503
        assert get(site, "/healthz").status == 200
        assert get(site, "/dead/").status == 502
        assert get(site, "/shop/200").status == 200
    finally:
        flag.unlink()
    wait_until(lambda: get(site, "/static/a.txt").status == 200, 5)


@pytest.mark.slow
def test_pages_are_taken_up_on_reload(over: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("reload")
    path = folder / "page.html"
    path.write_text("old")
    config = "log: {access: off}\nroutes: [{path: /x, respond: hi}]\ndefaults: {errors: {404: page.html}}\n"
    with running(folder, config) as site:
        assert ask(site.address, "/").body == b"old"
        path.write_text("new")
        assert ask(site.address, "/").body == b"old"
        assert site.command("reload").returncode == 0
        assert ask(site.address, "/").body == b"new"
        path.unlink()
        refused = site.command("reload")
        assert refused.returncode != 0
        assert "page.html" in refused.stdout + refused.stderr
        assert ask(site.address, "/").body == b"new"
        for pid in site.pids("process"):  # one that is started anew reads what it can, and serves
            os.kill(pid, 9)
        assert wait_until(lambda: try_ask(site), 10).status == 404


def try_ask(site: Site) -> Answer | None:
    try:
        return ask(site.address, "/")
    except (OSError, ValueError, AssertionError):
        return None
