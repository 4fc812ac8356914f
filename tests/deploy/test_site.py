"""A file, `module:app` and the options of the command become one site."""

from collections.abc import Callable
from pathlib import Path

import pytest

from trivet_common.config import ConfigError, Settings
from trivet_common.loop import Loop
from trivet_deploy.refusal import Refusal
from trivet_deploy.site import Options, Site, load_site

FILE = "run_dir: run\npools:\n  web:\n    app: shop.wsgi\n    env: {A: '1', B: '2'}\n"


def read_again(site: Site) -> Settings:
    """As a reload does."""
    loop = Loop()
    found: list[Callable[[], Settings]] = []
    site.read(loop, found.append)
    loop.call_later(10, lambda: found.append(lambda: pytest.fail("nothing was read")))
    while not found:
        loop.turn()
    loop.close()
    return found[0]()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(FILE)
    return Path("shop.yaml")


def test_a_file(file: Path, tmp_path: Path) -> None:
    site = load_site("shop.yaml", environ={})
    assert (site.asked, site.settings.name, site.run_dir) == ("shop.yaml", "shop", tmp_path / "run")


def test_options_stand_above_the_file_also_when_it_is_read_again(file: Path, tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "code").mkdir()
    options = Options(
        listen=["127.0.0.1:9000", "unix:here.sock"],
        workers="3",
        threads="5",
        timeout="7s",
        chdir="code",
        env=["B=two=2", "C="],
        files=["/static/=assets"],
    )
    site = load_site("shop.yaml", options, environ={})
    file.write_text(FILE.replace("'1'", "'one'"))
    for settings, a in ((site.settings, "1"), (read_again(site), "one")):
        pool = settings.pools["web"]
        assert [str(listen) for listen in settings.listen] == ["127.0.0.1:9000", "unix:here.sock"]
        assert (pool.workers.min, pool.threads, pool.timeout, pool.directory) == (
            3,
            5,
            7.0,
            tmp_path / "code",
        )
        assert pool.env == {"A": a, "B": "two=2", "C": ""}
        assert [(route.path, route.pool) for route in settings.routes] == [("/static/", None), ("/", "web")]


def test_an_application_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    site = load_site("hello:app", Options(workers="1"), environ={"TMPDIR": "/tmp", "PORT": "8123"})
    assert site.asked == "hello:app"
    assert site.run_dir.name == site.settings.name == "hello"
    assert [listen.port for listen in site.settings.listen] == [8123]
    assert site.settings.pools["web"].directory == tmp_path
    assert [route.pool for route in site.settings.routes] == ["web"]
    assert read_again(site) == site.settings


def test_mistakes_in_options_name_the_option(file: Path) -> None:
    with pytest.raises(ConfigError) as wrong:
        load_site("shop.yaml", Options(workers="many", timeout="30"), environ={})
    said = sorted(str(wrong.value).splitlines())
    assert [line.split(":")[0] for line in said] == ["--timeout", "--workers"]


@pytest.mark.parametrize("options", [Options(env=["B"]), Options(files=["static"]), Options(env=["=x"])])
def test_pairs_need_both_halves(file: Path, options: Options) -> None:
    with pytest.raises(Refusal, match=r"^(-e|--files) .*: write (-e|--files) ") as refused:
        load_site("shop.yaml", options, environ={})
    assert refused.value.status == 2


def test_development_is_few_workers_renewed_at_once(file: Path) -> None:
    site = load_site("shop.yaml", Options(reload=True), environ={})
    for settings in (site.settings, read_again(site)):
        pool = settings.pools["web"]
        assert (pool.is_development, pool.workers.min, pool.reload.surge) == (True, 2, 2)
    assert site.is_development
    assert (
        load_site("shop.yaml", Options(workers="5", reload=True), environ={})
        .settings.pools["web"]
        .reload.surge
        == 5
    )
    assert not load_site("shop.yaml", environ={}).settings.pools["web"].is_development


BROKEN = (
    "listen: {address: 127.0.0.1:8443, tls: {certificate: site.pem, client: required, client_ca: ca.pem}}\n"
)


def test_a_run_that_was_killed_is_taken_up_with_certificates_that_are_broken_by_now(
    file: Path, tmp_path: Path
) -> None:
    file.write_text(FILE + BROKEN)
    with pytest.raises(ConfigError, match=r"there is no .*site\.pem"):
        load_site("shop.yaml", environ={})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "proxy.lock").touch()
    (tmp_path / "site.pem").write_text("spoilt")
    site = load_site("shop.yaml", environ={})
    said = "\n".join(map(str, site.settings.warnings))
    assert "shop.yaml:6: listen.tls.certificate" in said
    assert "site.pem holds no certificate" in said
    assert "ca.pem: No such file" in said
    with pytest.raises(ConfigError, match="holds no certificate"):
        read_again(site)  # somebody asks for a reload, and is there to be told
    file.write_text(FILE + BROKEN + "rotes: []\n")
    with pytest.raises(ConfigError, match=r"there is no .*ca\.pem") as wrong:
        load_site("shop.yaml", environ={})
    assert "rotes" in str(wrong.value)
