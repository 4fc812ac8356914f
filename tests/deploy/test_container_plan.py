"""What goes into containers, read from a site's file."""

from pathlib import Path

import pytest
import yaml

from trivet_deploy.container_plan import Mount, Plan, as_yaml, plan, unreadable
from trivet_deploy.container_ports import Port, Ports
from trivet_deploy.refusal import Refusal
from trivet_deploy.site import load_site

APP = "def application(environ, start_response): ...\n"


def planned(folder: Path, text: str) -> Plan:
    folder.mkdir(exist_ok=True)
    (folder / "hello.py").write_text(APP)
    (folder / "trivet.yaml").write_text(text)
    return plan(load_site(str(folder / "trivet.yaml")))


def test_a_small_site(tmp_path: Path) -> None:
    found = planned(tmp_path / "My_Shop", "listen: 8000\npools: {web: {app: hello}}\n")
    assert found == Plan(
        name="my-shop",
        file="trivet.yaml",
        pools=("web",),
        services=("web",),
        ports=Ports((Port("http", 8000, 80),)),
        run_dir="/run/trivet/site",
        volume="/run/trivet",
        spool="/var/tmp",
        state=None,
        stop_timeout=25.0,
        requirements=None,
        proxy_copies=("trivet.yaml",),
    )
    assert found.environment == {
        "TRIVET_FILE": "/srv/site/trivet.yaml",
        "RUNTIME_DIRECTORY": "/run/trivet/site",
    }
    assert found.proxy == ["trivet", "proxy"]
    assert found.backend("web") == ["trivet", "backend", "--pool", "web"]


def test_without_an_address_a_container_listens_on_every_one(tmp_path: Path) -> None:
    found = planned(tmp_path, "pools: {web: {app: hello}}\n")
    assert found.proxy == ["trivet", "proxy", "--listen", "8080"]
    assert "instead" in found.notes[0]


@pytest.mark.parametrize(
    ("written", "run_dir", "volume"),
    [
        ("/run/x/y", "/run/x/y", "/run/x"),
        ("/run/x", "/run/x", "/run/x"),
        ("./run/y", "/srv/site/run/y", "/srv/site/run/y"),
    ],
)
def test_a_run_directory_of_the_file_is_kept_where_containers_have_it(
    written: str, run_dir: str, volume: str, tmp_path: Path
) -> None:
    found = planned(tmp_path, f"run_dir: {written}\npools: {{web: {{app: hello}}}}\n")
    assert (found.run_dir, found.volume) == (run_dir, volume)


def test_each_pool_has_a_name_that_no_other_service_has(tmp_path: Path) -> None:
    pools = "".join(f"  {name}: {{app: hello}}\n" for name in ("proxy", "a_b", "a-b", "A_b", "pool-proxy"))
    routes = "routes: [{path: /, pool: a_b}]\n"
    found = planned(tmp_path, f"listen: 80\n{routes}pools:\n{pools}")
    assert found.pools == ("proxy", "a_b", "a-b", "A_b", "pool-proxy")
    assert found.services == ("pool-proxy", "a-b", "a-b-2", "a-b-3", "pool-proxy-2")


def test_what_is_not_copied_cannot_run(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/hello.py").write_text(APP)
    with pytest.raises(Refusal, match=r"trivet.yaml:\d+: the directory of pool web lies outside"):
        planned(tmp_path / "site", "pools: {web: {app: hello, directory: ../other}}\n")


def test_a_site_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hello.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refusal, match="containers need a file"):
        plan(load_site("hello"))


RICH = """
include: sites/*.yaml
listen: 80
spool: {dir: ./spool}
state_dir: ./state
log: {access: ./access.log}
routes:
  - {path: /static/, files: ./static}
  - {path: /favicon.ico, file: ./static/favicon.ico}
  - {path: /kept/, files: /srv/elsewhere}
  - {path: /run/, files: /run/trivet/static}
  - path: /
    pool: web
    maintenance: {when: on, page: static/soon.html}
    errors: {502: /srv/elsewhere/502.html}
pools:
  web: {app: hello, env_file: .env, env: {WORD: "${WORD}", OTHER: "${OTHER:-}"}}    # not ${THIS}
"""


