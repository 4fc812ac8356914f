"""What goes into containers, read from a site's file."""

import sys
from pathlib import Path

import pytest
import yaml

from trivet_deploy.container_plan import Plan, as_yaml, dockerfile, plan
from trivet_deploy.refusal import Refusal
from trivet_deploy.site import load_site

APP = "def application(environ, start_response): ...\n"


def planned(folder: Path, text: str) -> Plan:
    folder.mkdir(exist_ok=True)
    (folder / "hello.py").write_text(APP)
    (folder / "trivet.yaml").write_text(text)
    return plan(load_site(str(folder / "trivet.yaml")))


def test_a_small_site(tmp_path: Path) -> None:
    found = planned(tmp_path / "My_Shop", "pools: {web: {app: hello}}\n")
    assert found == Plan("my-shop", "trivet.yaml", ("web",), "/run/trivet/site", 25.0, None)
    assert found.environment == {
        "TRIVET_FILE": "/srv/site/trivet.yaml",
        "RUNTIME_DIRECTORY": "/run/trivet/site",
    }
    assert found.proxy == ["trivet", "proxy", "--listen", "8080"]
    assert found.backend("web") == ["trivet", "backend", "--pool", "web"]


def test_a_run_directory_of_the_file_is_kept(tmp_path: Path) -> None:
    assert planned(tmp_path, "run_dir: /run/x/y\npools: {web: {app: hello}}\n").run_dir == "/run/x/y"


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


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("requirements.txt", "RUN pip install trivet -r requirements.txt"),
        ("pyproject.toml", "RUN pip install trivet ."),
        ("nothing", "RUN pip install trivet"),
    ],
)
def test_the_image(name: str, line: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("")
    text = dockerfile(planned(tmp_path, "pools: {web: {app: hello}}\n"))
    assert line in text.splitlines()
    assert f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim AS build" in text
    assert "USER 10001:10001" in text
    assert "syntax=" not in text


def test_yaml_is_in_order_and_without_anchors() -> None:
    words = ["a", "b"]
    text = as_yaml({"z": words, "a": words}, {"n": "1"})
    assert list(yaml.safe_load_all(text)) == [{"z": words, "a": words}, {"n": "1"}]
    assert "&" not in text
    assert text.index("z:") < text.index("a:")
