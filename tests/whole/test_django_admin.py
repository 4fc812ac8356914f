"""The Django example below a prefix: its admin used as a browser does it, its static files by the proxy."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from tests.whole.running import running
from tests.whole.talking import EXAMPLES

SHOP = EXAMPLES / "django_shop"
CONFIG = f"""
log: {{access: access.log}}
routes:
  - {{path: /a/shop/static/, files: data/static}}
  - {{path: /a/shop/, pool: shop, mount: true}}
pools:
  shop: {{app: shop.wsgi, directory: {SHOP}, workers: 1, env: {{SHOP_DATA: HERE}}}}
"""
MAKE_USER = (
    "from django.contrib.auth.models import User; User.objects.create_superuser('ada', 'a@b.example', 'pw')"
)


class Browser:
    """Keeps cookies, follows redirects, sends Referer with a form."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def open(self, target: str, form: dict[str, str] | None = None) -> tuple[str, str]:
        """The page's text and the path it came from in the end."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self.url + target, data, {"Referer": self.url + target})
        with self._opener.open(request, timeout=10) as answer:
            return answer.read().decode(), urllib.parse.urlsplit(answer.url).path


def token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found, page
    return found[1]


def prepare(data: Path) -> None:
    script = "from django.core.management import call_command as c; c('migrate', verbosity=0);"
    script += f"c('collectstatic', verbosity=0, interactive=False); {MAKE_USER}"
    subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {script}"],
        cwd=SHOP,
        env=os.environ | {"SHOP_DATA": str(data), "DJANGO_SETTINGS_MODULE": "shop.settings"},
        check=True,
        timeout=60,
    )


def test_login_with_csrf_and_cookies_below_a_prefix(tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare(data)
    with running(tmp_path, CONFIG.replace("HERE", str(data))) as site:
        browser = Browser(site.url)
        page, path = browser.open("/a/shop/admin/")
        assert path == "/a/shop/admin/login/"  # redirected there by Django, prefix and all
        form = {"username": "ada", "password": "pw", "next": "/a/shop/admin/"}
        with pytest.raises(urllib.error.HTTPError) as refused:  # a form without its token
            browser.open(path, form)
        assert refused.value.code == 403
        refused.value.close()
        page, path = browser.open(path, form | {"csrfmiddlewaretoken": token(page)})
        assert (path, "Site administration" in page) == ("/a/shop/admin/", True)
        assert {cookie.name for cookie in browser.cookies} >= {"shop_session", "shop_csrf"}

        page, path = browser.open("/a/shop/admin/catalogue/product/add/")
        product = {
            "name": "Zwölf legs",
            "description": "steady",
            "price": "3.10",
            "csrfmiddlewaretoken": token(page),
        }
        page, path = browser.open(path, product)
        assert path == "/a/shop/admin/catalogue/product/", page
        assert "Zwölf legs" in page

        style = re.search(r'href="(/a/shop/static/admin/css/base[^"]*\.css)"', page)
        assert style, page
        sheet, _ = browser.open(style[1])
        assert sheet == (data / "static" / style[1].removeprefix("/a/shop/static/")).read_text()
    lines = (tmp_path / "access.log").read_text().splitlines()
    by_proxy = [line for line in lines if "/static/admin/" in line]
    assert by_proxy
    assert all("upstream=- " in line for line in by_proxy)
