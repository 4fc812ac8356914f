"""`trivet explain` beside what the running proxy did: forty requests, thirty routes, the route in its log."""

import json
from pathlib import Path

import pytest

from tests.whole.over import Choice
from tests.whole.running import Site, running, wait_until
from tests.whole.talking import Talk, ask
from trivet_common.config import load
from trivet_deploy.explain import explanation
from trivet_deploy.question import Words

APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"app"]
"""
CONFIG = r"""
listen:
  - {address: "127.0.0.1:0", name: front}
  - {address: "127.0.0.2:0", name: admin}
proxy: {processes: 1}
trusted_proxies: [127.0.0.1]
log: {access: access.log, format: json}
routes:
  - {path: /healthz, health: live}
  - {path: /favicon.ico, respond: icon}
  - {host: old.example, redirect: "https://new.example{uri}"}
  - {host: "*.old.example", path: /keep/, respond: kept}
  - {host: [a.example, b.example], path: /only/, methods: GET, respond: two}
  - {host: b.example, path: /only/x, respond: never mind, methods: PUT}
  - {scheme: http, path: /secure/, redirect: "https://{host}{uri}"}
  - {scheme: https, path: /secure/, respond: safe}
  - {listener: admin, path: /admin/, pool: web}
  - {path: /admin/, respond: 403}
  - {path: /static/, files: {root: static, fallback: next}}
  - {path: /static/, listener: admin, respond: admins}
  - {path: /static/, respond: generated}
  - {path: /api/, methods: [GET, POST], headers: {X-Version: "2"}, respond: v2}
  - {path: /api/, methods: GET, respond: v1}
  - {path: /api/, methods: DELETE, client: 10.0.0.0/8, respond: gone}
  - {path_regex: '^/(\d{4})/(\d\d)/?$', redirect: "/archive/{1}-{2}"}
  - {path_regex: '^/(en|de)(/.*)?$', headers: {Cookie: "~(^|; )beta=1(;|$)"}, respond: beta}
  - {path: /en/, respond: english}
  - {path: /search, query: {q: true, page: "~^[0-9]+$"}, respond: page}
  - {path: /search, query: {q: true}, respond: found}
  - {path: /search, query: {q: false}, respond: form}
  - {path: /inside/, client: [10.0.0.0/8, "2001:db8::/32"], respond: inside}
  - {path: /form/, methods: POST, pool: web}
  - {path: /deep/, respond: outer, headers: {X-Deep: false}}
  - {path: /deep/er/, respond: inner}
  - {path: /exact, respond: exact}
  - {path: /exact/, respond: beneath}
  - {path: /private/, internal: true, files: static}
  - {path: /app/, pool: web, response_headers: {set: {X-A: b}}}
