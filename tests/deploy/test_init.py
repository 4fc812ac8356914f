"""`trivet init`: the file it writes is a good one, and none is ever overwritten."""

from pathlib import Path

import pytest

from trivet_common.config import load
from trivet_deploy.discovery import Found
from trivet_deploy.init import init, render
from trivet_deploy.refusal import Refusal

FLASK = "from flask import Flask\napp = Flask(__name__)\n"


def test_a_flask_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app.py").write_text(FLASK)
    (tmp_path / "static").mkdir()
    (tmp_path / ".env").write_text("COLOUR=green\n")
    assert init(tmp_path) == 0
    assert capsys.readouterr().out == (
        "trivet.yaml written: a WSGI application, app: app:app\n"
        "next: trivet check --app, then: trivet serve\n"
    )
    settings = load(tmp_path / "trivet.yaml", environ={})
    assert [route.path for route in settings.routes] == ["/static/", "/healthz", "/"]
    assert settings.pools["web"].app == "app:app"
    assert settings.pools["web"].env == {"COLOUR": "green"}
    assert settings.warnings == ()


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(FLASK)
    (tmp_path / "trivet.yaml").symlink_to("nowhere")
    with pytest.raises(Refusal, match="is here already"):
        init(tmp_path)
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "app.py").write_text(FLASK)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(Refusal, match=r"found no manage\.py|cannot be written: Permission denied"):
        init(tmp_path)


def test_a_file_that_needs_mending_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app.py").write_text(FLASK)
    (tmp_path / ".env").write_text("this is no variable\n")
    assert init(tmp_path) == 0
    said = capsys.readouterr()
    assert ".env" in said.err
    assert "mend that" in said.out


def test_odd_names_are_quoted(tmp_path: Path) -> None:
    text = render(Found("shop.wsgi:make({})", "x", "/static/", "my files"), tmp_path)
    assert 'files: "my files"' in text
    assert 'app: "shop.wsgi:make({})"' in text
    assert "app: shop:create_app()" in render(Found("shop:create_app()", "x"), tmp_path).replace('"', "")


def test_who_has_a_manage_py_is_shown_how_a_database_is_migrated(tmp_path: Path) -> None:
    line = "    # prepare: [python manage.py migrate --noinput]    # before each release"
    assert line not in render(Found("shop.wsgi", "x"), tmp_path).splitlines()
    (tmp_path / "manage.py").touch()
    text = render(Found("shop.wsgi", "a Django project"), tmp_path)
    assert line in text.splitlines()
    (tmp_path / "trivet.yaml").write_text(text.replace("# prepare", "prepare"))
    commands = load(tmp_path / "trivet.yaml", environ={}).pools["web"].prepare
    assert commands == ("python manage.py migrate --noinput",)
