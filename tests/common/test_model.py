"""What the keys mean: the example of the design, and each key that is more than a value."""

from pathlib import Path
from typing import Any

import pytest

from trivet_common.config import HeaderChanges, Respond, Route, Settings, from_mapping, load

EXAMPLE = """\
listen:
  - 127.0.0.1:8000
  - {address: "unix:http.sock", group: root, mode: 0660}
  - {address: "fd:http", scheme: https}
proxy: {processes: 2}
run_dir: /run/trivet/shop
spool: {dir: ., memory: 64KiB, limit: 5GiB}
trusted_proxies: [private, 203.0.113.0/24, unix]
client_ip: CF-Connecting-IP
limits: {header_bytes: 32KiB, headers: 100, body: 64MiB, header_timeout: 10s, body_timeout: 30s,
         body_rate: 1KiB/s, idle_timeout: 75s, write_timeout: 30s, write_rate: 256B/s,
         connections: 10000, connections_per_client: off}
log: {access: access.log, format: json, error: stderr, level: warning}
stop_timeout: 25s
defaults:
  response_headers: {default: {X-Content-Type-Options: nosniff}}
upstreams:
  sockets: {servers: ["http://daphne:8001"]}
routes:
  - {path: /healthz, health: ready, log: off}
  - {path: /favicon.ico, file: ./static/favicon.ico}
  - {path: /static/, files: ./static}
  - host: old.example.com
    redirect: {to: "https://example.com{uri}", permanent: true}
  - {path: /ws/, upstream: sockets}
  - {path: /legacy/, upstream: ["http://127.0.0.1:9000", "unix:/run/legacy.sock"]}
  - {path: /csp-report, respond: 204}
  - {path: /shop2/, pool: second, mount: true}
  - {path: /upload, pool: web, limits: {body: 4GiB}, timeout: 10m}
  - {path: /, pool: web}
pools:
  web:
    app: shop.wsgi
    directory: .
    python_path: [static]
    env: {DJANGO_SETTINGS_MODULE: shop.settings, SECRET: mine, DEBUG: false, VERSION: 1.10}
    env_file: .env
    user: root
    group: root
    prepare: ["python manage.py migrate --noinput"]
    workers: 4
    threads: 2
    timeout: 30s
    queue: {limit: 1000, timeout: 10s}
    reload: {timeout: 90s}
    listen: 127.0.0.1:8100
  second: {app: "shop2:make()", timeout: off}
"""


@pytest.fixture
def example(tmp_path: Path) -> Settings:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "favicon.ico").touch()
    (tmp_path / ".env").write_text("SECRET=theirs\nexport DATABASE='sqlite'\n")
    (tmp_path / "trivet.yaml").write_text(EXAMPLE)
    return load(tmp_path / "trivet.yaml", environ={})


def site_of(**keys: Any) -> Settings:
    return from_mapping({"pools": {"web": {"app": "shop"}}, **keys}, environ={})


def route_of(**keys: Any) -> Route:
    return site_of(routes=[{"path": "/", **keys}]).routes[0]


def test_the_site(example: Settings, tmp_path: Path) -> None:
    assert example.warnings == ()
    assert [(one.kind, one.scheme, one.group, one.mode) for one in example.listen] == [
        ("tcp", "http", None, None),
        ("unix", "http", "root", 0o660),
        ("fd", "https", None, None),
    ]
    assert example.listen[1].path == tmp_path / "http.sock"
    assert example.proxy.processes == 2
    assert example.run_dir == Path("/run/trivet/shop")
    assert (example.spool.dir, example.spool.memory, example.spool.limit) == (tmp_path, 65536, 5 * 2**30)
    assert example.trusted_proxies.trusts("10.0.0.1")
    assert example.trusted_proxies.trusts(None)
    assert example.client_ip == "cf-connecting-ip"
    assert (example.limits.body, example.limits.body_rate, example.limits.idle_timeout) == (
        64 * 2**20,
        1024,
        75.0,
    )
    assert example.limits.connections_per_client is None
    assert example.log.access == tmp_path / "access.log"
    assert (example.log.format, example.log.error, example.log.level) == ("json", "stderr", "warning")
    assert example.stop_timeout == 25.0


