"""What these tests need of the machine: programs, root, a tree of its own packages, a virtual environment.

No registry of images is asked: the tree is what dpkg has installed here. What is missing skips, by name.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"
# What a system that boots needs besides; dependencies come along.
BOOTS = ("systemd", "systemd-sysv", "dbus", "iproute2", "util-linux", "login", "passwd", "hostname")
BASE = (
    "python3",
    "python3-venv",
    "bash",
    "dash",
    "coreutils",
    "grep",
    "sed",
    "tar",
    "findutils",
    "base-files",
)
BASE += ("base-passwd", "passwd", "ca-certificates", "libc-bin", "debianutils")
_UNWANTED = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info", "/usr/share/lintian")
_MERGED = ("bin", "sbin", "lib", "lib64")


def need(*programs: str) -> None:
    """Skip, with the reason printed, unless all of them are here and we are root."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    missing = [program for program in programs if find(program) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: not installed (.ci/run installs it where it can)")


def find(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def run(*command: str | Path, timeout: float = 120, check: bool = True, **more: object) -> str:
    """Its output; a failure shows all of it."""
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        **more,  # type: ignore[call-overload]
    )
    assert done.returncode == 0 or not check, f"{command}: {done.returncode}\n{done.stdout}"
    return str(done.stdout)


def make_tree(target: Path, packages: Iterable[str]) -> None:
    """A root file system of these installed packages and all they depend on, without asking anybody."""
    need("dpkg-query", "tar", "chroot")
    files = run("dpkg", "-L", *_closure(packages)).splitlines()
    names = set()
    for file in files:
        if file.startswith("/") and file != "/." and not file.startswith(_UNWANTED):
            # /bin is a link to usr/bin, whatever a package calls it.
            folder, name = os.path.split(file)
            names.add(os.path.join(os.path.realpath(folder), name).lstrip("/"))
    target.mkdir(parents=True)
    for name in _MERGED:
        (target / "usr" / name).mkdir(parents=True)
        (target / name).symlink_to(f"usr/{name}")
    listed = "\0".join(sorted(names - set(_MERGED))).encode()
    packed = subprocess.Popen(
        ["tar", "-C", "/", "--no-recursion", "--null", "-T", "-", "--ignore-failed-read", "-cf", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    unpacked = subprocess.Popen(["tar", "-C", str(target), "-xpf", "-"], stdin=packed.stdout)
    assert packed.stdin is not None
    assert packed.stdout is not None
    packed.stdout.close()
    packed.stdin.write(listed)
    packed.stdin.close()
    assert unpacked.wait(120) == 0
    packed.wait(10)
    _finish(target)


def _finish(target: Path) -> None:
    for name in ("dev", "proc", "sys", "run", "tmp", "var/tmp", "var/lib", "root", "home", "srv"):
        (target / name).mkdir(parents=True, exist_ok=True)
    (target / "tmp").chmod(0o1777)
    (target / "var/tmp").chmod(0o1777)
    for name in ("passwd", "group"):
        shutil.copy(f"/usr/share/base-passwd/{name}.master", target / "etc" / name)
    for link, of in (("usr/bin/sh", "dash"), ("usr/bin/awk", "mawk")):
        if not (target / link).exists():
            (target / link).symlink_to(of)
    (target / "etc/machine-id").write_text("")
    (target / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    # pip in a build trusts what this machine trusts.
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if bundle.exists():
        (target / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
        shutil.copy(bundle, target / "etc/ssl/certs/ca-certificates.crt")


def _closure(wanted: Iterable[str]) -> list[str]:
    needs, provides = {}, {}
    fields = "${Package}\t${Provides}\t${Pre-Depends},${Depends}\t${Status}\n"
    for line in run("dpkg-query", "-W", "-f", fields).splitlines():
        name, provided, dependencies, status = line.split("\t")
        if status != "install ok installed":
            continue
        needs[name] = [
            [_bare(one) for one in some.split("|")] for some in dependencies.split(",") if some.strip()
        ]
        provides.update({_bare(one): name for one in provided.split(",") if one.strip()})
    found: set[str] = set()
    todo = list(wanted)
    while todo:
        name = todo.pop()
        name = name if name in needs else provides.get(name, "")
        if name and name not in found:
            found.add(name)
            todo += [
                next((one for one in some if one in needs or one in provides), "") for some in needs[name]
            ]
    missing = [name for name in wanted if name not in found and provides.get(name) not in found]
    if missing:
        pytest.skip(f"needs the packages {', '.join(missing)}: not installed")
    return sorted(found)


def _bare(text: str) -> str:
    return re.sub(r"[ :(].*", "", text.strip())


def install_trivet(tree: Path, *more: str) -> None:
    """A virtual environment /opt/trivet of Debian's Python, as docs/deploy.md has it, in a tree."""
    where = tree / "opt/trivet"
    run(PYTHON, "-m", "venv", where, timeout=60)
    pip = ("-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")
    run("nice", where / "bin/python", *pip, ROOT, *more, timeout=300)
    for script in (where / "bin").iterdir():
        if script.is_file() and not script.is_symlink():
            text = script.read_bytes()
            if text.startswith(b"#!"):
                script.write_bytes(text.replace(str(where).encode(), b"/opt/trivet", 1))
