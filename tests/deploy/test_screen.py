"""The screen of `serve`: what is served, where the logs are, how to stop."""

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from trivet_common.config import from_mapping
from trivet_deploy import screen
from trivet_deploy.premises import Premises
from trivet_deploy.site import Site

SITE = {
    "listen": "127.0.0.1:0",
    "proxy": {"processes": 1},
    "log": {"access": "off", "error": "errors.log"},
    "routes": [
        {"path": "/static/", "files": "."},
        {"path": "/robots.txt", "file": "robots.txt"},
        {"path": "/old/", "upstream": "http://127.0.0.1:9000"},
        {"path": "/moved", "redirect": "/new"},
        {"path": "/gone", "respond": 410},
        {"path": "/healthz", "health": "ready"},
        {"path": "/shop/", "pool": "shop", "mount": True},
        {"host": "example.com", "pool": "web"},
    ],
    "pools": {
        "web": {"app": "x:app", "workers": 2, "threads": 4},
        "shop": {"app": "shop.wsgi", "workers": 1},
    },
}


def test_one_screen_says_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "robots.txt").touch()
    settings = from_mapping(SITE, base=tmp_path, name="demo", environ={})
    premises = Premises(settings, tmp_path / "run", proxy=True, pools=settings.pools)
    premises.take()
    try:
        text = screen.overview(Site(settings, tmp_path / "run", "demo.yaml", lambda: settings), premises)
        assert premises.listeners is not None
        url = next(iter(premises.listeners)).url
    finally:
        premises.leave()
    assert text.splitlines()[2:] == [
        f"  {url}",
        "",
        "  routes  /static/      files in .",
        "          /robots.txt   the file robots.txt",
        "          /old/         upstream http://127.0.0.1:9000",
        "          /moved        redirect to /new",
        "          /gone         answer 410",
        "          /healthz      health: ready",
        "          /shop/        pool shop, mounted here",
        "          example.com/  pool web",
        "  pools   web   x:app, 2 workers × 4 threads",  # noqa: RUF001
        "          shop  shop.wsgi, 1 worker × 1 thread",  # noqa: RUF001
        "  logs    access  off",
        "          errors  errors.log",
        "  stop    Ctrl-C  or: trivet stop demo.yaml",
        "  reload  trivet reload demo.yaml",
        "  watch   trivet status demo.yaml --watch",
    ]


def test_in_development_a_reload_comes_by_itself(tmp_path: Path) -> None:
    (tmp_path / "robots.txt").touch()
    settings = from_mapping(SITE, base=tmp_path, name="demo", environ={})
    premises = Premises(settings, tmp_path / "run", proxy=True, pools=settings.pools)
    site = Site(settings, tmp_path / "run", "demo.yaml", lambda: settings, is_development=True)
    assert "  reload  when a source changes, or: trivet reload demo.yaml" in screen.overview(site, premises)


def test_a_pool_alone_says_where_another_front_end_finds_it(tmp_path: Path) -> None:
    (tmp_path / "robots.txt").touch()
    settings = from_mapping(SITE, base=tmp_path, name="demo", environ={})
    premises = Premises(settings, tmp_path / "run", proxy=False, pools=["shop"])
    premises.take()
    try:
        text = screen.overview(Site(settings, tmp_path / "run", "demo.yaml", lambda: settings), premises)
    finally:
        premises.leave()
    assert f"  pools   shop  shop.wsgi, 1 worker × 1 thread, at unix:{tmp_path}/run/shop/pool.sock\n" in text  # noqa: RUF001
    assert "access" not in text


def test_many_routes_stay_on_one_screen(tmp_path: Path) -> None:
    routes: list[dict[str, Any]] = [{"path": f"/{number}", "respond": 204} for number in range(48)]
    routes.insert(0, {"host": ["a.example", "b.example", "c.example"], "path": "/x/", "respond": 204})
    routes.insert(0, {"host": "a.example", "path_regex": "^/[0-9]+$", "respond": 204})
    settings = from_mapping({"routes": routes}, base=tmp_path, environ={})
    premises = Premises(settings, tmp_path / "run", proxy=True, pools=())
    premises.take()
    try:
        text = screen.overview(Site(settings, tmp_path / "run", "x.yaml", lambda: settings), premises)
    finally:
        premises.leave()
    assert len(text.splitlines()) < 36
    assert "and 30 more" in text
    assert "  routes  a.example~^/[0-9]+$            answer 204\n" in text
    assert "          a.example/x/, b.example/x/, …  answer 204\n" in text


def test_root_is_warned_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "robots.txt").touch()
    settings = from_mapping(SITE | {"log": {"error": "stderr"}}, base=tmp_path, environ={})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    screen.warn(settings)
    assert capsys.readouterr().err == (
        "warning: pools web, shop run as root; name another user in the file, for instance: user: www-data\n"
    )
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    screen.warn(settings)
    assert capsys.readouterr().err == ""


def test_a_user_that_will_not_be_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = from_mapping({"pools": {"web": {"app": "shop", "user": "nobody"}}}, base=tmp_path, environ={})
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    screen.warn(settings)
    assert capsys.readouterr().err == (
        "warning: pool web runs as uid 12345: only root can become its user nobody\n"
    )
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam("nobody").pw_uid)
    screen.warn(settings)
    assert capsys.readouterr().err == ""


def test_paths_are_shown_as_one_would_write_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert screen.near(tmp_path / "a" / "b") == "a/b"
    assert screen.near(Path("/etc")) == "/etc"