def test_the_routes(example: Settings) -> None:
    health, icon, static, old, sockets, legacy, report, second, upload, rest = example.routes
    assert (health.health, health.log.is_on, health.id) == ("ready", False, "/healthz")
    assert icon.file == example.base / "static" / "favicon.ico"
    assert static.files is not None
    assert static.files.root == example.base / "static"
    assert (old.host, old.path, old.id) == (("old.example.com",), None, "old.example.com")
    assert old.redirect is not None
    assert (old.redirect.to, old.redirect.status) == ("https://example.com{uri}", 308)
    assert sockets.upstream is example.upstreams["sockets"]
    assert sockets.timeout == 60.0
    assert legacy.upstream is not None
    assert [server.path or server.port for server in legacy.upstream.servers] == [
        9000,
        Path("/run/legacy.sock"),
    ]
    assert report.respond == Respond(204, b"", None, ())
    assert (second.pool, second.mount, second.timeout) == ("second", True, None)
    assert (upload.limits.body, upload.timeout, upload.limits.headers) == (4 * 2**30, 600.0, 100)
    assert (rest.pool, rest.timeout, rest.limits) == ("web", 30.0, example.limits)
    assert all(
        route.response_headers.default == (("X-Content-Type-Options", "nosniff"),) for route in example.routes
    )


def test_the_pools(example: Settings) -> None:
    pool = example.pools["web"]
    assert pool.where.endswith("trivet.yaml:32")
    assert (pool.directory, pool.python_path) == (example.base, (example.base / "static",))
    assert pool.env == {
        "DATABASE": "sqlite",
        "SECRET": "mine",
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        "DEBUG": "false",
        "VERSION": "1.10",
    }
    assert (pool.user, pool.group, pool.workers.max, pool.threads, pool.timeout) == (
        "root",
        "root",
        4,
        2,
        30.0,
    )
    assert (pool.queue.limit, pool.queue.timeout) == (1000, 10.0)
    assert pool.reload.timeout == 90.0
    assert pool.listen[0].port == 8100
    assert example.pools["second"].timeout is None


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("hello", Respond(200, b"hello", "text/plain; charset=utf-8", ())),
        (404, Respond(404, b"", None, ())),
        ({"status": 503, "body": "caf\xe9"}, Respond(503, b"caf\xc3\xa9", "text/plain; charset=utf-8", ())),
        ({"json": {"a": [1, None, "x"]}}, Respond(200, b'{"a": [1, null, "x"]}\n', "application/json", ())),
        ({"body": "<p>", "type": "text/html"}, Respond(200, b"<p>", "text/html; charset=utf-8", ())),
        ({"body": "x", "type": "text/a; charset=latin-1"}, Respond(200, b"x", "text/a; charset=latin-1", ())),
        ({"headers": {"X-A": ["1", 2]}}, Respond(200, b"", None, (("X-A", "1"), ("X-A", "2")))),
    ],
)  # fmt: skip
def test_respond(written: object, answer: Respond) -> None:
    assert route_of(respond=written).respond == answer


def test_respond_with_quotes_is_text_and_json_keeps_its_types(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "routes:\n  - {path: /a, respond: '204'}\n"
        "  - {path: /b, respond: {json: {n: 1, s: '1', f: 1.5, t: true, o: off, z: ~}}}\n"
    )
    first, second = load(tmp_path / "x.yaml", environ={}).routes
    assert first.respond is not None
    assert first.respond.body == b"204"
    assert second.respond is not None
    assert second.respond.body == b'{"n": 1, "s": "1", "f": 1.5, "t": true, "o": "off", "z": null}\n'


