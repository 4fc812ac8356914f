"""docker-compose.yml as shipped: built, served through its port, killed, rebuilt under load, taken down."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deployed.engine import Engine
from tests.deployed.machine import LOAD, Load
from tests.deployed.tools import run

pytestmark = pytest.mark.deployed

URL = "http://127.0.0.1:8080"
# In a program of its own, since the port is published in another network than ours.
LOGIN = """
import http.cookiejar, json, re, sys, urllib.parse, urllib.request
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
page = opener.open(URL + "/login/", timeout=60).read().decode()
token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
form = {"csrfmiddlewaretoken": token, "username": "demo", "password": "demo"}
data = urllib.parse.urlencode(form).encode()
request = urllib.request.Request(URL + "/login/", data, {"Referer": URL + "/login/"})
with opener.open(request, timeout=60) as answer:
    print(json.dumps([answer.status, answer.url, "demo" in answer.read().decode()]))
""".replace("URL", repr(URL))
FETCH = """
import json, sys, urllib.request
with urllib.request.urlopen(%r, timeout=60) as answer:
    print(json.dumps([answer.status, answer.read().decode()]))
"""
USER = """
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser("demo", "demo@example.com", "demo")
"""


@pytest.fixture(scope="module")
def engine(workplace: Path) -> Iterator[Engine]:
    """With the images built, in its own network, and the site not yet started."""
    engine = Engine(workplace / "engine", workplace / "site")
    try:
        engine.start_for_builds()
        engine.install_compose()
        engine.make_base_image()
        began = time.monotonic()
        engine.compose("build")
        print(f"images built in {time.monotonic() - began:.0f} s")
        engine.stop()
        engine.start_for_containers()
        yield engine
    finally:
        engine.remove()


@pytest.fixture(scope="module")
def site(engine: Engine) -> Iterator[Engine]:
    engine.compose("up", "-d", "--wait")
    yield engine
    print(engine.compose("logs", "--no-color", "--tail", "25"))
    engine.compose("down", "--volumes")
    assert engine.docker("ps", "--all", "--quiet") == ""
    assert engine.docker("volume", "ls", "--quiet") == ""
    assert engine.docker("network", "ls", "--filter", "type=custom", "--quiet") == ""


def inside(site: Engine, program: str) -> Any:
    """What a program prints as JSON, in the network where the port is published."""
    return json.loads(run(*site.enter(), sys.executable, "-c", program, timeout=90))


def load(site: Engine) -> Load:
    return Load([*site.enter(), sys.executable, str(LOAD), f"{URL}/", "240", "2"])


def test_a_login_through_the_published_port(site: Engine) -> None:
    site.compose("exec", "-T", "backend", "python", "manage.py", "shell", "-c", USER)
    assert inside(site, LOGIN) == [200, f"{URL}/orders/", True]
    status, style = inside(site, FETCH % f"{URL}/static/catalogue/shop.css")
    assert status == 200
    assert (
        style == (site.site / "deploy/examples/django_shop/catalogue/static/catalogue/shop.css").read_text()
    )


def test_status_and_reload_reach_both_containers(site: Engine) -> None:
    for service in ("proxy", "backend"):
        told = site.compose("exec", "-T", service, "trivet", "status")
        assert "proxy: " in told
        assert "pool web: " in told
    assert "reloaded" in site.compose("exec", "-T", "proxy", "trivet", "reload")


def test_no_container_can_do_more_than_it_must(site: Engine) -> None:
    for service in ("proxy", "backend"):
        name = site.compose("ps", "--quiet", service).strip()
        (told,) = json.loads(site.docker("inspect", name))
        host = told["HostConfig"]
        assert told["Config"]["User"] == "10001:10001"
        assert (host["ReadonlyRootfs"], host["CapDrop"], host["Privileged"]) == (True, ["ALL"], False)
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["Memory"] > 0
        assert host["PidsLimit"] > 0
        rows = site.compose("exec", "-T", service, "cat", "/proc/1/status").splitlines()
        rights = {row.split(":")[0]: row.split()[1] for row in rows if row.startswith(("Cap", "NoNewPrivs"))}
        assert rights.pop("NoNewPrivs") == "1"
        assert set(rights.values()) == {"0000000000000000"}


def test_requests_wait_for_a_killed_backend_and_succeed(site: Engine) -> None:
    clients = load(site)
    site.compose("kill", "--signal", "KILL", "backend")
    time.sleep(1)
    site.compose("start", "backend")
    site.compose("up", "-d", "--wait", "backend")
    result = clients.result()
    print(f"backend killed: {result['found']}, longest wait {result['longest']:.1f} s")
    assert list(result["found"]) == ["200"], result
    assert inside(site, LOGIN)[0] == 200  # its data were kept


def test_a_new_backend_is_built_and_put_in_place_under_load(site: Engine) -> None:
    template = site.site / "deploy/examples/django_shop/catalogue/templates/catalogue/base.html"
    template.write_text(template.read_text().replace("<!doctype html>", "<!doctype html><!-- second -->", 1))
    clients = load(site)
    site.compose("up", "-d", "--build", "--wait", "backend")
    result = clients.result()
    print(f"backend rebuilt: {result['found']}, longest wait {result['longest']:.1f} s")
    assert list(result["found"]) == ["200"], result
    assert {"<!-- second -->" in body for body in result["bodies"]} == {True, False}


def test_the_proxy_is_restarted(site: Engine) -> None:
    site.compose("restart", "proxy")
    site.compose("up", "-d", "--wait", "proxy")
    assert inside(site, LOGIN)[0] == 200
