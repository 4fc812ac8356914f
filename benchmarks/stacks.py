"""The servers that are compared: each started on loopback with the same application, stopped by pid."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NGINX = """
worker_processes {processes};
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
daemon off;
events {{ worker_connections 4096; }}
http {{
    include /etc/nginx/mime.types;
    access_log {access};
    sendfile on; tcp_nopush on; keepalive_timeout 65; keepalive_requests 1000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream app {{ server unix:{folder}/app.sock fail_timeout=0; }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 64m;
        location /static/ {{ alias {folder}/static/; }}
        location / {{
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Host $http_host;
            proxy_redirect off;
            proxy_pass http://app;
        }}
    }}
}}
"""
TRIVET = """
listen: 127.0.0.1:{port}
run_dir: {folder}/run
proxy: {{processes: {processes}}}
log: {{access: {access}, format: combined, error: {folder}/error.log}}
routes:
  - {{path: /static/, files: {folder}/static}}
  - {{path: /, pool: web}}
pools: {{web: {{app: "{app}", directory: {folder}, workers: {workers}}}}}
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def trivet(
    folder: Path, app: str, processes: int, workers: int, log: bool
) -> Iterator[tuple[str, list[int]]]:
    port = free_port()
    access = folder / "access.log" if log else "off"
    file = folder / "trivet.yaml"
    file.write_text(
        TRIVET.format(port=port, folder=folder, processes=processes, workers=workers, app=app, access=access)
    )
    command = [str(Path(sys.executable).parent / "trivet"), "serve", str(file)]
    with _started(command, folder, port) as pid:
        yield f"http://127.0.0.1:{port}", [pid]


@contextmanager
def nginx_gunicorn(
    folder: Path, app: str, processes: int, workers: int, log: bool
) -> Iterator[tuple[str, list[int]]]:
    """nginx as Debian ships it, gunicorn sync as its deployment page configures it."""
    port = free_port()
    access = f"{folder}/nginx-access.log combined buffer=64k flush=1s" if log else "off"
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(port=port, folder=folder, processes=processes, access=access))
    gunicorn = [sys.executable, "-m", "gunicorn", "-w", str(workers), "-b", f"unix:{folder}/app.sock"]
    gunicorn += ["--chdir", str(folder), "--log-level", "error"]
    gunicorn += ["--access-logfile", str(folder / "gunicorn-access.log")] if log else []
    with (
        _started([*gunicorn, app], folder, folder / "app.sock") as pool,
        _started(["nginx", "-c", str(file), "-p", str(folder)], folder, port) as front,
    ):
        yield f"http://127.0.0.1:{port}", [front, pool]


STACKS = {"nginx+gunicorn": nginx_gunicorn, "trivet": trivet}


@contextmanager
def _started(command: list[str], folder: Path, answers_at: int | Path) -> Iterator[int]:
    with (folder / "out.txt").open("ab") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        _wait(process, answers_at)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", answers_at: int | Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and process.poll() is None:
        family = socket.AF_INET if isinstance(answers_at, int) else socket.AF_UNIX
        with socket.socket(family) as sock:
            try:
                sock.connect(("127.0.0.1", answers_at) if isinstance(answers_at, int) else str(answers_at))
                return
            except OSError:
                time.sleep(0.02)
    raise SystemExit(f"{process.args!r} did not start; see its out.txt")
