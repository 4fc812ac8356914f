"""The manifests: rendered and validated strictly; the pod's commands and probes, as written, as processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deployed.cluster_tools import kubectl, validate
from tests.deployed.tools import ROOT, run

pytestmark = pytest.mark.deployed

OVERLAY = ROOT / "deploy/kubernetes/overlays/example"
SLOW = """
import time
def application(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""


@pytest.fixture(scope="module")
def rendered(workplace: Path) -> list[dict[str, Any]]:
    text = run(kubectl(workplace), "kustomize", str(OVERLAY))
    (workplace / "rendered.yaml").write_text(text)
    return list(yaml.safe_load_all(text))


@pytest.fixture
def folder(workplace: Path) -> Path:
    """With a short name: sockets lie in it."""
    return Path(tempfile.mkdtemp(dir=workplace))


def only(rendered: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [each for each in rendered if each["kind"] == kind]
    return found


def test_strictly_valid(rendered: list[dict[str, Any]], workplace: Path) -> None:
    told = validate(workplace, workplace / "rendered.yaml")
    assert told.count(" passed ") == len(rendered)
    assert {each["kind"] for each in rendered} == {
        *("ConfigMap", "Service", "Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler"),
        "NetworkPolicy",
    }


def test_every_container_is_restricted(rendered: list[dict[str, Any]]) -> None:
    """Of the pod security standard `restricted`."""
    pod = only(rendered, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    for container in pod["containers"] + pod["initContainers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Pod:
    """The pod's containers as processes here: the same commands and probes, other folders, another port."""

    def __init__(self, rendered: list[dict[str, Any]], folder: Path) -> None:
        spec = only(rendered, "Deployment")["spec"]["template"]["spec"]
        self.containers = {each["name"]: each for each in spec["containers"]}
        self.port = free_port()
        self.folder = folder
        text = only(rendered, "ConfigMap")["data"]["trivet.yaml"]
        site = yaml.safe_load(text)
        pool = site["pools"]["web"]
        # What the image has, and this machine has not.
        pool |= {"app": "slow", "directory": str(folder), "prepare": [], "workers": 2, "timeout": "20s"}
        pool["queue"] = {"timeout": "60s"}
        site["listen"] = f"127.0.0.1:{self.port}"
        site["run_dir"] = str(folder / "run/site")
        site["spool"] = {"dir": str(folder)}
        for route in site["routes"]:
            if "files" in route:
                route["files"] = str(folder / "run/static")
        (folder / "run/static").mkdir(parents=True)
        (folder / "slow.py").write_text(SLOW)
        (folder / "trivet.yaml").write_text(yaml.safe_dump(site))
        self.environ = os.environ | {
            "TRIVET_FILE": str(folder / "trivet.yaml"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        with open(self.folder / f"{name}.txt", "ab") as out:
            command = self.containers[name]["command"]
            self.processes[name] = subprocess.Popen(command, env=self.environ, stdout=out, stderr=out)

    def probe(self, name: str, which: str) -> bool:
        probe = self.containers[name][which]
        if "exec" in probe:
            command, patience = probe["exec"]["command"], probe["timeoutSeconds"]
            try:
                done = subprocess.run(command, env=self.environ, timeout=patience, capture_output=True)
            except subprocess.TimeoutExpired:
                return False  # as kubelet has it
            return done.returncode == 0
        try:
            path = f"http://127.0.0.1:{self.port}{probe['httpGet']['path']}"
            with urllib.request.urlopen(path, timeout=probe["timeoutSeconds"]) as answer:
                return 200 <= answer.status < 400
        except OSError:
            return False

    def wait(self, name: str, which: str, wanted: bool = True, seconds: float = 30) -> None:
        """A machine under load may miss one; kubelet forgives two."""
        until = time.monotonic() + seconds
        while self.probe(name, which) is not wanted:
            assert time.monotonic() < until, (self.folder / f"{name}.txt").read_text()
            time.sleep(0.2)

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=80) as answer:
            data: bytes = answer.read()
            return data

    def end(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


@contextmanager
def started(rendered: list[dict[str, Any]], folder: Path) -> Iterator[Pod]:
    pod = Pod(rendered, folder)
    try:
        for name in ("proxy", "backend"):
            pod.start(name)
        for name in ("proxy", "backend"):
            pod.wait(name, "startupProbe")
        yield pod
    finally:
        pod.end()


def test_saturated_is_alive_and_ready_and_draining_is_not_ready(
    rendered: list[dict[str, Any]], folder: Path
) -> None:
    with started(rendered, folder) as pod:
        pod.wait("proxy", "readinessProbe")
        answers: list[bytes] = []
        clients = [threading.Thread(target=lambda: answers.append(pod.get("/?6"))) for _ in range(6)]
        for client in clients:
            client.start()
        time.sleep(0.5)  # all slots are taken now, and some wait; the probes below find that out or not
        for name in ("proxy", "backend"):
            pod.wait(name, "livenessProbe")
            pod.wait(name, "readinessProbe")
        pod.processes["backend"].send_signal(signal.SIGTERM)
        pod.wait("backend", "readinessProbe", wanted=False, seconds=10)
        pod.wait("proxy", "readinessProbe", wanted=False, seconds=10)
        pod.wait("proxy", "livenessProbe")
        pod.processes["backend"].wait(30)
        pod.start("backend")  # kubelet would
        for client in clients:
            client.join(80)
        assert answers == [b"done"] * 6
        pod.wait("proxy", "readinessProbe")


def test_a_stopped_master_is_not_alive(rendered: list[dict[str, Any]], folder: Path) -> None:
    with started(rendered, folder) as pod:
        os.kill(pod.processes["backend"].pid, signal.SIGSTOP)
        try:
            assert not pod.probe("backend", "livenessProbe")
            pod.wait("proxy", "livenessProbe")
        finally:
            os.kill(pod.processes["backend"].pid, signal.SIGCONT)


def test_the_backend_leaves_after_the_proxy(rendered: list[dict[str, Any]], folder: Path) -> None:
    with started(rendered, folder) as pod:
        hook = pod.containers["backend"]["lifecycle"]["preStop"]["exec"]["command"]
        waiting = subprocess.Popen(
            hook, env=pod.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        client = threading.Thread(target=lambda: pod.get("/?2"))
        client.start()
        time.sleep(0.5)  # it is on its way now
        assert waiting.poll() is None
        pod.processes["proxy"].send_signal(signal.SIGTERM)
        pod.processes["proxy"].wait(20)
        assert waiting.wait(10) == 0
        client.join(10)
        pod.wait("backend", "livenessProbe")


def test_json_of_status_is_what_an_autoscaler_would_read(
    rendered: list[dict[str, Any]], folder: Path
) -> None:
    with started(rendered, folder) as pod:
        told = subprocess.run(
            ["trivet", "status", "--json"], env=pod.environ, capture_output=True, timeout=20, check=True
        )
        assert isinstance(json.loads(told.stdout), dict)
