"""What holds for a request: a row a route, with lines that must be among those that are said."""

from pathlib import Path
from typing import Any

import pytest

from trivet_common.config import from_mapping
from trivet_deploy.applies import applies
from trivet_deploy.explained import explain
from trivet_deploy.question import Words, ask

SITE: dict[str, Any] = {
    "upstreams": {"app": {"servers": [{"address": "http://127.0.0.1:1", "weight": 2}, "unix:a.sock"]}},
    "pools": {"web": {"app": "x:app", "threads": 2, "queue": {"limit": 5, "timeout": "3s"}}},
    "log": {"access": "stdout"},
}
ROWS: list[tuple[dict[str, Any], str, dict[str, list[str]]]] = [
    (
        {"path": "/", "pool": "web", "mount": True, "timeout": "7s"},
        "/a",
        {
            "does": ["mounted: SCRIPT_NAME is "],
            "tells": ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http"],
            "times": ["queue: 5 requests, 3s", "answer: 7s, then between two pieces"],
            "log": ["stdout as route=/"],
        },
    ),
    (
        {"path": "/", "upstream": "app", "timeout": "off", "stream": True},
        "/",
        {
            "does": ["upstream app: http://127.0.0.1:1 (weight 2)", "balance two_choices"],
            "limits": ["body 64MiB, passed on as it comes"],
            "times": ["connect: 5s", "answer: any time, then any time between two pieces"],
        },
    ),
    (
        {"path": "/", "files": {"root": ".", "fallback": "a.txt"}},
        "/b.txt",
        {"does": ["file ./b.txt (not there)", "else ./a.txt"]},
    ),
    ({"path": "/", "files": "."}, "/", {"does": ["file ./index.html (not there)"]}),
    ({"path": "/", "files": {"root": ".", "listing": True}}, "/", {"does": ["list of folder . (there)"]}),
    ({"path": "/x/", "respond": "a", "log": "off"}, "/x", {"does": ["redirect 308 to /x/:"]}),
    ({"path": "/x", "file": "a.txt"}, "/x", {"does": ["file ./a.txt (there)"]}),
    ({"path_regex": "^/(.*)$", "redirect": "/b/{1}"}, "/ä", {"does": ["redirect 302 to /b/%C3%A4"]}),
    (
        {"respond": "hello", "log": "off", "response_headers": {"set": {"X-A": "b{path}"}, "remove": "X-C"}},
        "/",
        {
            "does": ["respond 200, 5B of text/plain; charset=utf-8"],
            "answers": ["set X-A: b/", "remove X-C"],
            "log": ["off"],
        },
    ),
    (
        {"respond": 204, "hsts": "1y"},
        "https://a/",
        {"answers": ["default Strict-Transport-Security: max-age=31536000"]},
    ),
    (
        {
            "upstream": "app",
            "compress": True,
            "errors": {502: "a.txt", "5xx": {"json": {"a": 1}, "intercept": True}, 404: "off"},
            "maintenance": {"when": "a.txt", "except": "10.0.0.0/8"},
        },
        "/",
        {
            "maintenance": ["503 while there is ./a.txt (there)"],
            "answers": ["compressed, where it is a text above 1 KiB and the client takes it"],
            "errors": [
                "502: ./a.txt",
                '5xx: {"a": 1}, for the application\'s own too',
                "404: Trivet's own page",
            ],
        },
    ),
    (
        {"respond": 204, "maintenance": {"when": "a.txt", "except": "private"}},
        "/",
        {"maintenance": ["127.0.0.1 is let in, whether ./a.txt is there or not"]},
    ),
    ({"respond": 204}, "/", {"does": ["respond 204"]}),
    (
        {
            "path": "/api/",
            "pool": "web",
            "strip_prefix": "/api",
            "rewrite": {"from": "^/v1/(.*)$", "to": "/{1}?v=1"},
            "request_headers": {
                "set": {"X-A": "{uri}", "Host": "inner"},
                "add": {"X-B": "b"},
                "default": {"X-C": "c"},
                "remove": "Cookie",
            },
            "log": {"file": "stderr", "client": "masked"},
        },
        "/api/v1/a%20b?x",
        {
            "goes on": [
                "asked for /a%20b?v=1",
                "set Host: inner",
                "set x-a: /api/v1/a%20b?x",
                "add x-b: b",
                "add x-c: c",
                "set x-forwarded-prefix: /api",
                "remove cookie",
            ],
            "log": ["stderr as route=/api/, the client masked"],
        },
    ),
    (
        {"path": "/", "pool": "web", "rewrite": {"from": "^/a(.*)$", "to": "/.{1}"}},
        "/a/b",
        {"goes on": ["400 why=bad_head:dot_segment: The path holds a . or .. segment, plain or encoded."]},
    ),
    (
        {"path": "/x/y/", "strip_prefix": "/x", "files": "."},
        "/x/y/b.txt",
        {"does": ["file ./y/b.txt (not there)"], "goes on": ["asked for /y/b.txt"]},
    ),
    (
        {"path": "/s", "redirect": {"to": "/t?{query}", "status": 303}},
        "/s?a=b&c",
        {"does": ["redirect 303 to /t?a=b&c"]},
    ),
    ({"path": "/h", "health": "ready"}, "/h", {"does": ["health: ready"]}),
    (
        {
            "respond": "x",
            "allow": "127.0.0.1",
            "rate_limit": [{"rate": "10/s"}, {"rate": "400/m", "burst": 0, "key": "header:X-Key"}],
            "forward_auth": {"url": "http://a:1/b", "copy": "X-User", "redirect": "/login"},
        },
        "/",
        {
            "access": [
                "127.0.0.1 may come in",
                "10/s for each client, 9 more at once; else 429",
                "400/m for each value of x-key, 0 more at once; else 429",
                "http://a:1 is asked for /b, 5s at most",
                "its 401 leads to /login",
                "of its answer go on: x-user",
            ]
        },
    ),
    ({"respond": "x", "deny": "all"}, "/", {"access": ["127.0.0.1 may not come in: 403"]}),
    ({"path": "/p/", "internal": True, "files": "."}, "/p/x", {"does": ["404: the route is internal, and"]}),
    (
        {"path": "/p/", "respond": 204, "deny": "all"},
        "/p?q",
        {
            "does": ["redirect 308 to /p/?q: only what is below"],
            "access": ["127.0.0.1 may not come in: 403"],
            "log": ["stdout as route=/p/"],
        },
    ),
]


