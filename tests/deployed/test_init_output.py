"""What `trivet init WORD` writes for three different files passes the tools of those who will read it."""

import sys
from pathlib import Path

import pytest

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


@pytest.fixture(params=sorted(FILES))
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / f"A {request.param} site"
    for name in ("static", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "site.py").write_text(APP)
    (folder / "trivet.yaml").write_text(FILES[request.param])
    return folder / "trivet.yaml"


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


def test_compose(file: Path, workplace: Path) -> None:
    run(TRIVET, "init", "compose", file, "--to", file.parent)
    told = run(compose_program(workplace), "-f", file.parent / "docker-compose.yml", "config")
    assert "trivet" in told


def test_kubernetes(file: Path, workplace: Path) -> None:
    run(TRIVET, "init", "kubernetes", file, "--to", file.parent / "cluster")
    (manifests,) = (file.parent / "cluster").glob("*.yaml")
    assert validate(workplace, manifests).count(" passed ") == 5
