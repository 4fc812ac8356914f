"""A pool's master as a process of its own, and what can be asked of it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from trivet_common.asking import ControlError, ask
from trivet_common.pool.places import PoolPlaces

PATIENCE = 10.0
ROOT = Path(__file__).parents[2]

APP = """
import os, time
VERSION = {version!r}
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        print("slow begins", flush=True)
        time.sleep(float(environ["QUERY_STRING"]))
    if path == "/exit":
        os._exit(9)
    body = f"{{VERSION}} {{os.getpid()}} {{environ['wsgi.multithread']}}".encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
"""


def until(found: Callable[[], Any], patience: float = PATIENCE) -> Any:
    end = monotonic() + patience
    while monotonic() < end:
        value = found()
        if value:
            return value
        threading.Event().wait(0.01)
    raise AssertionError("waited in vain")


class PoolProcess:
    """A master in a process of its own and what can be asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "trivet.yaml"
        self.log_file = folder / "error.log"
        self.places = PoolPlaces(folder / "run" / "web")
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, version: str = "one", *, app: str | None = None, **keys: Any) -> None:
        (self.folder / "shop.py").write_text(app if app is not None else APP.format(version=version))
        lines = [f"    {name}: {value}" for name, value in {"app": "shop", "workers": 2, **keys}.items()]
        text = (
            f"log: {{error: {self.log_file}}}\nstop_timeout: 5s\npools:\n  web:\n" + "\n".join(lines) + "\n"
        )
        self.file.write_text(text)

    def start(self, *, is_waited_for: bool = True) -> None:
        # No bytecode: a file that is rewritten within a second would be served from the cache.
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "tests.backend.serve_pool", self.file, self.folder / "run"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE)
        if is_waited_for:
            until(lambda: self.ready() == self.status()["wanted"] if self.is_up() else False)

    def is_up(self) -> bool:
        try:
            return bool(self.status())
        except ControlError:
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            return False

    def status(self) -> dict[str, Any]:
        return ask(self.places.control, {"do": "status"}, PATIENCE)

    def ready(self) -> int:
        ready: int = self.status()["ready"]
        return ready

    def pids(self) -> list[int]:
        return [worker["pid"] for worker in self.status()["workers"] if worker["state"] == "ready"]

    def reload(self) -> dict[str, Any]:
        return ask(self.places.control, {"do": "reload"}, PATIENCE)

    def get(self, path: str = "/", to: Path | None = None) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(os.fspath(to or self.places.pool_socket))
            client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            data = b""
            while piece := client.recv(65536):
                data += piece
        return data.partition(b"\r\n\r\n")[2]

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def stop(self, signum: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signum)
        status = self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
