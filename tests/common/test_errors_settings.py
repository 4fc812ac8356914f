"""model_errors.py and resolve_errors.py: `errors` and `maintenance`, how they are written, what they mean."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from trivet_common.config import Route, Settings, TrustedProxies, from_mapping
from trivet_common.config.addresses import parse_networks
from trivet_common.config.settings_errors import ErrorPage, Maintenance


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("page.html", "other.html", "closed.html"):
        (tmp_path / name).write_text("x")
    return tmp_path


def site_of(folder: Path, defaults: dict[str, Any], *routes: dict[str, Any]) -> Settings:
    keys = {
        "upstreams": {"api": "http://a:1"},
        "defaults": defaults,
        "routes": [{"path": f"/{place}", **route} for place, route in enumerate(routes)],
    }
    return from_mapping(keys, base=folder, environ={})


def route_of(folder: Path, defaults: dict[str, Any], **route: Any) -> Route:
    return site_of(folder, defaults, {"upstream": "api", **route}).routes[0]


ERRORS: list[tuple[Any, Any, dict[int, tuple[str | None, str | None, bool]]]] = [
    ({}, {}, {}),
    ({}, {502: "page.html"}, {502: ("page.html", None, False)}),
    ({}, {"502": {"file": "page.html", "intercept": True}}, {502: ("page.html", None, True)}),
    (
        {},
        {"5xx": "page.html", "4xx": {"json": [1]}},
        {5: ("page.html", None, False), 4: (None, "[1]", False)},
    ),
    ({}, {404: {"json": {"a": "é"}}}, {404: (None, '{"a": "é"}', False)}),
    ({}, {404: "off"}, {404: (None, None, False)}),
    ({}, {404: {"intercept": True}}, {404: (None, None, True)}),
    ({502: "page.html"}, None, {502: ("page.html", None, False)}),
    ({502: "page.html"}, {}, {}),
    ({502: "page.html"}, "off", {}),
    (
        {502: "page.html", "5xx": "page.html"},
        {502: "other.html", 404: "other.html"},
        {
            502: ("other.html", None, False),
            5: ("page.html", None, False),
            404: ("other.html", None, False),
        },
    ),
    ({502: {"file": "page.html", "intercept": True}}, {502: False}, {502: (None, None, False)}),
]


@pytest.mark.parametrize(("defaults", "own", "expected"), ERRORS, ids=str)
def test_errors(folder: Path, defaults: Any, own: Any, expected: dict[int, tuple[Any, ...]]) -> None:
    """A route stands above `defaults` status by status."""
    route = route_of(folder, {"errors": defaults}, **({} if own is None else {"errors": own}))
    pages = {page.status: page for page in route.errors}
    assert pages == {
        status: ErrorPage(status, folder / file if file else None, text, intercept)
        for status, (file, text, intercept) in expected.items()
    }


def test_the_site_has_those_of_defaults(folder: Path) -> None:
    settings = site_of(folder, {"errors": {404: "page.html"}}, {"respond": 204, "errors": {404: "off"}})
    assert settings.errors == (ErrorPage(404, folder / "page.html"),)
    assert settings.routes[0].errors == (ErrorPage(404),)
    assert pickle.loads(pickle.dumps(settings)) == settings


MAINTENANCE: list[tuple[dict[str, Any], tuple[str | None, TrustedProxies | None, float | None]]] = [
    ({}, (None, None, 300.0)),
    ({"page": "closed.html"}, ("closed.html", None, 300.0)),
    ({"except": "10.0.0.0/8", "retry_after": "1h"}, (None, parse_networks(["10.0.0.0/8"]), 3600.0)),
    (
        {"except": ["private", "unix"], "retry_after": "off"},
        (None, parse_networks(["private", "unix"]), None),
    ),
]


@pytest.mark.parametrize(("written", "meant"), MAINTENANCE, ids=str)
def test_maintenance(folder: Path, written: dict[str, Any], meant: tuple[Any, ...]) -> None:
    page, except_, retry_after = meant
    expected = Maintenance(folder / "on", folder / page if page else None, except_, retry_after)
    keys = {"maintenance": {"when": "on", **written}}
    assert route_of(folder, {}, **keys).maintenance == expected
    assert route_of(folder, keys).maintenance == expected
    assert route_of(folder, keys, maintenance="off").maintenance is None


def test_who_watches_the_site_is_told_how_it_is(folder: Path) -> None:
    settings = site_of(
        folder,
        {"maintenance": {"when": "on"}},
        {"health": "ready"},
        {"internal": True, "file": "page.html"},
        {"respond": 204},
    )
    assert [route.maintenance is not None for route in settings.routes] == [False, False, True]


def test_a_folder_that_is_not_there_yet_is_worth_a_word(folder: Path) -> None:
    settings = site_of(folder, {}, {"respond": 204, "maintenance": {"when": "later/on"}})
    assert "no file can be put there" in [warning.hint for warning in settings.warnings]


@pytest.mark.parametrize(("default", "own", "expected"), [
    (None, None, False), (True, None, True), (True, False, False), (None, True, True), (True, "off", False),
])  # fmt: skip
def test_compress(folder: Path, default: Any, own: Any, expected: bool) -> None:
    defaults = {} if default is None else {"compress": default}
    assert route_of(folder, defaults, **({} if own is None else {"compress": own})).compress is expected
