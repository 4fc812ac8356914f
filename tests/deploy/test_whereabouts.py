"""Which file is meant and where its run directory is; the rules must agree with the configuration's own."""

import os
from pathlib import Path

import pytest

from trivet_common.config import load
from trivet_deploy.refusal import Refusal
from trivet_deploy.whereabouts import (
    NotPlain,
    default_run_dir,
    find_file,
    forget_parent,
    locate,
    name_of,
    name_of_app,
    prepare_parent,
    read_run_dir,
    safe_name,
)

POOL = "pools: {web: {app: shop.wsgi}}\n"


def written(folder: Path, text: str, name: str = "trivet.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_the_argument_is_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, POOL, "shop.yml")
    assert find_file(str(file), {"TRIVET_FILE": "/elsewhere.yaml"}) == file


def test_the_environment_names_the_file_when_nothing_else_does(tmp_path: Path) -> None:
    file = written(tmp_path, POOL)
    assert find_file(None, {"TRIVET_FILE": str(file)}) == file


def test_trivet_yaml_here_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match=r"no trivet\.yaml here.*trivet init") as refused:
        find_file(None, {})
    assert refused.value.status == 2
    written(tmp_path, POOL)
    assert find_file(None, {}) == Path("trivet.yaml")


@pytest.mark.parametrize(
    ("argument", "environ", "said"),
    [
        ("missing.yaml", {}, r"there is no file missing\.yaml$"),
        (None, {"TRIVET_FILE": "missing.yaml"}, r"missing\.yaml \(from \$TRIVET_FILE\)"),
        ("shop.toml", {}, r"must end in \.yaml or \.yml"),
        (None, {"TRIVET_FILE": "shop"}, r"must end in"),
    ],
)
def test_a_file_that_cannot_be_meant(argument: str | None, environ: dict[str, str], said: str) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        find_file(argument, environ)
    assert refused.value.status == 2


@pytest.mark.parametrize(
    "name", ["trivet.yaml", "shop.yaml", "my shop!.yml", "..yaml", "ünter.yaml", "x" * 90 + ".yaml", "-.yaml"]
)
def test_names_are_those_of_the_configuration(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, POOL, name)
    assert name_of(file) == load(file, environ={}, purpose="proxy").name


def test_names_of_applications() -> None:
    assert name_of_app("shop.wsgi:application") == "shop.wsgi"
    assert name_of_app("sites/hello.py") == "hello"
    assert safe_name("///") == "site"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("run_dir: /run/shop", "/run/shop"),
        ("run_dir: /run/shop   # tmpfs", "/run/shop"),
        ('"run_dir":   "/run/a shop" # here', "/run/a shop"),
        ("'run_dir': '/run/shop'", "/run/shop"),
        ("run_dir: run", "run"),
        ("run_dir: ${WHERE}/shop", "/srv/shop"),
        ("run_dir: ${NOWHERE:-/run}/shop", "/run/shop"),
        ("run_dir:", None),
        ("run_dir: # later", None),
        ("# run_dir: /no", None),
        ("pools: {web: {app: x, run_dir: /no}}", None),
        ("a:\n  run_dir: /no", None),
    ],
)
def test_run_dir_is_read_without_yaml(tmp_path: Path, line: str, value: str | None) -> None:
    assert read_run_dir(written(tmp_path, f"---\n# a site\n{line}\n"), {"WHERE": "/srv"}) == value


@pytest.mark.parametrize(
    "text",
    [
        "{run_dir: /run/shop, pools: {web: {app: x}}}",
        "%YAML 1.2\n---\nrun_dir: /x",
        "run_dir: |\n  /run/shop",
        'run_dir: "/run/\\x41"',
        'run_dir: "/run',
        "run_dir: ${NOWHERE}",
        "run_dir: ~/run",
    ],
)
def test_what_needs_yaml_is_not_guessed(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotPlain):
        read_run_dir(written(tmp_path, text), {})


def test_a_flow_mapping_is_read_the_long_way(tmp_path: Path) -> None:
    file = written(tmp_path, "{run_dir: here, pools: {web: {app: x}}}")
    assert locate(str(file), {}) == (str(file), tmp_path / "here")


def test_a_relative_run_dir_is_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    file = written(tmp_path / "site", POOL + "run_dir: here\n")
    monkeypatch.chdir(tmp_path)
    assert locate("site/trivet.yaml", {}) == ("site/trivet.yaml", tmp_path / "site" / "here")
    assert load(file, environ={}, purpose="proxy").run_dir == tmp_path / "site" / "here"


def test_a_site_with_mistakes_is_found_all_the_same(tmp_path: Path) -> None:
    file = written(tmp_path, "run_dir: /run/shop\npools: {web: {ap: x}}\n")
    assert locate(str(file), {})[1] == Path("/run/shop")


def test_default_run_dirs(tmp_path: Path) -> None:
    uid = os.geteuid()
    given = {"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert default_run_dir("shop", given, uid) == Path("/run/a")
    assert default_run_dir("shop", {"XDG_RUNTIME_DIR": str(tmp_path)}, 0) == Path("/run/trivet/shop")
    other = uid + 12345
    assert default_run_dir("shop", {"TMPDIR": "/tmp"}, other) == Path(f"/tmp/trivet-{other}/shop")
    # Somebody else's session folder (sudo keeps the variable) is not ours to use.
    stolen = {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": "/tmp"}
    assert default_run_dir("shop", stolen, other) == Path(f"/tmp/trivet-{other}/shop")
    if uid:
        assert (
            default_run_dir("shop", {"XDG_RUNTIME_DIR": str(tmp_path)}, uid) == tmp_path / "trivet" / "shop"
        )


def test_the_folder_in_tmp_must_be_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    parent = tmp_path / f"trivet-{os.geteuid()}"
    prepare_parent(parent / "shop")
    assert parent.stat().st_mode & 0o777 == 0o700
    prepare_parent(parent / "shop")
    (parent / "other").mkdir()
    forget_parent(parent / "shop")
    assert parent.exists()
    (parent / "other").rmdir()
    forget_parent(parent / "shop")
    assert not parent.exists()
    forget_parent(tmp_path / "elsewhere" / "shop")
    prepare_parent(parent / "shop")
    parent.chmod(0o770)
    with pytest.raises(Refusal, match="not a folder of ours alone"):
        prepare_parent(parent / "shop")
    parent.rmdir()
    parent.symlink_to(tmp_path)
    with pytest.raises(Refusal, match="not a folder of ours alone"):
        prepare_parent(parent / "shop")
    prepare_parent(tmp_path / "elsewhere" / "shop")
    assert not (tmp_path / "elsewhere").exists()
