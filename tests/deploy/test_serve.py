"""`trivet serve` as it is run: start, refusals, reload, deaths and stop, with a real proxy and pool."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 15.0
APP = """
import os
TEXT = b"one"
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [TEXT]
"""
SITE = """
listen: "unix:http.sock"
run_dir: run
proxy: {{processes: 1}}
stop_timeout: 3s
pools:
  web:
    app: "hello:app"
    workers: 1
{more}
"""


class Service:
    """One site in a folder, and the command that runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        (folder / "hello.py").write_text(APP)
        self.configure()

    def configure(self, more: str = "") -> None:
        (self.folder / "site.yaml").write_text(SITE.format(more=more))

    def trivet(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*words), cwd=self.folder, capture_output=True, text=True, timeout=DEADLINE
        )

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start and wait until it is ready."""
        process = self.launch(*options)
        self.wait_until_said("ready in")
        return process

    def launch(self, *options: str) -> subprocess.Popen[str]:
        with (self.folder / "said").open("w") as said:
            command = self._command("serve", "site.yaml", *options)
            process = subprocess.Popen(command, cwd=self.folder, stdout=said, stderr=said, text=True)
        self.processes.append(process)
        return process

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def wait_until_said(self, words: str) -> None:
        wait_until(lambda: words in self.said() or self.processes[-1].poll() is not None, self.said)
        assert words in self.said()

    def get(self) -> str:
        connection = UnixConnection(str(self.folder / "http.sock"))
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            return f"{answer.status} {answer.read().decode()}"
        except OSError as error:
            return type(error).__name__
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.trivet("status", "site.yaml", "--json").stdout)
        return found

    def pid_of(self, what: str) -> int:
        return next(int(each["pid"]) for each in self.status()["serve"]["masters"] if each["what"] == what)

    def is_empty(self) -> bool:
        kept = {"__pycache__", "said", "hello.py", "site.yaml"}
        return all(path.name in kept for path in self.folder.iterdir())

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGQUIT)
                try:
                    process.wait(DEADLINE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(DEADLINE)

    @staticmethod
    def _command(*words: str) -> list[str]:
        return [
            sys.executable,
            "-c",
            "import sys; from trivet_deploy.cli import main; sys.exit(main())",
            *words,
        ]


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=DEADLINE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def wait_until(condition: Callable[[], bool], explain: Callable[[], object] = lambda: "") -> None:
    until = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < until, explain()
        time.sleep(0.02)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.close()


def test_start_second_start_reload_and_stop(service: Service) -> None:
    process = service.start()
    assert service.get() == "200 one"
    assert "unix:http.sock" in service.said() or "http.sock" in service.said()

    second = service.trivet("serve", "site.yaml")
    assert second.returncode == 1
    assert second.stderr.startswith(f"trivet: this site runs already: pool web by process {process.pid} in ")

    (service.folder / "hello.py").write_text(APP.replace("one", "two"))
    reloaded = service.trivet("reload", "site.yaml")
    assert (reloaded.stdout, reloaded.stderr) == ("site.yaml: reloaded\n", "pool web: 1 of 1 workers\n")
    assert service.get() == "200 two"

    service.configure("oops: 1")
    broken = service.trivet("reload", "site.yaml")
    assert (broken.returncode, broken.stdout) == (1, "")
    assert "trivet: reload failed: " in broken.stderr
    assert "oops" in broken.stderr
    service.configure('  new: {app: "hello:app"}\nroutes: [{path: /n/, pool: new}, {path: /, pool: web}]')
    assert "needs a restart: pool new is new" in service.trivet("reload", "site.yaml").stderr
    service.configure()
    (service.folder / "hello.py").write_text(APP + "1 / 0\n")
    broken = service.trivet("reload", "site.yaml")
    assert (broken.returncode, broken.stdout) == (1, "")
    assert "line 7, in <module>\n" in broken.stderr
    assert broken.stderr.endswith(
        "ZeroDivisionError: division by zero\ntrivet: the release before it goes on\n"
    )
    assert "failed, the release before it goes on:" in service.trivet("status", "site.yaml").stdout
    assert service.get() == "200 two"

    assert service.trivet("status", "site.yaml", "--probe", "ready").stdout == "ready\n"
    stopped = service.trivet("stop", "site.yaml")
    assert (stopped.returncode, stopped.stdout) == (0, "site.yaml: stopped\n")
    assert process.wait(DEADLINE) == 0
    assert service.is_empty(), list(service.folder.rglob("*"))


def test_an_application_that_does_not_load_ends_the_first_start(service: Service) -> None:
    (service.folder / "hello.py").write_text("import nowhere_to_be_found\n")
    process = service.launch()
    assert process.wait(DEADLINE) == 1
    assert "trivet: pool web: " in service.said()
    assert "nowhere_to_be_found" in service.said()
    assert service.is_empty(), list(service.folder.rglob("*"))


@pytest.mark.parametrize("what", ["proxy", pytest.param("pool web", marks=pytest.mark.slow)])
def test_a_master_that_is_killed_is_started_again(service: Service, what: str) -> None:
    service.start()
    old = service.pid_of(what)
    os.kill(old, signal.SIGKILL)
    wait_until(
        lambda: service.get() == "200 one" and f"the master of {what} ended (signal 9)" in service.said()
    )
    wait_until(
        lambda: service.trivet("status", "site.yaml", "--probe", "ready").returncode == 0, service.said
    )
    assert service.pid_of(what) != old
    assert service.trivet("stop", "site.yaml").returncode == 0
    assert service.is_empty(), list(service.folder.rglob("*"))


@pytest.mark.slow
def test_killed_and_started_again_at_once(service: Service) -> None:
    first = service.start()
    first.kill()
    first.wait(DEADLINE)
    assert service.trivet("status", "site.yaml").returncode in (0, 3)
    second = service.start()
    assert service.get() == "200 one"
    second.send_signal(signal.SIGINT)
    assert second.wait(DEADLINE) == 0
    wait_until(service.is_empty, lambda: list(service.folder.rglob("*")))


def test_signals_drain_and_reload(service: Service) -> None:
    process = service.start()
    (service.folder / "hello.py").write_text(APP.replace("one", "three"))
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: service.get() == "200 three", service.said)
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 0
    assert service.is_empty(), list(service.folder.rglob("*"))


def test_development_renews_what_changes(service: Service) -> None:
    service.configure("    prepare: echo prepared")
    process = service.start("--reload")
    (service.folder / "hello.py").write_text(APP.replace("one", "two"))
    wait_until(lambda: service.get() == "200 two", service.said)
    assert "hello.py changed: renewing pool web" in service.said()
    assert service.said().count("prepare: prepared") == 1
    (service.folder / "hello.py").write_text("import nosuchmodule\n")
    wait_until(lambda: "nosuchmodule" in service.get(), service.said)
    (service.folder / "hello.py").write_text(APP.replace("one", "two"))
    wait_until(lambda: service.get() == "200 two", service.said)
    service.configure("oops: 1")
    service.wait_until_said("site.yaml changed: renewing everything")
    service.wait_until_said("unknown key oops")
    assert service.get() == "200 two"
    os.kill(service.pid_of("watcher"), signal.SIGKILL)
    service.configure()
    wait_until(lambda: any(each["what"] == "watcher" for each in service.status()["serve"]["masters"]))
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE) == 0
    assert service.is_empty(), list(service.folder.rglob("*"))


@pytest.mark.slow
def test_more_workers_and_fewer_by_signal_and_what_they_do(service: Service) -> None:
    process = service.start()

    def workers() -> list[int]:
        found = service.status()["pools"]["web"]["workers"]
        return [worker["pid"] for worker in found if worker["state"] == "ready"]

    process.send_signal(signal.SIGTTIN)
    wait_until(lambda: len(workers()) == 2, service.said)
    dumped = service.trivet("dump", "site.yaml").stdout
    assert [line for line in dumped.splitlines() if line.startswith("pool")] == [
        "pool web, w1:",
        "pool web, w2:",
    ]
    of_one = service.trivet("dump", "site.yaml", str(workers()[1])).stdout
    assert "w2.0 idle" in of_one
    assert "w1" not in of_one
    assert service.trivet("dump", "site.yaml", "w9").returncode == 1
    process.send_signal(signal.SIGTTOU)
    wait_until(lambda: len(workers()) == 1, service.said)
    assert service.get() == "200 one"
    assert service.trivet("stop", "site.yaml").returncode == 0


@pytest.mark.slow
def test_halves_one_by_one(service: Service) -> None:
    commands = [service._command(half, "site.yaml") for half in ("backend", "proxy")]
    with (service.folder / "said").open("w") as said:
        for command in commands:
            service.processes.append(
                subprocess.Popen(command, cwd=service.folder, stdout=said, stderr=said, text=True)
            )
    wait_until(lambda: service.get() == "200 one", service.said)
    wait_until(lambda: service.trivet("status", "site.yaml", "--probe", "ready").returncode == 0)
    assert service.trivet("reload", "site.yaml").stdout == "site.yaml: reloaded\n"
    told = service.status()
    assert (told["serve"], list(told["pools"]), bool(told["proxy"])) == (None, ["web"], True)
    assert service.trivet("stop", "site.yaml").returncode == 0
    for process in service.processes:
        assert process.wait(DEADLINE) == 0
    assert service.is_empty(), list(service.folder.rglob("*"))