@pytest.fixture
def rich(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("WORD", "x")
    monkeypatch.setenv("STATE_DIRECTORY", "")
    for name in ("spool", "state", "static", "sites", "elsewhere"):
        (tmp_path / "site" / name).mkdir(parents=True)
    for name in ("static/favicon.ico", "static/soon.html", ".env"):
        (tmp_path / "site" / name).touch()
    (tmp_path / "site/.env").chmod(0o600)
    (tmp_path / "site/sites/blog.yaml").write_text("upstreams: {old: {servers: ['http://127.0.0.1:9']}}\n")
    text = RICH.replace("/srv/elsewhere", f"{tmp_path}/elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "502.html").touch()
    return planned(tmp_path / "site", text.replace("/run/trivet/static", f"{tmp_path}/site/elsewhere"))


def test_the_proxys_image_has_the_file_and_what_it_sends_and_no_application(rich: Plan) -> None:
    wanted = (
        "trivet.yaml",
        "sites/blog.yaml",
        "static",
        "static/favicon.ico",
        "elsewhere",
        "static/soon.html",
    )
    assert set(rich.proxy_copies) == set(wanted)


def test_what_no_image_may_have_is_mounted_or_ignored(rich: Plan, tmp_path: Path) -> None:
    assert rich.env_files == (Mount(tmp_path / "site/.env", "/srv/site/.env"),)
    assert set(rich.ignored) == {".env", "state", "spool", "access.log"}
    assert (rich.spool, rich.state) == ("/srv/site/spool", "/srv/site/state")
    assert rich.variables == ("WORD",)


def test_what_has_to_be_done_by_hand_is_told(rich: Plan) -> None:
    told = "\n".join(rich.notes)
    assert "elsewhere/502.html is in no image: move it below" in told
    assert "site/on is seen by a container only if it has it: name one below /run/trivet" in told
    assert "log: access: " in told
    assert "elsewhere is in no image; publish it by `prepare` below /run/trivet" in told
    assert "the file names its own folder" in told
    assert [note for note in unreadable(rich) if "site/.env" in note]


def test_certificates_are_mounted_with_their_folder_and_where_its_links_lead(tmp_path: Path) -> None:
    import trustme

    issued = trustme.CA().issue_cert("example.com")
    for name in ("live", "archive", "site"):
        (tmp_path / name).mkdir()
    for name, blob in (("cert.pem", issued.cert_chain_pems[0]), ("key.pem", issued.private_key_pem)):
        blob.write_to_path(str(tmp_path / "archive" / name))
        (tmp_path / "live" / name).symlink_to(f"../archive/{name}")
        blob.write_to_path(str(tmp_path / "site" / name))
    tls = f"{{certificate: {tmp_path}/live/cert.pem, key: {tmp_path}/live/key.pem}}"
    found = planned(
        tmp_path / "site", f"listen: {{address: ':443', tls: {tls}}}\npools: {{web: {{app: hello}}}}\n"
    )
    assert [mount.target for mount in found.certificates] == [
        f"{tmp_path}/live/{n}.pem" for n in ("cert", "key")
    ]
    folders = {mount.source for mount in found.certificate_folders}
    assert folders == {tmp_path / "live", tmp_path / "archive"}
    # In the site's own folder there is more than they.
    tls = "{certificate: cert.pem, key: key.pem}"
    found = planned(
        tmp_path / "site", f"listen: {{address: ':443', tls: {tls}}}\npools: {{web: {{app: hello}}}}\n"
    )
    assert {mount.target for mount in found.certificate_folders} == {
        "/srv/site/cert.pem",
        "/srv/site/key.pem",
    }
    assert set(found.ignored) == {"cert.pem", "key.pem"}


def test_yaml_is_in_order_and_without_anchors() -> None:
    words = ["a", "b"]
    text = as_yaml({"z": words, "a": words}, {"n": "1"})
    assert list(yaml.safe_load_all(text)) == [{"z": words, "a": words}, {"n": "1"}]
    assert "&" not in text
    assert text.index("z:") < text.index("a:")


def test_what_a_pool_publishes_in_the_volume_and_what_is_uploaded(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "run/static").mkdir(parents=True)
    text = """
listen: 80
run_dir: ./run
routes:
  - {path: /static/, files: ./run/static}
  - {path: /media/, files: {root: ./media, uploads: true}}
  - {path: /, pool: web}
pools: {web: {app: hello}}
"""
    found = planned(tmp_path, text)
    assert found.published == ("/srv/site/run/static",)
    assert "media" not in found.proxy_copies
    (note,) = found.notes
    assert "media is written while the site runs: give it a volume" in note


def test_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(APP)
    tls = "{certificate: cert.pem, key: key.pem}"
    text = f"listen: {{address: ':443', tls: {tls}}}\npools: {{web: {{app: hello}}}}\n"
    (tmp_path / "trivet.yaml").write_text(text)
    with pytest.raises(Refusal, match=r"there is no \S+/cert.pem"):
        plan(load_site(str(tmp_path / "trivet.yaml"), purpose="backend"))
