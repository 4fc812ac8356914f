"""The whole way: names, purposes, the command's options, and the variables that platforms set."""

import os
import pickle
from pathlib import Path

import pytest

from trivet_common.config import ConfigError, FilesAction, Problem, from_mapping, from_overrides, load
from trivet_common.config.loading import sanitised, site_name

SMALLEST = "pools: {web: {app: shop.wsgi}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "shop"
    home.mkdir()
    monkeypatch.chdir(home)
    (home / "trivet.yaml").write_text(SMALLEST)
    return home


def test_the_smallest_file(folder: Path) -> None:
    site = load("trivet.yaml", environ={})
    (route,) = site.routes
    assert (route.path, route.pool, route.where, route.timeout) == ("/", "web", "trivet.yaml:1", 30.0)
    assert [(one.host, one.port) for one in site.listen] == [("127.0.0.1", 8000)]
    assert site.name == "shop"
    assert site.base == folder
    assert site.file == folder / "trivet.yaml"
    assert site.run_dir is None
    assert site.warnings == ()
    assert site.pools["web"].directory == folder
    assert site.pools["web"].workers.min >= 2
    assert site.pools["web"].workers.is_fixed
    assert 1 <= site.proxy.processes <= 4


def test_settings_can_be_sent_to_other_processes(folder: Path) -> None:
    site = load("trivet.yaml", environ={})
    assert pickle.loads(pickle.dumps(site)) == site


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/srv/shop/trivet.yaml", "shop"),
        ("/srv/shop/trivet.yml", "shop"),
        ("/srv/shop/api.yaml", "api"),
        ("/trivet.yaml", "site"),
        ("/srv/my shop/trivet.yaml", "my-shop"),
        ("/srv/../trivet.yaml", "site"),
        ("/srv/läden/trivet.yaml", "l-den"),
    ],
)
def test_names(file: str, name: str) -> None:
    assert site_name(Path(file)) == name
    assert sanitised("." * 5 + "x" * 100) == "x" * 64


def test_paths_are_absolute_whatever_the_file_was_called_by(folder: Path) -> None:
    (folder / "static").mkdir()
    (folder / "trivet.yaml").write_text(
        "routes: [{path: /, files: ./static}]\nrun_dir: ~/run\nlog: {access: ../access.log}\n"
    )
    site = load(Path("../shop/trivet.yaml"), environ={})
    assert site.routes[0].files is not None
    assert site.routes[0].files.root == folder / "static"
    assert site.routes[0].where == "../shop/trivet.yaml:1"
    assert site.run_dir == Path(os.path.expanduser("~/run"))
    assert site.log.access == folder.parent / "access.log"


