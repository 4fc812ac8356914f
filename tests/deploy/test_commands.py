"""The command's words: options, exit statuses, and that a mistake is one clear line and never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trivet_common import __version__
from trivet_common.control import ControlServer
from trivet_deploy import check, cli, running

SITE = "run_dir: run\npools: {web: {app: shop.wsgi}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIVET_FILE", raising=False)
    return tmp_path


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"Trivet {__version__}\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["serve", "--help"], ["check", "-h"]])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) in (0, 2)
    said = capsys.readouterr()
    assert "Usage: trivet" in said.out + said.err or "usage: trivet" in said.err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["sevre"], 2, "No such command"),
        (["serve", "--wrokers", "2"], 2, "No such option"),
        (["serve", "a", "b"], 2, "unexpected extra argument"),
        (["check", "--for", "fun"], 2, "fun"),
        (["check"], 2, "there is no trivet.yaml here"),
        (["check", "missing.yaml"], 2, "there is no file missing.yaml"),
        (["check", "shop.wsgi"], 2, "must end in .yaml or .yml"),
        (["backend", "shop.wsgi"], 2, "must end in .yaml or .yml"),
        (["proxy", "--reload", "x.yaml"], 2, "No such option"),
        (["backend", "--reload", "x.yaml"], 2, "No such option"),
        (["dump", "a.yaml", "b.yaml"], 2, "write one FILE"),
        (["dump", "shop.wsgi", "w12"], 3, "nothing runs for shop.wsgi"),
        (["init", "systemd"], 2, "there is no trivet.yaml here"),
        (["proxy", "--beside", "nobody-has-this-name", "x.yaml"], 2, "there is no user"),
        (["init", "magic"], 2, "init takes no 'magic'"),
        (["init"], 1, "found no manage.py"),
        (["stop", "shop.wsgi"], 3, "nothing runs for shop.wsgi"),
        (["status", "--probe"], 2, "usage: trivet status"),
    ],
)
def test_mistakes(
    words: list[str],
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "what_runs", lambda: iter(()))  # whatever else this machine serves
    assert cli.main(words) == status
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.startswith("trivet: ")
    assert len(told.err.splitlines()) <= 2
    assert "Traceback" not in told.err


def test_reload_by_itself_is_not_for_systemd(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    assert cli.main(["serve", "--reload", "shop.wsgi"]) == 2
    assert "--reload is for development, and systemd runs this" in capsys.readouterr().err


def test_mistakes_of_a_file_are_a_line_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "trivet.yaml").write_text("lisen: 80\npools: {web: {ap: x}}\n")
    for words in (["check"], ["serve"], ["proxy"], ["backend"]):
        assert cli.main(words) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) >= 2
        assert all(line.startswith("trivet.yaml:") for line in lines)


@pytest.mark.parametrize("words", [["reload"], ["stop"], ["status"], ["status", "--json"]])
def test_nothing_runs(folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "trivet.yaml").write_text(SITE)
    assert cli.main(words) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"trivet: nothing runs for trivet.yaml (no master answers in {folder}/run)")


def test_backend_with_several_pools_wants_a_choice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.yaml").write_text(
        "pools: {web: {app: x}, shop: {app: y}}\nroutes: [{path: /s/, pool: shop}, {path: /, pool: web}]\n"
    )
    assert cli.main(["backend", "a.yaml"]) == 2
    assert "a.yaml has 2 pools; choose one: --pool web | shop" in capsys.readouterr().err
    assert cli.main(["backend", "a.yaml", "--pool", "sohp"]) == 2
    assert "a.yaml has no pool sohp; its pools: web, shop" in capsys.readouterr().err


def test_show_config_and_schema(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "trivet.yaml").write_text(SITE)
    assert cli.main(["serve", "-w", "3", "--show-config"]) == 0
    assert "workers: 3" in capsys.readouterr().out
    assert cli.main(["check", "--schema"]) == 0
    assert capsys.readouterr().out.startswith("{")
    assert cli.main(["serve", "-w", "three", "--show-config"]) == 1
    assert capsys.readouterr().err.startswith("--workers: ")


def test_init_then_check(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    assert cli.main(["init"]) == 0
    assert cli.main(["init"]) == 1
    monkeypatch.setattr(check, "user_for", lambda pool: str(os.geteuid()))  # also where tests run as root
    assert cli.main(["check", "--app"]) == 0
    assert "trivet.yaml: ok, 2 routes, 1 pool" in capsys.readouterr().out


def test_the_console_script_and_a_reader_that_leaves(folder: Path) -> None:
    command = [sys.executable, "-c", "import sys; from trivet_deploy.cli import main; sys.exit(main())"]
    done = subprocess.run(
        f"{' '.join(repr(word) for word in command)} check --schema | head -c 1", shell=True,
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("{", "")


def test_a_control_socket_without_a_master(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What kill -9 leaves."""
    (folder / "trivet.yaml").write_text(SITE)
    (folder / "run").mkdir()
    server = ControlServer(folder / "run" / "control.sock")
    server.close_in_child()
    assert cli.main(["reload"]) == 3
    assert "nothing runs for trivet.yaml" in capsys.readouterr().err
