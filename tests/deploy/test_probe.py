"""A probe: its words, its exit statuses, and what it must not import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trivet_deploy import probe


@pytest.mark.parametrize(
    "words",
    [
        ["--probe"],
        ["--probe", "well"],
        ["--probe=well"],
        ["--probe", "live", "a", "b"],
        ["--probe", "live", "-v"],
        ["--probe", "live", "--for"],
        ["--probe", "live", "--for", "worker"],
        ["--probe=live", "--for=worker"],
    ],
)
def test_wrong_use(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(words) == 2
    assert capsys.readouterr().err == f"trivet: {probe.HOW}\n"


@pytest.mark.parametrize("words", [["--probe", "ready"], ["--probe=ready"]])
def test_nothing_runs(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(f"run_dir: {tmp_path}/run\npools: {{web: {{app: x}}}}\n")
    assert probe.main([str(tmp_path / "a.yaml"), *words]) == 3
    assert capsys.readouterr().err == f"not ready: nothing runs in {tmp_path}/run\n"


def test_a_master_that_is_deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "TIMEOUT", 0.05)
    (tmp_path / "a.yaml").write_text(f"run_dir: {tmp_path}\n")
    (tmp_path / "control.sock").touch()
    assert probe.main([str(tmp_path / "a.yaml"), "--probe", "live"]) == 1


def test_a_probe_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "trivet.yaml").write_text("run_dir: here\n")
    code = (
        "import sys; from trivet_deploy.cli import main; status = main(['status', '--probe', 'live']); "
        "heavy = {'pydantic', 'rich', 'click', 'yaml', 'trio', 'asyncio'} & set(sys.modules); "
        "assert not heavy, heavy; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ, timeout=30)
    assert done.returncode == 3