@pytest.mark.parametrize(("route", "url", "expected"), ROWS, ids=[str(list(row[0]))[:40] for row in ROWS])
def test_lines(route: dict[str, Any], url: str, expected: dict[str, list[str]], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    settings = from_mapping(SITE | {"routes": [route]}, base=tmp_path, environ={})
    told = applies(explain(ask(Words("GET", url), settings), settings), settings)
    for name, lines in expected.items():
        said = [line.replace(str(tmp_path), ".") for line in told[name]]
        for line in lines:
            assert any(one.startswith(line) for one in said), (line, said)


def test_where_nothing_answers_nothing_applies() -> None:
    settings = from_mapping({"routes": [{"path": "/a", "respond": "x"}]}, environ={})
    assert applies(explain(ask(Words("GET", "/b"), settings), settings), settings) == {}


def test_headers_that_decide() -> None:
    """An Upgrade to a pool, and an address that a trusted proxy says or does not say."""
    site = SITE | {"trusted_proxies": "127.0.0.1", "routes": [{"path": "/", "pool": "web"}]}
    settings = from_mapping(site, base=Path("/"), environ={})

    def told(*headers: str) -> dict[str, list[str]]:
        return applies(explain(ask(Words("GET", "/", headers), settings), settings), settings)

    assert told()["tells"][0] == "X-Forwarded-For: 127.0.0.1"
    said = told("X-Forwarded-For: 192.0.2.7")["tells"][0]
    assert said == "X-Forwarded-For: 192.0.2.7, 127.0.0.1, as a trusted proxy says"
    assert len(told()["does"]) == 1
    assert told("Connection: upgrade", "Upgrade: websocket")["does"][1].startswith("501 why=upgrade: A pool")


def test_what_only_lacks_its_slash_is_told_in_the_same_order() -> None:
    settings = from_mapping(SITE | {"routes": [{"path": "/x/", "respond": "a"}]}, base=Path("/"), environ={})
    assert list(applies(explain(ask(Words("GET", "/x"), settings), settings), settings)) == ["does", "log"]
