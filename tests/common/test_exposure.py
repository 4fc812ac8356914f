"""Folders that a route would serve with more in them than anybody meant."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet_common.config import ConfigError, load

POOL = "pools: {web: {app: shop}}\n"


def said(folder: Path, text: str, purpose: str = "serve") -> list[str]:
    """Mistakes, or the warnings of a site that has none."""
    (folder / "trivet.yaml").write_text(text)
    try:
        problems = load(folder / "trivet.yaml", environ={}, purpose=purpose).warnings
    except ConfigError as error:
        problems = tuple(error.problems)
    return [str(problem).replace(f"{folder}/", "") for problem in problems]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tv-", dir="/tmp") as short:  # a run directory's name is bounded
        yield _filled(Path(short).resolve())


def _filled(tmp_path: Path) -> Path:
    for name in ("public/run", "public/.hidden", "public/keep", "state"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "shop.py").write_text("def application(environ, start_response): ...\n")
    (tmp_path / "current").symlink_to("public")
    (tmp_path / "public" / "secret.env").write_text("A=b\n")
    return tmp_path


@pytest.mark.parametrize("root", ["public", "current", ".", "public/../public"])
def test_a_run_directory_or_state_in_it(folder: Path, root: str) -> None:
    text = f"run_dir: current/run\nstate_dir: public/keep\nroutes:\n  - {{path: /, files: {root}}}\n"
    mistakes = [line for line in said(folder, text) if "configuration" not in line]
    assert mistakes == [
        "trivet.yaml:4: files: run_dir (public/run) lies in it, for everybody to download; "
        "move run_dir out of the folder",
        "trivet.yaml:4: files: state_dir (public/keep) lies in it, for everybody to download; "
        "move state_dir out of the folder",
    ]


def test_the_file_itself(folder: Path) -> None:
    text = "routes:\n  - path: /\n    files:\n      root: .\n"
    assert said(folder, text) == [
        "trivet.yaml:4: files.root: the configuration (trivet.yaml) lies in it, for everybody to download; "
        "serve a folder that holds only what everybody may have, for instance ./public"
    ]


def test_a_file_of_passwords(folder: Path) -> None:
    (folder / "public" / "users").write_text("ann:$2y$05$" + "a" * 53 + "\n")
    text = "routes:\n  - {path: /s/, files: public, basic_auth: public/users}\n"
    assert "the file of passwords (public/users) lies in it" in said(folder, text)[0]


def test_secrets_spools_and_logs(folder: Path) -> None:
    text = "pools: {web: {app: shop, env_file: public/secret.env}}\n"
    text += "routes: [{path: /s/, files: public}, {path: /, pool: web}]\n"
    assert "env_file of pool web (public/secret.env) lies in it" in said(folder, text)[0]
    text = "spool: {dir: public/keep}\nlog: {access: public/a.log}\nroutes: [{path: /, files: public}]\n"
    log, spool = sorted(said(folder, text))
    assert "spool.dir (public/keep) lies in it" in spool
    assert "log.access (public/a.log) lies in it" in log


@pytest.mark.parametrize(
    "text",
    [
        "run_dir: public/.hidden/run\nroutes: [{path: /, files: public}]\n",
        "run_dir: public2/run\nroutes: [{path: /, files: public}]\n",
        "state_dir: state\nroutes: [{path: /, files: {root: public, keep_releases: 2}}]\n",
        POOL
        + "run_dir: public/run\nroutes: [{path: /x/, internal: true, files: public}, {path: /, pool: web}]\n",
    ],
)
def test_what_nobody_can_ask_for(folder: Path, text: str) -> None:
    assert said(folder, text) == []


def test_dots_that_are_served(folder: Path) -> None:
    text = "run_dir: public/.hidden/run\nroutes: [{path: /, files: {root: public, hidden: true}}]\n"
    assert "run_dir" in said(folder, text)[0]


def test_a_store_is_not_kept_in_itself(folder: Path) -> None:
    text = (
        "state_dir: public/keep\nroutes: [{path: /, internal: true, files: {root: public, keep_releases: 2}}]"
    )
    assert "state_dir" in said(folder, text)[0]


def test_a_half_looks_only_at_its_own(folder: Path) -> None:
    text = POOL + "run_dir: public/run\nroutes: [{path: /s/, files: public}, {path: /, pool: web}]\n"
    assert said(folder, text, "backend") == []
    assert len(said(folder, text, "proxy")) == 1
