"""Included files: joined in name order, and only from safe places."""

from pathlib import Path

import pytest

from trivet_common.config import ConfigError, load

MAIN = "include: sites/*.yaml\npools: {web: {app: shop}}\nroutes:\n  - {path: /first/, pool: web}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sites").mkdir(mode=0o755)
    (tmp_path / "trivet.yaml").write_text(MAIN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_routes_come_after_the_main_files_in_name_order(folder: Path) -> None:
    (folder / "sites" / "b.yaml").write_text("routes:\n  - {path: /b/, pool: web}\n")
    (folder / "sites" / "a.yaml").write_text(
        "routes:\n\n  - {path: /a/, upstream: other}\n"
        "upstreams: {other: 'http://127.0.0.1:1'}\npools: {two: {app: t}}\n"
    )
    (folder / "sites" / "empty.yaml").write_text("# nothing\n")
    site = load("trivet.yaml", environ={})
    assert [(route.path, route.where) for route in site.routes] == [
        ("/first/", "trivet.yaml:4"),
        ("/a/", "sites/a.yaml:3"),
        ("/b/", "sites/b.yaml:2"),
    ]
    assert list(site.pools) == ["web", "two"]
    assert [str(warning) for warning in site.warnings] == [
        "sites/a.yaml:5: pools.two: no route leads to this pool; add - {path: /, pool: two} to routes"
    ]


def test_paths_are_relative_to_the_file_they_stand_in(folder: Path) -> None:
    (folder / "sites" / "static").mkdir()
    (folder / "sites" / "a.yaml").write_text("routes: [{path: /a/, files: static}]\n")
    files = load("trivet.yaml", environ={}).routes[1].files
    assert files is not None
    assert files.root == folder / "sites" / "static"


def test_a_pattern_that_matches_nothing_is_a_warning(folder: Path) -> None:
    warnings = load("trivet.yaml", environ={}).warnings
    assert [str(warning) for warning in warnings] == [
        'trivet.yaml:1: include: "sites/*.yaml" matches no file'
    ]


@pytest.mark.parametrize(
    ("name", "text", "mistake"),
    [
        (
            "a.yaml",
            "listen: 80\n",
            "sites/a.yaml:1: listen: cannot stand in an included file; write it in the main file",
        ),
        ("a.yaml", "lisen: 80\n", "sites/a.yaml:1: unknown key lisen; write listen"),
        ("a.yaml", "- a\n", "sites/a.yaml:1: the file must hold routes, pools or upstreams, not a list"),
        ("a.yaml", "routes: {path: /}\n", "sites/a.yaml:1: routes: this must be a list, not a mapping"),
        (
            "a.yaml",
            "pools: {web: {app: x}}\n",
            "sites/a.yaml:1: pools.web was written before, in trivet.yaml:2",
        ),
        ("a.yaml", "pools: {\n", "sites/a.yaml:1: the file ends before a { or [ is closed"),
        ("a.yaml", "include: b.yaml\n", "sites/a.yaml:1: include: cannot stand in an included file"),
    ],
)
def test_mistakes_within(folder: Path, name: str, text: str, mistake: str) -> None:
    (folder / "sites" / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load("trivet.yaml", environ={})
    assert str(caught.value).startswith(mistake)


def test_what_everyone_can_write_is_refused(folder: Path) -> None:
    file = folder / "sites" / "a.yaml"
    file.write_text("routes: []\n")
    file.chmod(0o666)
    with pytest.raises(
        ConfigError, match=r"trivet.yaml:1: include: .*a\.yaml can be written by everyone; run chmod o-w"
    ):
        load("trivet.yaml", environ={})
    file.chmod(0o644)
    file.parent.chmod(0o777)
    with pytest.raises(ConfigError, match="sites can be written by everyone"):
        load("trivet.yaml", environ={})


def test_a_link_may_not_lead_out(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "x.yaml"
    outside.write_text("routes: []\n")
    link = folder / "sites" / "a.yaml"
    link.symlink_to(outside)
    with pytest.raises(ConfigError, match="is a link out of the folder"):
        load("trivet.yaml", environ={})
    link.unlink()
    (folder / "available").mkdir()
    (folder / "available" / "a.yaml").write_text("routes: [{path: /a/, pool: web}]\n")
    link.symlink_to(folder / "available" / "a.yaml")
    assert [route.path for route in load("trivet.yaml", environ={}).routes] == ["/first/", "/a/"]
