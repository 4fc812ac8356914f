"""A container engine of the tests' own, started by hand: first to build, then in a network of its own.

Builds need the world's packages and no containers' network; published ports need that, not the world.
"""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from tests.deployed.cluster_tools import compose_program
from tests.deployed.tools import BASE, ROOT, find, make_tree, need, run

# What the Dockerfile begins with; made here of this machine's packages, since no registry is asked.
IMAGE = "python:3.13-slim"
# And what a generated one does.
OWN_IMAGE = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
NAMESPACE = "trivet-engine"
_NO_NETWORK = (
    "--iptables=false",
    "--ip6tables=false",
    "--ip-forward=false",
    "--ip-masq=false",
    "--bridge=none",
)
# Only for these tests: their builds use the machine's network, and trust what it trusts.
OVERRIDE = """
services:
  proxy: {build: {network: host, args: &args {PIP_CERT: /etc/ssl/certs/ca-certificates.crt}}}
  backend: {build: {network: host, args: *args}}
"""


class Engine:
    """`docker` and `compose` speak to it, wherever it runs. `site` is a copy of what is built."""

    def __init__(self, folder: Path, site: Path) -> None:
        need("dockerd", "containerd", "runc", "docker", "ip", "nsenter", "iptables")
        folder.mkdir()
        self.site = site
        self._copy_site()
        self.folder = folder
        self.socket = folder / "engine.sock"
        self.environ = os.environ | {
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(folder / "config"),
            "COMPOSE_PROJECT_NAME": "trivet-deployed",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._has_namespace = False

    def install_compose(self) -> None:
        """Where the client looks for plugins."""
        plugins = self.folder / "config/cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(compose_program(self.folder.parent))

    def make_base_image(self) -> None:
        tree = self.folder / "base"
        make_tree(tree, BASE)
        with tarfile.open(self.folder / "base.tar", "w") as tar:
            tar.add(tree, arcname=".")
        self.docker("import", str(self.folder / "base.tar"), IMAGE)
        self.docker("tag", IMAGE, OWN_IMAGE)
        shutil.rmtree(tree)

    def start_for_builds(self) -> None:
        self._start([], _NO_NETWORK)

    def start_for_containers(self) -> None:
        """In a network namespace of its own: what it does to addresses and filters stays in there."""
        run("ip", "netns", "add", NAMESPACE)
        self._has_namespace = True
        run("ip", "-n", NAMESPACE, "link", "set", "lo", "up")
        self._start(["nsenter", f"--net=/run/netns/{NAMESPACE}"], ())

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None
        if self._has_namespace:
            run("ip", "netns", "delete", NAMESPACE)
            self._has_namespace = False

    def remove(self) -> None:
        """Nothing stays: no process, no mount, no file."""
        self.stop()
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            if str(self.folder) in line:
                run("umount", "-l", line.split()[1], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def docker(self, *words: str, timeout: float = 300, check: bool = True) -> str:
        return run(
            "nice",
            find("docker") or "",
            *words,
            timeout=timeout,
            check=check,
            env=self.environ,
            cwd=self.site,
        )

    def compose(self, *words: str, timeout: float = 400) -> str:
        files = ("-f", str(self.site / "docker-compose.yml"), "-f", str(self.folder / "override.yml"))
        (self.folder / "override.yml").write_text(OVERRIDE)
        return self.docker("compose", *files, *words, timeout=timeout)

    def compose_in(self, folder: Path, *words: str, release: str, timeout: float = 400) -> str:
        """For a site of another folder, whose two services are called proxy and web."""
        override = self.folder / "override.yml"
        override.write_text(OVERRIDE.replace("backend:", "web:"))
        files = ("-f", str(folder / "docker-compose.yml"), "-f", str(override), "-p", "generated")
        command = ("nice", find("docker") or "", "compose", *files, *words)
        return run(*command, timeout=timeout, env=self.environ | {"RELEASE": release}, cwd=folder)

    def enter(self) -> list[str]:
        """Before a command: in the network where ports are published."""
        return ["nsenter", f"--net=/run/netns/{NAMESPACE}"]

    def _copy_site(self) -> None:
        """Tests change it, and what lies under their hands may be changed while they run."""
        self.site.mkdir()
        for name in ("docker-compose.yml", ".dockerignore", "pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, self.site)
        for name in ("common", "proxy", "backend", "deploy"):
            shutil.copytree(
                ROOT / name, self.site / name, ignore=shutil.ignore_patterns("__pycache__", "data")
            )

    def _start(self, before: list[str], options: tuple[str, ...]) -> None:
        with open(self.folder / "engine.log", "ab") as log:
            self._process = subprocess.Popen(
                [
                    *(*before, "nice", find("dockerd") or "", f"--data-root={self.folder}/data"),
                    *(f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/engine.pid"),
                    *(f"--host=unix://{self.socket}", "--storage-driver=overlay2", *options),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until = time.monotonic() + 60
        while "Server" not in self.docker("version", check=False, timeout=30):
            if self._process.poll() is not None or time.monotonic() > until:
                pytest.skip(f"the engine does not start here: {self._last_words()}")
            time.sleep(0.3)

    def _last_words(self) -> str:
        return (self.folder / "engine.log").read_text().strip().splitlines()[-1][-300:]
