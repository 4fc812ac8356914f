"""What `trivet init WORD` writes for three different files passes the tools of those who will read it."""

import re
import sys
from pathlib import Path

import pytest
import trustme

from tests.deployed.cluster_tools import compose_program, validate
from tests.deployed.tools import need, run

pytestmark = pytest.mark.deployed

TRIVET = Path(sys.executable).parent / "trivet"
APP = "def application(environ, start_response): ...\n"
FILES = {
    "smallest": "pools: {web: {app: site}}\n",
    "usual": """
listen: 80
stop_timeout: 40s
limits: {body: 64MiB, connections: 2000}
log: {access: ./access.log}
routes:
  - {path: /healthz, health: ready, log: off}
  - {path: /static/, files: ./static}
  - {path: /api/, pool: api_v2}
  - {path: /, pool: web}
pools:
  web: {app: site, workers: 2, env: {DATA: ./data}, prepare: ["true"]}
  api_v2: {app: site, threads: 4}
""",
    "unusual": """
listen: ["fd:http", "unix:/run/shop & co.sock", {address: "127.0.0.1:8443", scheme: https}]
run_dir: /run/elsewhere/shop
routes:
  - {path: /ws/, upstream: ["http://127.0.0.1:9000"]}
  - {path: /, pool: web}
pools:
  web: {app: site, user: daemon, listen: 127.0.0.1:9100}
""",
}
# What a container has no use for, in words that it has; certificates, secrets, names that want to be one.
CONTAINED = FILES | {
    "unusual": """
listen:
  - {address: ":443", tls: {certificate: tls/cert.pem, key: tls/key.pem}}
  - 8081
  - 8080
run_dir: /run/elsewhere/shop
state_dir: ./data
routes:
  - {path: /ws/, upstream: ["http://127.0.0.1:9000"]}
  - {path: /a/, pool: a_b}
  - {path: /b/, pool: A-b}
  - {path: /, pool: proxy}
pools:
  proxy: {app: site, user: daemon, listen: 127.0.0.1:9100, env_file: .env, env: {WORD: "${HOME}"}}
  a_b: {app: site}
  A-b: {app: site}
"""
}


def written(folder: Path, text: str) -> Path:
    for name in ("static", "data", "tls"):
        (folder / name).mkdir(parents=True)
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(folder / "tls/cert.pem"))
    issued.private_key_pem.write_to_path(str(folder / "tls/key.pem"))
    (folder / ".env").write_text("SECRET=1\n")
    (folder / "site.py").write_text(APP)
    (folder / "trivet.yaml").write_text(text)
    return folder / "trivet.yaml"


@pytest.fixture(params=sorted(FILES))
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(tmp_path / f'A {request.param} site, 100%h "$HOME" o\'\\n:', FILES[request.param])


@pytest.fixture(params=sorted(CONTAINED))
def contained(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(tmp_path / f"A {request.param} $ite", CONTAINED[request.param])


@pytest.mark.parametrize("more", [[], ["--halves"]])
def test_systemd(file: Path, more: list[str], tmp_path: Path) -> None:
    need("systemd-analyze")
    run(TRIVET, "init", "systemd", file, *more, "--to", tmp_path / "units")
    units = sorted((tmp_path / "units").glob("*.s*t*"))
    found = [path for path in units if path.suffix in (".service", ".socket")]
    assert found
    # A template is verified as one of its instances.
    for path in found:
        if path.stem.endswith("@"):
            path.rename(path.with_name(path.name.replace("@", "@web")))
    paths = [path for path in (tmp_path / "units").iterdir() if path.suffix in (".service", ".socket")]
    told = run("systemd-analyze", "verify", "--man=no", *paths)
    assert str(tmp_path / "units") not in told, told
    for path in paths:
        if path.suffix == ".service":
            last = run("systemd-analyze", "security", "--offline=true", "--no-pager", path).splitlines()[-1]
            level = float(last.split(": ")[1].split()[0])
            assert level <= (1.5 if "proxy" in path.name else 3.0), last


def test_compose(contained: Path, workplace: Path) -> None:
    run(TRIVET, "init", "compose", contained, "--to", contained.parent)
    told = run(compose_program(workplace), "-f", contained.parent / "docker-compose.yml", "config")
    assert "trivet" in told
    for source in re.findall(r"source: (/.*)", told):
        assert Path(source.replace("$$", "$")).exists()


def test_what_no_container_can_listen_on_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "site", FILES["unusual"])
    told = run(TRIVET, "init", "compose", file, check=False)
    assert told == "trivet: listen: fd:http: no socket is passed into a container; write its port\n"


def test_kubernetes(contained: Path, workplace: Path) -> None:
    run(TRIVET, "init", "kubernetes", contained, "--to", contained.parent / "cluster")
    (manifests,) = (contained.parent / "cluster").glob("*.yaml")
    assert validate(workplace, manifests).count(" passed ") == 5
