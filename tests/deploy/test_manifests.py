"""`trivet init WORD`: printed under their names, or written where nothing stands."""

from pathlib import Path

import pytest

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
    with pytest.raises(Refusal, match="it is not overwritten"):
        write("systemd", file, str(tmp_path / "new"), halves=True)


def test_a_folder_that_cannot_be_is_told(file: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(Refusal, match="cannot be written"):
        write("systemd", file, str(tmp_path / "taken"), halves=False)
