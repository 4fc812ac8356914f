"""Headers, prefixes, rewrites, redirects and logs of routes: what is written and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trivet_common.config import ConfigError, HeaderChanges, Redirect, Route, Settings, from_mapping, load
from trivet_common.config.placeholders import has_placeholders
from trivet_common.config.settings_log import RouteLog
from trivet_common.config.settings_match import Regex
from trivet_common.config.settings_rewrite import Rewrite


def site_of(**keys: Any) -> Settings:
    return from_mapping({"pools": {"web": {"app": "shop.wsgi"}}, **keys})


def route_of(**keys: Any) -> Route:
    (route,) = site_of(routes=[keys]).routes
    return route


def test_headers_of_requests_in_all_four_lists() -> None:
    written = {
        "set": {"X-A": "1", "Host": "inner.example:8080"},
        "add": {"X-B": ["{uri}", 2]},
        "remove": "Cookie",
        "default": {"X-C": "{client}"},
    }
    assert route_of(pool="web", request_headers=written).request_headers == HeaderChanges(
        set=(("X-A", "1"), ("Host", "inner.example:8080")),
        add=(("X-B", "{uri}"), ("X-B", "2")),
        remove=("Cookie",),
        default=(("X-C", "{client}"),),
    )
    assert not route_of(pool="web").request_headers


def test_what_a_route_says_of_a_requests_header_is_all_that_holds_for_it() -> None:
    defaults = {"request_headers": {"set": {"X-A": "1", "X-B": "1"}, "remove": ["Cookie", "X-C"]}}
    own = {"request_headers": {"add": {"x-a": "2"}, "default": {"Cookie": "a=b"}}}
    changed, plain, fixed = site_of(
        defaults=defaults,
        routes=[
            {"path": "/a/", "pool": "web", **own},
            {"path": "/b/", "pool": "web"},
            {"path": "/c", "respond": 204},  # nobody reads them there, and nobody wrote them there
        ],
    ).routes
    assert changed.request_headers == HeaderChanges(
        set=(("X-B", "1"),), add=(("x-a", "2"),), remove=("X-C",), default=(("Cookie", "a=b"),)
    )
    assert plain.request_headers == fixed.request_headers
    assert plain.request_headers.remove == ("Cookie", "X-C")


def test_headers_of_answers_may_be_those_that_only_requests_may_not_change() -> None:
    headers = {"set": {"X-Request-Id": "{request_id}", "X-Forwarded-Host": "a", "X_A": "1"}, "remove": "Host"}
    assert route_of(pool="web", response_headers=headers).response_headers.remove == ("Host",)


def test_groups_are_those_of_the_path() -> None:
    route = route_of(
        path_regex="^/([a-z]+)/(.*)$", pool="web", response_headers={"set": {"X-Tenant": "{1}-{2}"}}
    )
    assert route.response_headers.set == (("X-Tenant", "{1}-{2}"),)
    with pytest.raises(ConfigError, match=r"\{3\}: there are 2 groups, and \{1\} is the first"):
        route_of(path_regex="^/([a-z]+)/(.*)$", pool="web", request_headers={"set": {"X-Tenant": "{3}"}})
    with pytest.raises(ConfigError, match=r"\{0\}"):
        route_of(path_regex="^/(.*)$", redirect="/{0}")


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("{uri}", True),
        ("a {1} b", True),
        ("{0}", False),
        ("{12}", False),
        ('{"group": "{}"}', False),
        ("max-age=1", False),
    ],
)
def test_what_is_a_placeholder_in_a_header(text: str, has: bool) -> None:
    assert has_placeholders(text) is has


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("/x", Redirect("/x", 302)),
        ({"to": "/x", "permanent": True}, Redirect("/x", 308)),
        ({"to": "/x", "permanent": False}, Redirect("/x", 302)),
        ({"to": "/x", "status": 301}, Redirect("/x", 301)),
        ({"to": "https://{host}{uri}", "status": "303"}, Redirect("https://{host}{uri}", 303)),
        ({"to": "/x", "status": 307}, Redirect("/x", 307)),
    ],
)
def test_redirects(written: Any, means: Redirect) -> None:
    assert route_of(path="/a", redirect=written).redirect == means


@pytest.mark.parametrize("prefix", ["/api", "/api/"])
@pytest.mark.parametrize("path", ["/api/", "/api/v1/", "/", "/api", None])
def test_prefixes(prefix: str, path: str | None) -> None:
    keys = {"path": path} if path else {}
    assert route_of(pool="web", strip_prefix=prefix, **keys).strip_prefix == "/api"


@pytest.mark.parametrize("path", ["/apis/", "/ap", "/b/"])
def test_prefixes_that_never_come(path: str) -> None:
    with pytest.raises(ConfigError, match="begins with /api"):
        route_of(path=path, pool="web", strip_prefix="/api")


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("/new{path}", Rewrite("/new{path}")),
        ({"to": "{path}?a=b"}, Rewrite("{path}?a=b")),
        ({"from": "^/a/(.*)$", "to": "/{1}"}, Rewrite("/{1}", Regex("^/a/(.*)$", 1, 8192))),
    ],
)
def test_rewrites(written: Any, means: Rewrite) -> None:
    assert route_of(path="/", pool="web", rewrite=written).rewrite == means
    assert route_of(path="/", pool="web").rewrite is None


def test_a_rewrite_without_an_expression_has_the_groups_of_the_path() -> None:
    assert route_of(path_regex="^/a/(.*)$", pool="web", rewrite="/b/{1}").rewrite == Rewrite("/b/{1}")


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("off", RouteLog(is_on=False)),
        (False, RouteLog(is_on=False)),
        (True, RouteLog()),
        ("stderr", RouteLog(file="stderr")),
        ("stdout", RouteLog()),  # the site's
        ({"client": "masked"}, RouteLog(is_masked=True)),
        ({"file": "off"}, RouteLog(is_on=False)),
    ],
)
def test_logs(written: Any, means: RouteLog) -> None:
    assert route_of(pool="web", log=written).log == means


def test_log_files(tmp_path: Path) -> None:
    (tmp_path / "trivet.yaml").write_text(
        """
log: {access: all.log, client: masked}
defaults: {log: {file: most.log}}
routes:
  - {path: /a, respond: 204, log: a.log}
  - {path: /b, respond: 204, log: {file: a.log, client: whole}}
  - {path: /c, respond: 204, log: {client: whole}}
  - {path: /d, respond: 204, log: off}
  - {path: /e, respond: 204, log: true}
  - {path: /f, respond: 204, log: ./all.log}
"""
    )
    site = load(tmp_path / "trivet.yaml", environ={})
    most, a = tmp_path / "most.log", tmp_path / "a.log"
    assert site.log.is_masked
    assert [route.log for route in site.routes] == [
        RouteLog(file=a, is_masked=True),
        RouteLog(file=a),
        RouteLog(file=most),
        RouteLog(is_on=False, is_masked=True),
        RouteLog(is_masked=True),
        RouteLog(is_masked=True),
    ]
    assert site.route_log_files == (a, most)
