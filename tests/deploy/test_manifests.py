"""`trivet init WORD`: printed under their names, or written where nothing stands."""

from pathlib import Path

import pytest

from trivet_common.config import ConfigError
from trivet_deploy.manifests import KINDS, write
from trivet_deploy.refusal import Refusal


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "hello.py").write_text("def application(environ, start_response): ...\n")
    (tmp_path / "trivet.yaml").write_text("listen: 8080\npools: {web: {app: hello}}\n")
    return str(tmp_path / "trivet.yaml")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_printed(kind: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert write(kind, file, None, halves=False) == 0
    assert capsys.readouterr().out.startswith("# ---- ")


def test_written_and_not_over_anything(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("systemd", file, str(tmp_path / "new"), halves=True)
    told = capsys.readouterr().out.splitlines()
    assert all(Path(line).is_file() for line in told)
    assert any(line.endswith("-backend@.service") for line in told)
    Path(told[-1]).write_text("# mine\n")
    with pytest.raises(Refusal, match="it is not overwritten"):
        write("systemd", file, str(tmp_path / "new"), halves=True)
    assert Path(told[-1]).read_text() == "# mine\n"


def test_a_folder_that_cannot_be_is_told(file: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(Refusal, match="cannot be written"):
        write("systemd", file, str(tmp_path / "taken"), halves=False)


def test_all_or_nothing_is_written(file: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(Refusal, match="Dockerfile is here already"):
        write("compose", file, str(tmp_path), halves=False)
    assert not (tmp_path / "docker-compose.yml").exists()


def test_what_is_the_same_already_is_no_obstacle(file: str, tmp_path: Path) -> None:
    write("compose", file, str(tmp_path), halves=False)
    write("kubernetes", file, str(tmp_path), halves=False)


def test_a_dockerignore_of_ones_own_stays_and_what_it_lacks_is_told(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".dockerignore").write_text(".git\n")
    write("compose", file, str(tmp_path), halves=False)
    assert (tmp_path / ".dockerignore").read_text() == ".git\n"
    told = capsys.readouterr().err
    assert "it lacks: **/.env " in told
    assert " .git " not in told


def test_what_has_to_be_done_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hello.py").write_text("def application(environ, start_response): ...\n")
    (tmp_path / "trivet.yaml").write_text("pools: {web: {app: hello}}\n")
    write("compose", str(tmp_path / "trivet.yaml"), None, halves=False)
    assert "warning: listen: 127.0.0.1:8000" in capsys.readouterr().err


PUBLISHED = """
listen: 8080
routes: [{path: /static/, files: /run/nowhere/static}, {path: /, pool: web}]
pools: {web: {app: hello}}
"""


def test_containers_may_have_folders_that_this_machine_has_not(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(file).write_text(PUBLISHED)
    assert write("compose", file, None, halves=False) == 0
    assert "publish it by `prepare` below /run/trivet" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="there is no /run/nowhere"):
        write("systemd", file, None, halves=False)
    Path(file).write_text("listen: nowhere\n")
    with pytest.raises(ConfigError, match="nowhere"):
        write("compose", file, None, halves=False)
