"""What Django's collectstatic and Vite write is served with the right caching, found as a browser does."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.running import running
from tests.whole.talking import Answer, Talk

YEAR, ASK = "public, max-age=31536000, immutable", "no-cache"
VITE = Path(__file__).parent / "vite_build"
# The smallest project: the admin's own files, a style sheet that names a picture, and the manifest storage.
SETTINGS = """
from pathlib import Path

HERE = Path(__file__).parent
SECRET_KEY = "only a test"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "pages"
INSTALLED_APPS = ["django.contrib.staticfiles"]
STATIC_URL = "/static/"
STATIC_ROOT = HERE / "collected"
STATICFILES_DIRS = [HERE / "sources"]
STORAGES = {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
WSGI_APPLICATION = "pages.application"
"""
PAGES = """
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "project"
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.template import Context, Engine
from django.urls import path

PAGE = '{% load static %}<link href="{% static "css/site.css" %}"><script src="{% static "app.js" %}">'

def home(request):
    engine = Engine(libraries={"static": "django.templatetags.static"})
    return HttpResponse(engine.from_string(PAGE).render(Context()))

urlpatterns = [path("", home)]
application = get_wsgi_application()
"""
DJANGO_SITE = """
proxy: {processes: 1}
routes:
  - {path: /static/, files: collected}
  - {path: /, pool: web}
pools: {web: {app: pages, workers: 1}}
"""
VITE_SITE = """
proxy: {processes: 1}
routes:
  - {path: /, files: {root: dist, fallback: index.html}}
"""


@pytest.fixture(scope="module")
def django(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    folder = tmp_path_factory.mktemp("django")
    (folder / "sources" / "css").mkdir(parents=True)
    (folder / "sources" / "css" / "site.css").write_text('body { background: url("../dot.svg") }\n')
    (folder / "sources" / "dot.svg").write_text("<svg/>\n")
    (folder / "sources" / "app.js").write_text("console.log(1)\n")
    (folder / "project.py").write_text(SETTINGS)
    command = [sys.executable, "-m", "django", "collectstatic", "--noinput", "--settings", "project"]
    subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, check=True, capture_output=True, timeout=60
    )
    with running(folder, DJANGO_SITE, pages=PAGES) as site, Talk(site.address) as talk:
        yield talk


@pytest.fixture(scope="module")
def vite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    folder = tmp_path_factory.mktemp("vite")
    shutil.copytree(VITE, folder / "dist")
    with running(folder, VITE_SITE) as site, Talk(site.address) as talk:
        yield talk


def cache(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.headers["cache-control"]


def test_what_a_django_page_names_is_kept_for_a_year(django: Talk) -> None:
    page = django.get("/").body.decode()
    names = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert len(names) == 2
    for name in names:
        assert re.search(r"\.[0-9a-f]{12}\.", name)
        assert cache(django.get(name)) == (200, YEAR)
    style = django.get(names[0])
    picture = re.findall(r'url\("([^"]+)"\)', style.body.decode())[0]
    assert cache(django.get("/static/" + picture.removeprefix("../"))) == (200, YEAR)
    assert style.headers["content-type"] == "text/css; charset=utf-8"


def test_djangos_plain_names_are_asked_for_again(django: Talk) -> None:
    first = django.get("/static/css/site.css")
    assert cache(first) == (200, ASK)
    again = django.get("/static/css/site.css", f"If-None-Match: {first.headers['etag']}")
    assert cache(again) == (304, ASK)
    assert cache(django.get("/static/staticfiles.json")) == (200, ASK)


def test_what_a_vite_page_names_is_kept_for_a_year(vite: Talk) -> None:
    page = vite.get("/")
    assert cache(page) == (200, ASK)
    names = re.findall(r'(?:href|src)="(/[^"]+)"', page.body.decode())
    assert len(names) == 2
    script = vite.get(names[0])
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    style = vite.get(names[1]).body.decode()
    names += ["/assets/" + name for name in re.findall(r'"\./([^"]+)"', script.body.decode())]
    names += re.findall(r"url\(([^)]+)\)", style)
    assert len(names) == 4
    for name in names:
        assert cache(vite.get(name)) == (200, YEAR), name
    assert cache(vite.get("/robots.txt")) == (200, ASK)


def test_paths_of_the_application_get_its_page(vite: Talk) -> None:
    for path in ("/orders/7", "/about"):
        answer = vite.get(path)
        assert (*cache(answer), b'id="app"' in answer.body) == (200, ASK, True)


def test_an_asset_of_another_release_is_none(vite: Talk) -> None:
    for name in ("/assets/index-XyZw12Qq.js", "/assets/index-QuiteOld.css"):
        assert cache(vite.get(name)) == (404, "no-store")
    assert vite.get("/.vite/manifest.json").status == 404
