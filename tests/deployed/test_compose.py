"""docker-compose.yml as shipped: built, served through its port, killed, rebuilt under load, taken down."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.deployed.engine import Engine
from tests.deployed.machine import LOAD, Load
from tests.deployed.tools import ROOT, run

pytestmark = pytest.mark.deployed

TRIVET = Path(sys.executable).parent / "trivet"
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
# A site of somebody's own, with what a plain `proxy --listen` would have dropped.
OWN = """
listen:
  - 80
  - {address: ":443", tls: {certificate: certs/cert.pem, key: certs/key.pem}}
run_dir: ./run
limits: {body: 5MiB}
routes:
  - {path: /static/, files: ./static}
  - {path: /, pool: web}
pools:
  web: {app: hello, env_file: .env, queue: {timeout: 60s}, workers: 2}
"""
HELLO = """
import os
def application(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"release RELEASE {environ['wsgi.url_scheme']} {os.environ['WORD']} {len(body)}".encode()]
"""
ASK = """
import json, ssl, urllib.request
context = ssl.create_default_context(cafile=%r)
with urllib.request.urlopen(%r, data=%s, context=context, timeout=60) as answer:
    print(json.dumps(answer.read().decode()))
"""
POST = """
import urllib.error, urllib.request
try:
    urllib.request.urlopen(URL + "/login/", data=b"x=" + bytes(2_000_000), timeout=60)
except urllib.error.HTTPError as error:
    print(error.code)
""".replace("URL", repr(URL))
USER = """
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser("demo", "demo@example.com", "demo")
"""


def generate(folder: Path, release: str) -> None:
    """What docs/deploy.md has somebody do, once for each release."""
    if not folder.exists():
        for name in ("certs", "static", ".git"):
            (folder / name).mkdir(parents=True)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        issued = authority.issue_cert("localhost", "127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(str(folder / "certs/cert.pem"))
        issued.private_key_pem.write_to_path(str(folder / "certs/key.pem"))
        for path in (folder / "certs").iterdir():
            path.chmod(0o644)
        (folder / "static/style.css").write_text("body {}")
        (folder / ".env").write_text("WORD=secret\n")
        (folder / "requirements.txt").write_text("")
        (folder / "trivet.yaml").write_text(OWN)
        pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check")
        run(*pip, "--no-deps", "--wheel-dir", folder, ROOT, timeout=180)
        run(TRIVET, "init", "compose", folder / "trivet.yaml", "--to", folder)
    (folder / "hello.py").write_text(HELLO.replace("RELEASE", release))


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
        for release in ("1", "2"):
            generate(workplace / "generated", release)
            engine.compose_in(workplace / "generated", "build", release=release)
        print(f"images built in {time.monotonic() - began:.0f} s")
        engine.stop()
        engine.start_for_containers()
        yield engine
    finally:
        engine.remove()


@pytest.fixture
def generated(engine: Engine, workplace: Path) -> Iterator[Path]:
    """Taken down before the shipped site is started."""
    folder = workplace / "generated"
    engine.compose_in(folder, "up", "-d", "--wait", release="2")
    yield folder
    print(engine.compose_in(folder, "logs", "--no-color", "--tail", "25", release="2"))
    engine.compose_in(folder, "down", "--volumes", release="2")


def test_a_generated_site_has_its_listeners_and_its_secrets_and_can_go_back(
    engine: Engine, generated: Path
) -> None:
    authority = str(generated / "ca.pem")

    def ask(url: str, data: str = "None") -> object:
        return inside(engine, ASK % (authority, url, data))

    assert ask("http://127.0.0.1/") == "release 2 http secret 0"
    assert ask("https://127.0.0.1/", "bytes(3_000_000)") == "release 2 https secret 3000000"
    assert ask("https://127.0.0.1/static/style.css") == "body {}"
    engine.compose_in(generated, "up", "-d", "--wait", "web", release="1")
    assert ask("https://127.0.0.1/") == "release 1 https secret 0"
    for half, wanted in (("proxy", {"trivet.yaml", "static"}), ("backend", {"hello.py", "requirements.txt"})):
        listed = engine.docker("run", "--rm", f"generated-{half}:2", "find", "/srv/site")
        seen = {line.rpartition("/")[2] for line in listed.splitlines()}
        assert wanted <= seen
        assert not seen & {".env", ".git", "cert.pem", "key.pem", "ca.pem", "Dockerfile"}
        assert ("hello.py" in seen) == (half == "backend")
    name = engine.compose_in(generated, "ps", "--quiet", "proxy", release="2").strip()
    (told,) = json.loads(engine.docker("inspect", name))
    assert told["HostConfig"]["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": "10m", "max-file": "5"},
    }


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


def test_a_large_body_finds_room_in_both_containers(site: Engine) -> None:
    """Refused by Django, which read it: it has no token."""
    assert inside(site, POST) == 403


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
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}
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