pools: {web: {app: web, workers: 1}}
"""
# method, target, host, headers, listener
ASKED: list[tuple[str, str, str, dict[str, str], str]] = [
    ("GET", "/healthz", "a.example", {}, "front"),
    ("GET", "/favicon.ico", "a.example", {}, "front"),
    ("GET", "/favicon.ico/", "a.example", {}, "front"),
    ("GET", "/x", "old.example", {}, "front"),
    ("GET", "/favicon.ico", "old.example", {}, "front"),
    ("GET", "/keep/x", "deep.sub.old.example", {}, "front"),
    ("GET", "/keep", "sub.old.example", {}, "front"),
    ("GET", "/keep/x", "a.example", {}, "front"),
    ("GET", "/only/x", "b.example:8080", {}, "front"),
    ("PUT", "/only/x", "b.example", {}, "front"),
    ("GET", "/only/x", "c.example", {}, "front"),
    ("GET", "/secure/x", "a.example", {}, "front"),
    ("GET", "/secure/x", "a.example", {"X-Forwarded-Proto": "https"}, "front"),
    ("GET", "/secure", "a.example", {"X-Forwarded-Proto": "https"}, "front"),
    ("GET", "/admin/", "a.example", {}, "front"),
    ("GET", "/admin/", "a.example", {}, "admin"),
    ("GET", "/static/there.txt", "a.example", {}, "front"),
    ("GET", "/static/none.txt", "a.example", {}, "front"),
    ("GET", "/static/none.txt", "a.example", {}, "admin"),
    ("POST", "/static/there.txt", "a.example", {}, "front"),
    ("GET", "/static/.hidden", "a.example", {}, "front"),
    ("GET", "/api/x", "a.example", {"X-Version": "2"}, "front"),
    ("HEAD", "/api/x", "a.example", {}, "front"),
    ("POST", "/api/x", "a.example", {}, "front"),
    ("DELETE", "/api/x", "a.example", {"X-Forwarded-For": "10.1.1.1"}, "front"),
    ("GET", "/2026/11/", "a.example", {}, "front"),
    ("GET", "/2026/1", "a.example", {}, "front"),
    ("GET", "/en/x", "a.example", {"Cookie": "a=b; beta=1"}, "front"),
    ("GET", "/en/x", "a.example", {"Cookie": "beta=10"}, "front"),
    ("GET", "/search?q=a&page=7", "a.example", {}, "front"),
    ("GET", "/search?q=a&page=x", "a.example", {}, "front"),
    ("GET", "/search?page=1", "a.example", {}, "front"),
    ("GET", "/inside/x", "a.example", {"X-Forwarded-For": "2001:db8::9"}, "front"),
    ("GET", "/inside/x", "a.example", {"X-Forwarded-For": "192.0.2.1"}, "front"),
    ("POST", "/form/", "a.example", {}, "front"),
    ("GET", "/form/", "a.example", {}, "front"),
    ("GET", "/deep/er/x", "a.example", {"X-Deep": "1"}, "front"),
    ("GET", "/exact", "a.example", {}, "front"),
    ("GET", "/private/there.txt", "a.example", {}, "front"),
    ("GET", "/app/%C3%A4?x=y", "a.example", {}, "front"),
]


def send(site: Site, number: int) -> None:
    """As a trusted peer, whose name for the request is believed: so its line in the log is found."""
    method, target, host, headers, listener = ASKED[number]
    fields = {**headers, "X-Request-Id": f"asked-{number}", "Host": host}
    text = "".join(f"{name}: {value}\n" for name, value in fields.items())
    ports = {line.split("//")[1].split(":")[0]: line.split(":")[2].split("/")[0] for line in urls(site)}
    address = "127.0.0.2" if listener == "admin" else "127.0.0.1"
    with Talk((address, int(ports[address])), source="127.0.0.1") as talk:
        talk.say(f"{method} {target} HTTP/1.1\n{text}\n").answer(method)


def urls(site: Site) -> list[str]:
    return [line.strip() for line in site.said().splitlines() if line.strip().startswith("http://127")]


def logged(site: Site) -> dict[str, str]:
    lines = (site.folder / "access.log").read_text().splitlines()
    return {found["request_id"]: found.get("route", "") for found in map(json.loads, lines)}


@pytest.mark.skipif(Choice.is_secure, reason="the listeners are the test's own")
def test_the_two_agree(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "there.txt").write_text("there")
    assert len(ASKED) == 40
    with running(tmp_path, CONFIG, web=APP) as site:
        for number in range(len(ASKED)):
            send(site, number)
        found = wait_until(lambda: len(log := logged(site)) >= len(ASKED) and log, 10, "the log")
        live = site.command("explain", "--live", "--listener", "front", "http://a.example/app/")
        assert live.returncode == 0, live.stderr
        assert "pool web: 1 of 1 slot idle, 0 busy" in live.stdout
        as_json = site.command("explain", "POST", "--json", "--listener", "front", "/form/")
        assert json.loads(as_json.stdout)["route"]["id"] == "/form/"
    settings = load(tmp_path / "trivet.yaml", environ={})
    assert len(settings.routes) == 30
    differing = []
    for number, (method, target, host, headers, listener) in enumerate(ASKED):
        typed = tuple(f"{name}: {value}" for name, value in {**headers, "Host": host}.items())
        told = explanation(Words(method, target, typed, "127.0.0.1", listener), settings)
        said = told["route"]["id"] if told["route"] else ""
        if said != found[f"asked-{number}"]:
            differing.append((ASKED[number], said, found[f"asked-{number}"]))
        assert told["passed"] or said == "/healthz", ASKED[number]
    assert differing == []


UPSTREAM = """
proxy: {processes: 2}
upstreams: {app: {servers: ["http://127.0.0.1:1", "http://127.0.0.1:2"], fall: 1, retry: "off"}}
routes: [{path: /, upstream: app}]
"""


@pytest.mark.slow
def test_servers_that_are_left_out_are_said(tmp_path: Path) -> None:
    """Nobody listens on those ports. Each process finds out for itself."""
    with running(tmp_path, UPSTREAM) as site:
        assert "server http://127.0.0.1:1: up" in site.command("explain", "--live", "/").stdout

        def said() -> bool:
            for _ in range(4):
                assert ask(site.address, "/").status == 502
            return "server http://127.0.0.1:1: left out" in site.command("explain", "--live", "/").stdout

        wait_until(said, 30, "a server that is left out")