def test_short_forms() -> None:
    assert (redirect := route_of(redirect="/x").redirect) is not None
    assert (redirect.to, redirect.status) == ("/x", 302)
    assert (upstream := route_of(upstream="http://app:80").upstream) is not None
    assert (upstream.name, upstream.servers[0].host) == ("/", "app")
    assert site_of(listen=8000).listen[0].port == 8000
    assert site_of(listen={"address": 8000}).listen[0].port == 8000
    assert (
        site_of(upstreams={"a": "http://a:1"}, routes=[{"upstream": "a"}]).upstreams["a"].servers[0].port == 1
    )
    assert site_of(pools={"web": {"app": "a", "prepare": "make"}}).pools["web"].prepare == ("make",)
    assert site_of(pools={"web": {"app": "a", "env": ["A=1=2"]}}).pools["web"].env == {"A": "1=2"}
    assert route_of(host="A.example.COM.", respond=204).host == ("a.example.com",)


def test_defaults_hold_where_a_route_says_nothing() -> None:
    defaults = {"timeout": "5s", "stream": True, "log": False, "limits": {"body": "1MiB"}}
    kept, own = site_of(
        defaults=defaults,
        routes=[
            {"path": "/a/", "pool": "web"},
            {
                "path": "/b/",
                "pool": "web",
                "timeout": "off",
                "stream": False,
                "log": True,
                "limits": {"body": "2MiB"},
            },
        ],
    ).routes
    assert (kept.timeout, kept.stream, kept.log.is_on, kept.limits.body) == (5.0, True, False, 2**20)
    assert (own.timeout, own.stream, own.log.is_on, own.limits.body) == (None, False, True, 2**21)


def test_what_a_route_says_of_a_header_is_all_that_holds_for_it() -> None:
    defaults = {
        "response_headers": {
            "default": {"X-A": "1", "X-B": "1"},
            "set": {"X-C": "1", "X-D": "1"},
            "add": {"X-E": "1"},
            "remove": ["X-F", "X-G"],
        }
    }
    headers = {"set": {"x-a": "2", "X-F": "2"}, "add": {"X-E": ["2", "3"]}, "remove": "X-D"}
    (route,) = site_of(defaults=defaults, routes=[{"pool": "web", "response_headers": headers}]).routes
    assert route.response_headers == HeaderChanges(
        set=(("X-C", "1"), ("x-a", "2"), ("X-F", "2")),
        add=(("X-E", "2"), ("X-E", "3")),
        remove=("X-G", "X-D"),
        default=(("X-B", "1"),),
    )
    assert not HeaderChanges()


def test_ids_tell_routes_apart() -> None:
    routes = [
        {"host": ["a.example", "b.example"], "path": "/x/", "respond": 204},
        {"host": ["a.example", "c.example"], "path": "/x/", "respond": 204},
        {"path": "/x/", "respond": 204},
        {"respond": 204},
    ]
    assert [route.id for route in site_of(routes=routes).routes][:2] == ["a.example/x/", "a.example/x/#2"]
    assert [route.id for route in site_of(routes=routes).routes][2:] == ["/x/", "*"]


def warnings_of(**keys: Any) -> list[str]:
    return [f"{warning.message}; {warning.hint}" for warning in site_of(**keys).warnings]


def test_a_lone_exact_path_earns_a_warning() -> None:
    upstream = {"path": "/api", "upstream": "http://a:1"}
    rest = {"path": "/", "pool": "web"}
    expected = "/api matches only /api; write /api/ for everything below"
    assert warnings_of(routes=[upstream, rest]) == [f"path: {expected}"]
    assert warnings_of(routes=[upstream, {**upstream, "path": "/api/"}, rest]) == []


