"""Finding and importing the application, and what is said when that fails."""

import importlib.machinery
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trivet_backend import application
from trivet_backend.application import AppError, load_application

WSGI = "def {name}(environ, start_response):\n    return [b'{name}']\n"


@pytest.fixture(autouse=True)
def clean_import() -> Iterator[None]:
    """Each test is a process of its own as far as imports go."""
    path, modules, cwd = sys.path[:], set(sys.modules), os.getcwd()
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    os.chdir(cwd)


def pool(directory: Path, app: str, *python_path: Path) -> Any:
    return SimpleNamespace(app=app, directory=directory, python_path=python_path)


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def load(folder: Path, app: str) -> Any:
    return load_application(pool(folder, app))({}, None)


def problem(folder: Path, app: str) -> AppError:
    with pytest.raises(AppError) as caught:
        load_application(pool(folder, app))
    return caught.value


# ------------------------------------------------------------ what is found


def test_a_module_has_application_before_app(tmp_path: Path) -> None:
    write(tmp_path, both=WSGI.format(name="app") + WSGI.format(name="application"))
    assert load(tmp_path, "both") == [b"application"]


def test_a_module_may_have_app(tmp_path: Path) -> None:
    assert load(write(tmp_path, flasky=WSGI.format(name="app")), "flasky") == [b"app"]


def test_a_dotted_attribute(tmp_path: Path) -> None:
    text = (
        "class site:\n    @staticmethod\n    def wsgi(environ, start_response):\n        return [b'dotted']\n"
    )
    assert load(write(tmp_path, shop=text), "shop:site.wsgi") == [b"dotted"]


def test_a_factory_with_literal_arguments(tmp_path: Path) -> None:
    text = "def make(name, *, loud=False):\n    return lambda environ, start_response: [name, loud]\n"
    assert load(write(tmp_path, shop=text), "shop:make('x', loud=True)") == ["x", True]


def test_a_file_by_its_path_and_its_neighbours(tmp_path: Path) -> None:
    text = "import neighbour\napp = neighbour.app\n"
    write(tmp_path, site__main=text, site__neighbour=WSGI.format(name="app"))
    assert load(tmp_path, "site/main.py") == [b"app"]


def test_a_file_whose_name_a_module_of_the_library_has(tmp_path: Path) -> None:
    import json  # noqa: F401  it is in sys.modules

    text = "import sys\nNAME = __name__\nassert sys.modules[__name__].NAME\n" + WSGI.format(name="app")
    assert load(write(tmp_path, json=text), "./json.py") == [b"app"]


def test_the_directory_comes_first_then_python_path(tmp_path: Path) -> None:
    home, more = write(tmp_path / "home", shop="import extra\napp = extra.app\n"), tmp_path / "more"
    write(more, extra=WSGI.format(name="app"), shop="app = None\n")
    application = load_application(pool(home, "shop", more))
    assert application({}, lambda *_: None) == [b"app"]
    assert sys.path[:2] == [str(home), str(more)]
    assert os.getcwd() == str(home)


def test_a_class_may_be_the_application(tmp_path: Path) -> None:
    text = (
        "class Site:\n    def __init__(self, environ, start_response): pass\n"
        "    def __iter__(self): return iter([b'class'])\n"
    )
    assert list(load(write(tmp_path, shop=text), "shop:Site")) == [b"class"]


# ------------------------------------------------------------ what is said

ASGI = "async def app(scope, receive, send): ...\n"
ASGI_CLASS = "class FastAPI:\n    async def __call__(self, scope, receive, send): ...\napp = FastAPI()\n"

