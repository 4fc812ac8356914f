"""What is found in a folder, without running any of it."""

from pathlib import Path

import pytest

from trivet_deploy.discovery import Found, find
from trivet_deploy.refusal import Refusal

EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples"


def make(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(text)
    return folder


MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'


def test_the_example_sites() -> None:
    assert find(EXAMPLES / "django_shop")[:2] == ("shop.wsgi", "a Django project")
    assert find(EXAMPLES / "flask_site") == Found("app:app", "a WSGI application", static="static")


def test_django_with_collected_files(tmp_path: Path) -> None:
    settings = """
        from pathlib import Path
        BASE_DIR = Path(__file__).parent.parent
        WSGI_APPLICATION = "shop.wsgi.application"
        STATIC_URL = "assets/"
        STATIC_ROOT = BASE_DIR / "collected"
    """
    make(
        tmp_path,
        {"manage.py": MANAGE, "shop/settings.py": settings.replace("        ", ""), "collected/": ""},
    )
    assert find(tmp_path) == Found("shop.wsgi", "a Django project", "/assets/", "./collected")


def test_django_before_collectstatic_gets_a_note(tmp_path: Path) -> None:
    settings = 'WSGI_APPLICATION = "shop.wsgi.handler"\nSTATIC_ROOT = os.path.join(BASE_DIR, "collected")\n'
    make(tmp_path, {"manage.py": MANAGE, "shop/settings.py": settings})
    found = find(tmp_path)
    assert (found.app, found.static) == ("shop.wsgi:handler", None)
    assert "collectstatic" in found.note


def test_django_with_split_settings(tmp_path: Path) -> None:
    manage = MANAGE.replace("shop.settings", "shop.settings.dev")
    base = 'WSGI_APPLICATION = "shop.wsgi.application"\n'
    make(
        tmp_path, {"manage.py": manage, "shop/settings/base.py": base, "shop/settings/dev.py": "DEBUG = 1\n"}
    )
    assert find(tmp_path).app == "shop.wsgi"


def test_django_without_the_setting(tmp_path: Path) -> None:
    make(tmp_path, {"manage.py": MANAGE, "shop/settings.py": "STATIC_URL = 'https://cdn.example/'\n"})
    with pytest.raises(Refusal, match=r"shop/wsgi\.py"):
        find(tmp_path)
    make(tmp_path, {"shop/wsgi.py": ""})
    assert find(tmp_path) == Found("shop.wsgi", "a Django project")


@pytest.mark.parametrize(
    ("files", "app"),
    [
        ({"site.py": "from flask import Flask\nweb = Flask(__name__)\n"}, "site:web"),
        ({"hello.py": "import flask\napp = flask.Flask(__name__)\n"}, "hello:app"),
        ({"shop/__init__.py": "def create_app(config=None):\n    pass\n"}, "shop:create_app()"),
        ({"a.py": "def create_app(config):\n    pass\n", "b.py": "app = make_wsgi_app()\n"}, "b:app"),
        ({"wsgi.py": "from shop import create_app\napplication = create_app('x')\n"}, "wsgi:application"),
        ({"raw.py": "def handle(environ, start_response):\n    return []\n"}, "raw:handle"),
        ({"zebra.py": "app = Flask('z')\n", "app.py": "app = Flask('a')\n"}, "app:app"),
        ({"tests/app.py": "app = Flask('t')\n", "web/main.py": "app = Flask('w')\n"}, "web.main:app"),
        ({"broken.py": "def (:\n", "good.py": "app = Flask('w')\n"}, "good:app"),
        ({"not-a-module.py": "app = Flask('x')\n", "ok.py": "app = Flask('x')\n"}, "ok:app"),
    ],
)
def test_wsgi_applications(tmp_path: Path, files: dict[str, str], app: str) -> None:
    assert find(make(tmp_path, files)).app == app


def test_static_files_beside_the_module(tmp_path: Path) -> None:
    make(tmp_path, {"web/app.py": "app = Flask('w')\n", "web/static/": ""})
    assert find(tmp_path).static == "web/static"


def test_asgi_is_named_as_such(tmp_path: Path) -> None:
    make(tmp_path, {"main.py": "from fastapi import FastAPI\napi = FastAPI()\n"})
    with pytest.raises(Refusal, match=r"main:api is an ASGI application, and pools run WSGI.*upstream"):
        find(tmp_path)


def test_nothing_to_serve(tmp_path: Path) -> None:
    make(tmp_path, {"setup.py": "app = Flask('x')\n", "venv/app.py": "app = Flask('x')\n"})
    with pytest.raises(Refusal, match=r"found no manage\.py and no WSGI application"):
        find(tmp_path)