@pytest.mark.parametrize(
    "route",
    [
        {"path": "/upload", "pool": "web", "timeout": "10m"},  # what is below goes to the same pool
        {"path": "/feed.xml", "upstream": "http://a:1"},
        {"path": "/csp", "respond": 204},
        {"path": "/old", "redirect": "/new"},
    ],
)
def test_an_exact_path_that_is_meant_earns_none(route: dict[str, Any]) -> None:
    assert warnings_of(routes=[route, {"path": "/", "pool": "web"}]) == []


def test_what_no_route_leads_to_earns_a_warning() -> None:
    found = warnings_of(
        pools={"web": {"app": "a"}, "api": {"app": "b"}},
        upstreams={"other": "http://a:1"},
        routes=[{"pool": "web"}],
    )
    assert [text.partition(";")[0] for text in found] == [
        "pools.api: no route leads to this pool",
        "upstreams.other: no route leads to this upstream",
    ]


def test_an_asgi_application_is_suspected_by_its_name() -> None:
    (found,) = warnings_of(pools={"web": {"app": "shop.asgi:application"}})
    assert "looks like an ASGI application" in found
    assert "upstream" in found


@pytest.mark.parametrize(
    ("first", "second", "is_dead"),
    [
        ({}, {"path": "/a/"}, True),
        ({"path": "/"}, {}, True),
        ({"path": "/a/"}, {"path": "/a/b"}, True),
        ({"path": "/a"}, {"path": "/a"}, True),
        ({"path": "/a"}, {"path": "/a/"}, False),
        ({"path": "/a/"}, {"path": "/a"}, False),
        ({"path": "/a/"}, {"path": "/ab/"}, False),
        ({"path": "/a/"}, {}, False),
        ({"host": "a.example"}, {"path": "/a/"}, False),
        ({"host": "a.example"}, {"host": "a.example", "path": "/a/"}, True),
        ({"host": "*.example"}, {"host": ["a.example", "*.b.example"]}, True),
        ({"host": "*.example"}, {"host": "example"}, False),
        ({"host": "*.example"}, {"host": ["a.example", "other"]}, False),
        ({"host": "a.example"}, {"host": "*.example"}, False),
    ],
)
def test_which_routes_are_dead(first: dict[str, Any], second: dict[str, Any], is_dead: bool) -> None:
    routes = [{**first, "respond": 204}, {**second, "respond": 404}]
    if is_dead:
        with pytest.raises(Exception, match="can never match"):
            site_of(routes=routes)
    else:
        assert len(site_of(routes=routes).routes) == 2


@pytest.mark.parametrize(
    "app", ["shop", "shop.wsgi:app", "shop:make()", "shop:site.app", "app.py", "app.py:make()", "größe"]
)
def test_applications(app: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    pools = {"web": {"app": app, "directory": str(tmp_path)}}
    assert site_of(pools=pools).pools["web"].app == app


@pytest.mark.parametrize(
    ("routes", "lines"),
    [
        ([{"path": "/a/", "redirect": "/a/"}, {"path": "/b/", "redirect": "/b/x?y"}], [0, 1]),
        ([{"host": "old.example", "redirect": "/new"}], [0]),
        ([{"path": "/", "redirect": "{uri}"}], [0]),
        ([{"path": "/a", "redirect": "/a/"}, {"path": "/b/", "redirect": "/c/"}], []),
        ([{"path": "/b/x", "respond": "x"}, {"path": "/b/", "redirect": "/b/x"}], []),
        ([{"path": "/b/", "redirect": "/b/{1}", "path_regex": "^/b/x(.*)$"}], []),
        ([{"path": "/", "headers": {"Cookie": False}, "redirect": "/login"}, {"respond": "x"}], []),
        ([{"path": "/", "redirect": "https://a.example/"}], []),
    ],
)
def test_a_redirect_to_itself_is_a_warning(routes: list[dict[str, Any]], lines: list[int]) -> None:
    said = from_mapping({"routes": routes}, environ={}).warnings
    assert [(one.where, "leads to this route again" in one.message) for one in said] == [
        (f"routes.{line}", True) for line in lines
    ]