@pytest.mark.parametrize(
    ("purpose", "places"),
    [("serve", [1, 1, 2, 3, 3, 3, 3]), ("proxy", [1, 1, 2]), ("backend", [3, 3, 3, 3])],
)
def test_what_another_program_runs_is_not_looked_for(folder: Path, purpose: str, places: list[int]) -> None:
    (folder / "trivet.yaml").write_text(
        'listen: ["unix:/nowhere/a.sock", "unix:/nowhere/a.sock"]\n'
        "routes: [{path: /s/, files: missing}, {path: /, pool: web}]\n"
        "pools: {web: {app: a.py, directory: gone, env_file: gone, user: nobody-here}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load("trivet.yaml", environ={}, purpose=purpose)
    lines = [int(problem.where.rpartition(":")[2]) for problem in caught.value.problems]
    assert lines == places, str(caught.value)


def test_a_backend_needs_a_pool(folder: Path) -> None:
    (folder / "trivet.yaml").write_text("routes: [{respond: 204}]\n")
    assert load("trivet.yaml", environ={}, purpose="proxy").pools == {}
    with pytest.raises(ConfigError, match="there are no pools"):
        load("trivet.yaml", environ={}, purpose="backend")


def test_port_is_honoured_where_listen_is_absent(folder: Path) -> None:
    (listen,) = load("trivet.yaml", environ={"PORT": "5000"}).listen
    assert (listen.kind, listen.host, listen.port) == ("tcp", None, 5000)
    (folder / "trivet.yaml").write_text(SMALLEST + "listen: 127.0.0.1:9000\n")
    (listen,) = load("trivet.yaml", environ={"PORT": "5000"}).listen
    assert listen.port == 9000


def test_web_concurrency_is_honoured_where_workers_is_absent(folder: Path) -> None:
    environ = {"WEB_CONCURRENCY": "7"}
    assert load("trivet.yaml", environ=environ).pools["web"].workers.min == 7
    (folder / "trivet.yaml").write_text("pools: {web: {app: shop, workers: 3}}\n")
    assert load("trivet.yaml", environ=environ).pools["web"].workers.min == 3


def test_platform_variables_that_are_wrong_are_named(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load("trivet.yaml", environ={"PORT": "http", "WEB_CONCURRENCY": "many"})
    assert caught.value.problems == [
        Problem("$PORT", 'this must be a number, not "http"', "write a number from 1 to 65535"),
        Problem("$WEB_CONCURRENCY", 'this must be a number, not "many"', "write a number from 1 to 1024"),
    ]


def test_options_are_laid_over_the_file(folder: Path) -> None:
    (folder / "assets").mkdir()
    overrides = {
        "listen": [":9000", "unix:web.sock"],
        "pools": {"*": {"workers": "2", "threads": "4", "timeout": "off", "env": {"A": "1"}}},
        "routes": [{"path": "/assets/", "files": {"root": "assets"}}],
    }
    (folder / "trivet.yaml").write_text(
        "listen: 1\npools: {web: {app: shop, workers: {max: 9}, env: {B: 2}}}\n"
    )
    site = load("trivet.yaml", environ={}, overrides=overrides)
    pool = site.pools["web"]
    assert [one.address for one in site.listen] == [":9000", "unix:web.sock"]
    assert (pool.workers.min, pool.threads, pool.timeout, pool.env) == (2, 4, None, {"A": "1", "B": "2"})
    assert [(route.path, route.pool) for route in site.routes] == [("/assets/", None), ("/", "web")]


def test_options_come_before_the_files_routes(folder: Path) -> None:
    (folder / "trivet.yaml").write_text(SMALLEST + "routes: [{path: /only/, pool: web}]\n")
    site = load("trivet.yaml", environ={}, overrides={"routes": [{"path": "/", "files": {"root": "."}}][:0]})
    assert [route.path for route in site.routes] == ["/only/"]
    overrides = {"routes": [{"path": "/a/", "files": {"root": "."}}]}
    assert [route.path for route in load("trivet.yaml", environ={}, overrides=overrides).routes] == [
        "/a/",
        "/only/",
    ]


def test_options_for_one_of_several_pools_are_a_mistake(folder: Path) -> None:
    (folder / "trivet.yaml").write_text(
        "pools: {a: {app: a}, b: {app: b}}\nroutes: [{pool: a, host: a.a}, {pool: b}]\n"
    )
    with pytest.raises(ConfigError) as caught:
        load("trivet.yaml", environ={}, overrides={"pools": {"*": {"workers": "2"}}})
    assert str(caught.value) == (
        "--workers: there are 2 pools, so it is not clear what is meant; write it below the pool in the file"
    )
    site = load("trivet.yaml", environ={}, overrides={"pools": {"b": {"workers": "2"}}})
    assert site.pools["b"].workers.min == 2


def test_a_site_without_a_file(folder: Path) -> None:
    options = {"pools": {"web": {"app": "shop.wsgi", "directory": str(folder)}}, "listen": "8000"}
    site = from_overrides(options, name="shop.wsgi", environ={})
    assert site.name == "shop.wsgi"
    assert site.file is None
    assert [(route.path, route.pool) for route in site.routes] == [("/", "web")]


def test_mistakes_in_options_name_the_option(folder: Path) -> None:
    options = {
        "listen": ["127.0.0.1"],
        "pools": {
            "web": {"app": "shop", "workers": "x", "timeout": "30", "directory": "gone", "env": {"A B": "1"}}
        },
        "routes": [{"path": "/s/", "files": {"root": "gone"}}],
    }
    with pytest.raises(ConfigError) as caught:
        from_overrides(options, environ={})
    assert [problem.where for problem in caught.value.problems] == [
        "--chdir",
        "--env",
        "--files",
        "--listen",
        "--timeout",
        "--workers",
    ]


def test_a_mapping_is_taken_as_a_file_would_be(folder: Path) -> None:
    site = from_mapping(
        {"routes": [{"path": "/only/", "pool": "web"}], "pools": {"web": {"app": "shop"}}}, environ={}
    )
    assert [route.path for route in site.routes] == ["/only/"]
    with pytest.raises(ConfigError, match=r'^settings: limits\.body: "5" has no unit; write 5MiB'):
        from_mapping({"pools": {"web": {"app": "shop"}}, "limits": {"body": 5}}, environ={})


def test_a_file_that_everyone_can_write_is_a_warning(folder: Path) -> None:
    (folder / "trivet.yaml").chmod(0o666)
    (warning,) = load("trivet.yaml", environ={}).warnings
    assert "can be written by everyone" in warning.message


def test_files_in_full(folder: Path) -> None:
    (folder / "static").mkdir()
    (folder / "static" / "app.html").write_text("app")
    (folder / "trivet.yaml").write_text(
        "state_dir: kept\n"
        "routes:\n"
        "  - {path: /a/, files: static}\n"
        "  - path: /b/\n"
        "    files: {root: static, index: off, fallback: app.html, listing: true, precompressed: off,\n"
        "            cache: 30d, types: {.Glb: model/gltf-binary, page: text/html}, hidden: true,\n"
        "            follow_links: never, keep_releases: 3}\n"
        "  - {path: /c/, internal: true, files: {root: static, uploads: true, cache: off}}\n"
        '  - {path: /, files: {root: static, fallback: next, cache: "public, max-age=60"}}\n'
        "  - {path: /, pool: web}\n"
        "pools: {web: {app: shop}}\n"
    )
    site = load("trivet.yaml", environ={})
    usual, full, uploads, first, _ = (route.files for route in site.routes)
    assert usual == FilesAction(folder / "static")
    assert full == FilesAction(
        folder / "static",
        index=None,
        fallback="app.html",
        listing=True,
        precompressed=False,
        cache="max-age=2592000",
        types=(("glb", "model/gltf-binary"), ("page", "text/html; charset=utf-8")),
        hidden=True,
        follow_links="never",
        keep_releases=3,
    )
    assert uploads == FilesAction(folder / "static", precompressed=False, uploads=True, cache=None)
    assert first == FilesAction(folder / "static", passes_on=True, cache="public, max-age=60")
    assert site.routes[2].internal
    assert site.state_dir == folder / "kept"


def test_the_state_directory_of_a_unit(folder: Path) -> None:
    assert load("trivet.yaml", environ={}).state_dir is None
    assert load("trivet.yaml", environ={"STATE_DIRECTORY": "/s/a:/s/b"}).state_dir == Path("/s/a")