WRONG = {
    "no module": ({}, "shopp", "there is no module 'shopp'", "is `directory` the folder"),
    "near name": ({"shop": ""}, "shopp", "there is no module 'shopp'", "did you mean shop?"),
    "no submodule": ({"shop__wsgi": ""}, "shop.wsgy", "there is no module 'shop.wsgy'", "did you mean wsgi?"),
    "nested import": (
        {"shop": "import nothing_like_it\n"},
        "shop",
        "importing shop failed: ModuleNotFoundError",
        "shop was found; it needs 'nothing_like_it'",
    ),
    "raises": ({"shop": "1 / 0\n"}, "shop", "ZeroDivisionError: division by zero", ""),
    "exits": ({"shop": "import sys\nsys.exit(3)\n"}, "shop", "SystemExit: 3", "must not call sys.exit"),
    "syntax": ({"shop": "def (:\n"}, "shop", "SyntaxError", "shop.py:1"),
    "neither": ({"shop": "x = 1\n"}, "shop", "has neither `application` nor `app`", "nothing in it looks"),
    "neither but another": (
        {"shop": "def site(environ, start_response): ...\n"},
        "shop",
        "has neither",
        "write app: shop:site",
    ),
    "neither but a factory": (
        {"shop": "def create_app(): ...\n"},
        "shop",
        "has neither",
        "write app: shop:create_app()",
    ),
    "no attribute": ({"shop": WSGI.format(name="app")}, "shop:ap", "has no 'ap'", "did you mean shop:app?"),
    "not callable": ({"shop": "app = 'text'\n"}, "shop:app", "shop:app is a str", "nothing in it looks"),
    "uncalled factory": (
        {"shop": "def create_app():\n    return None\n"},
        "shop:create_app",
        "does not take (environ, start_response)",
        "write app: shop:create_app()",
    ),
    "factory returns none": (
        {"shop": "def create_app():\n    pass\n"},
        "shop:create_app()",
        "returned None",
        "return app",
    ),
    "factory raises": (
        {"shop": "def create_app():\n    raise RuntimeError('no database')\n"},
        "shop:create_app()",
        "calling shop:create_app() failed: RuntimeError: no database",
        "",
    ),
    "factory argument": (
        {"shop": "def make(x): ...\n"},
        "shop:make(open('/etc/passwd'))",
        "must be plain values",
        "write a module",
    ),
    "async factory": (
        {"shop": "async def make(): ...\n"},
        "shop:make()",
        "is a coroutine",
        "must not be `async`",
    ),
    "asgi function": ({"shop": ASGI}, "shop", "is an ASGI application", "uvicorn shop:app"),
    "asgi instance": ({"shop": ASGI_CLASS}, "shop", "FastAPI", "upstream: unix:app.sock"),
    "empty": ({}, ":app", "names no application", "write module"),
    "expression": ({"shop": ""}, "shop:a+b", "neither a name nor a call", "module:factory()"),
    "no file": ({"main": ""}, "./mian.py", "there is no file", "did you mean main.py?"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_a_sentence_with_a_hint(tmp_path: Path, case: str) -> None:
    files, app, text, hint = WRONG[case]
    error = problem(write(tmp_path, **files), app)
    assert text in error.text
    assert hint in error.hint
    assert "\n" not in error.text


def test_the_traceback_begins_with_the_users_own_file(tmp_path: Path) -> None:
    write(tmp_path, shop="import inner\n", inner="1 / 0\n")
    error = problem(tmp_path, "shop")
    assert error.trace.splitlines()[1].strip().startswith(f'File "{tmp_path}/shop.py"')
    assert "importlib" not in error.trace
    assert "inner.py" in str(error)


def test_djangos_asgi_application_is_named(tmp_path: Path) -> None:
    pytest.importorskip("django")
    text = (
        "from django.conf import settings\nsettings.configure()\n"
        "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"
    )
    error = problem(write(tmp_path, site__asgi=text), "site/asgi.py")
    assert "django's ASGIHandler) is an ASGI application" in error.text
    assert "write app: site/wsgi.py" in error.hint


def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    assert "cannot be entered: No such file" in problem(tmp_path / "gone", "shop").text


def test_a_module_full_of_proxies_is_searched_all_the_same(tmp_path: Path) -> None:
    """`from flask import request`: such an object raises RuntimeError at any look that is taken at it."""
    pytest.importorskip("flask")
    source = "from flask import Flask, current_app, request, session\nserver = Flask('x')\n"
    write(tmp_path, shop=source)
    for app in ("shop", "shop:nope"):
        assert problem(tmp_path, app).hint == "write app: shop:server"
    assert problem(tmp_path, "shop:request.form").text.startswith("app: shop:request.form cannot be read: ")


def test_a_source_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path, shop="") / "shop.py"
    # Root reads everything, so the import machinery is made to fail as it does for others.
    code = "def get_data(self, path): raise PermissionError(13, 'Permission denied', str(path))"
    namespace: dict[str, Any] = {}
    exec(compile(code, "<frozen importlib._bootstrap_external>", "exec"), namespace)
    monkeypatch.setattr(importlib.machinery.SourceFileLoader, "get_data", namespace["get_data"])
    monkeypatch.setattr(application, "why_not_a_file", lambda path: f"uid 7 may not read {path}")
    error = problem(tmp_path, "shop")
    assert error.text.startswith("app: importing shop failed: PermissionError")
    assert (error.hint, error.trace) == (f"uid 7 may not read {source}", "")


@pytest.mark.parametrize("app", ["mysite", "manage.py"])
def test_djangos_package_and_its_command_lead_to_its_wsgi_module(tmp_path: Path, app: str) -> None:
    write(tmp_path, manage="", mysite____init__="", mysite__wsgi=WSGI.format(name="application"))
    assert problem(tmp_path, app).hint == "write app: mysite.wsgi"
