"""The two example sites, through Werkzeug's test client with wsgiref.validate around each application."""

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from werkzeug.test import Client, TestResponse

from trivet_common.config import load as load_settings

EXAMPLES = Path(__file__).resolve().parents[2] / "deploy" / "examples"
SHOP = EXAMPLES / "django_shop"


def load(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # where Flask looks for the folder its templates are in
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def site_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("SITE_DATA", str(tmp_path))
    return load("example_flask_site", EXAMPLES / "flask_site" / "app.py", monkeypatch)


class Reader(Client):
    """Reads every answer to its end and closes it, as a server must."""

    def open(self, *arguments: Any, **more: Any) -> TestResponse:
        return super().open(*arguments, buffered=True, **more)


@pytest.fixture
def site(site_module: ModuleType) -> Client:
    return Reader(validator(site_module.app))


def test_trouble_is_well_configured_and_does_what_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = load("example_trouble", EXAMPLES / "trouble" / "trouble.py", monkeypatch)
    client = Reader(validator(trouble.application))
    assert client.get("/").text.startswith("hello (process ")
    assert client.get("/stuck?seconds=0").text.startswith("slept for 0 s")
    assert len(client.get("/big").data) > 20_000_000
    assert client.get("/nowhere").status_code == 404
    pool = load_settings(EXAMPLES / "trouble" / "trivet.yaml", environ={}).pools["web"]
    assert (pool.timeout, pool.max_requests, pool.queue.limit) == (2.0, 100, 4)


def test_first_page_links_to_everything_there_is_to_try(site: Client) -> None:
    page = site.get("/").text
    for link in ("/files/", "/events/", "/whoami", "/sleep?seconds=5", "/admin-demo/", "/healthz"):
        assert f'href="{link}"' in page


def test_json_shows_the_request_as_the_application_sees_it(site: Client) -> None:
    told = site.get(
        "/whoami",
        base_url="https://shop.example:8443",
        environ_overrides={"REMOTE_ADDR": "192.0.2.7"},
        headers={"X-Request-Id": "r-1"},
    ).json
    assert told is not None
    assert told["client"] == "192.0.2.7"
    assert (told["scheme"], told["host"]) == ("https", "shop.example:8443")
    assert told["request_id"] == "r-1"
    assert told["worker_pid"] == os.getpid()


def test_upload_by_form_shows_its_digest_and_comes_back_whole(site: Client) -> None:
    sent = os.urandom(300_000)
    digest = hashlib.sha256(sent).hexdigest()
    answer = site.post("/files/", data={"file": (io.BytesIO(sent), "../räuber und co.bin")})
    assert answer.status_code == 303
    assert digest in site.get(answer.location).text
    back = site.get(f"/files/{digest}")
    assert back.data == sent
    assert back.headers["Content-Disposition"] == "attachment; filename=rauber_und_co.bin"


def test_upload_as_a_bare_body(site: Client) -> None:
    sent = b"seven legs" * 1000
    answer = site.put("/files/legs.txt", data=sent)
    assert answer.status_code == 201
    assert answer.json is not None
    assert answer.json["size"] == len(sent)
    assert answer.json["sha256"] == hashlib.sha256(sent).hexdigest()
    assert site.get(answer.json["url"]).data == sent


def test_download_goes_through_the_servers_file_wrapper(site_module: ModuleType) -> None:
    digest, _ = site_module.put_on_shelf(io.BytesIO(b"wrapped"), "a")
    wrapped = []

    def wrapper(file: Any, size: int) -> FileWrapper:
        wrapped.append(file)
        return FileWrapper(file, size)

    answer = Reader(site_module.app).get(f"/files/{digest}", environ_overrides={"wsgi.file_wrapper": wrapper})
    assert answer.data == b"wrapped"
    assert len(wrapped) == 1


def test_only_the_newest_uploads_are_kept(
    site_module: ModuleType, site: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "SHELF_PLACES", 2)
    for number in range(4):
        site.put("/files/x", data=b"%d" % number)
    assert len(site_module.parcels()) == 2
    assert {p.read_bytes() for p in site_module.parcels()} <= {b"0", b"1", b"2", b"3"}


def test_an_upload_that_breaks_off_leaves_nothing(site_module: ModuleType) -> None:
    class Broken:
        def read(self, _size: int) -> bytes:
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        site_module.put_on_shelf(Broken(), "x")
    assert list(site_module.SHELF.iterdir()) == []


def test_no_file_and_unknown_file(site: Client) -> None:
    assert site.post("/files/", data={}).status_code == 303
    assert site.get("/files/0000").status_code == 404
    assert site.get("/files/..%2f..%2fapp.py").status_code == 404


def test_events_are_a_generator_with_an_end(site: Client) -> None:
    answer = site.get("/events/stream?count=3&every=0.01")
    assert answer.mimetype == "text/event-stream"
    blocks = answer.text.strip().split("\n\n")
    assert [json.loads(b.split("data: ")[1])["number"] for b in blocks[:3]] == [1, 2, 3]
    assert blocks[3].startswith("event: end")
    assert "EventSource" in site.get("/events/").text


def test_numbers_in_a_query_are_kept_within_reason(site_module: ModuleType) -> None:
    assert site_module.bounded(9e9, 0.0, 20.0) == 20.0
    assert Reader(site_module.app).get("/sleep?seconds=-1").json["slept"] == 0.0  # type: ignore[index]


# --- the shop: a process of its own, since Django can be set up once a process and the tests share theirs


@pytest.fixture(scope="module")
def shop_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("shop")
    in_shop(data, "from django.core.management import call_command; call_command('migrate', verbosity=0)")
    in_shop(
        data,
        """
        from django.contrib.auth.models import User
        User.objects.create_superuser('demo', 'demo@example.com', 'demo')
        """,
    )
    return data


CLIENT = """
import re
from wsgiref.validate import validator
from werkzeug.test import Client
from shop.wsgi import application
client = Client(validator(application))
here = {"base_url": "https://localhost/admin-demo", "buffered": True}
here["environ_overrides"] = {"REMOTE_ADDR": "192.0.2.7"}

def get(path, **more):
    return client.get(path, **here, **more)

def post(path, token, **fields):
    fields["csrfmiddlewaretoken"] = token
    return client.post(path, data=fields, headers={"Referer": "https://localhost/admin-demo/"}, **here)

def token_of(page):
    return re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
"""


def in_shop(data: Path, code: str) -> str:
    """Run `code` in the shop's project, with warnings as errors as everywhere else in the tests."""
    prologue = "import django; django.setup()\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", prologue + CLIENT + dedent(code)],
        cwd=SHOP,
        env=os.environ | {"SHOP_DATA": str(data), "DJANGO_SETTINGS_MODULE": "shop.settings"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_shop_speaks_of_the_place_it_is_mounted_at(shop_data: Path) -> None:
    in_shop(
        shop_data,
        """
        page = get("/").text
        assert "Cork trivet" in page
        assert 'href="/admin-demo/static/catalogue/shop.css"' in page, page
        assert 'href="/admin-demo/orders/"' in page
        assert "192.0.2.7, over https, to localhost" in page
        """,
    )


def test_order_form_wants_its_token_and_notes_the_order(shop_data: Path) -> None:
    in_shop(
        shop_data,
        """
        from catalogue.models import Order, Product
        page = get("/")
        wish = {"product": Product.objects.first().pk, "quantity": 2, "customer": "Änne"}
        assert post("/", "forged", **wish).status_code == 403
        assert post("/", token_of(page), **(wish | {"quantity": 0})).status_code == 200
        answer = post("/", token_of(page), **wish)
        assert (answer.status_code, answer.location) == (302, "/admin-demo/")
        assert "Thank you" in get("/").text
        order = Order.objects.get()
        assert (order.customer, order.client) == ("Änne", "192.0.2.7")
        """,
    )


def test_login_opens_the_order_book_and_the_admin(shop_data: Path) -> None:
    in_shop(
        shop_data,
        """
        assert get("/orders/").location == "/admin-demo/login/?next=/admin-demo/orders/"
        form = get("/login/")
        assert post("/login/", token_of(form), username="demo", password="wrong").status_code == 200
        welcome = post("/login/", token_of(form), username="demo", password="demo")
        assert welcome.location == "/admin-demo/orders/"
        assert get("/orders/").status_code == 200
        assert "The trivet shop" in get("/admin/").text
        left = post("/logout/", token_of(get("/orders/")))
        assert left.location == "/admin-demo/"
        """,
    )


def test_static_files_are_collected_and_migrations_are_complete(shop_data: Path) -> None:
    in_shop(
        shop_data,
        """
        from django.core.management import call_command
        call_command("makemigrations", check=True, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        """,
    )
    assert (shop_data / "static" / "catalogue" / "shop.css").is_file()
    assert (shop_data / "static" / "admin" / "css" / "base.css").is_file()
    assert (shop_data / "secret-key").stat().st_mode & 0o777 == 0o600


# --- make demo


def test_the_file_that_serves_both_is_a_good_one() -> None:
    # The backend's purpose: the folder of collected files is made by the first `make demo`.
    settings = load_settings(EXAMPLES / "demo.yaml", environ={"PORT": "8123"}, purpose="backend")
    assert [listen.port for listen in settings.listen] == [8123]
    assert {route.pool for route in settings.routes} == {None, "site", "shop"}
    assert settings.warnings == ()


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    module = load("example_demo", EXAMPLES / "demo.py", monkeypatch)
    monkeypatch.setattr(module, "DEMO", tmp_path / "demo")
    monkeypatch.setattr(module, "STAMP", tmp_path / "demo" / "prepared")
    return module


@pytest.mark.slow
def test_demo_prepares_once(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    demo.prepare()
    assert "Preparing" in capfd.readouterr().out
    assert (demo.DEMO / "shop" / "static" / "catalogue" / "shop.css").is_file()
    demo.prepare()
    assert capfd.readouterr().out == ""
    demo.STAMP.write_text("an older release")
    demo.prepare()  # everything in it may be done twice
    assert "Preparing" in capfd.readouterr().out


def test_demo_says_in_a_sentence_that_the_port_is_taken(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        assert demo.main() == 1
    said = capsys.readouterr().err
    assert said.startswith(f"Port {port} is taken; choose another: make demo PORT=")
    assert said.count("\n") == 1


@pytest.mark.parametrize("port", ["", "x", "0", "65536", "-1", "٣"])
def test_demo_wants_a_port(demo: ModuleType, port: str) -> None:
    with pytest.raises(demo.Refusal, match="is not a port"):
        demo.read_port(port)
