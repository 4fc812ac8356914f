"""What the snippets of docs/from-nginx.md find around them: files, certificates, servers, pools. No proxy."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bcrypt
import trustme

from tests.whole.idioms import pool_of
from tests.whole.over import SecureAddress, write_pair
from tests.whole.running import Site
from tests.whole.talking import Talk
from trivet_common.listeners import BoundListener
from trivet_deploy.compress import compress

PORTS = (8001, 8002, 8003)
SECURE_PORT, NOBODYS_PORT = 8010, 8009
APPLICATION = '''
import json
import os


def application(environ, start_response):
    """Tells what it was told, unless the path has it do something else."""
    path = environ["PATH_INFO"]
    status, headers = "200 OK", [("Content-Type", "application/json"), ("X-Powered-By", "us")]
    if path == "/order":
        headers.append(("X-Accel-Redirect", "/protected/report.pdf"))
    elif path == "/sendfile":
        headers.append(("X-Sendfile", os.environ["REPORT"]))
    elif path == "/error":
        status = "500 Internal Server Error"
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    told["by"] = os.environ["WHO"]
    told["length"] = len(environ["wsgi.input"].read())
    body = json.dumps(told).encode()
    if path == "/long":
        body += b" " * 4000
    start_response(status, [*headers, ("Content-Length", str(len(body)))])
    return [body]
'''
FILES = {
    "srv/shop/static/css/base.27e20196a850.css": "hashed",
    "srv/shop/static/admin.css": "p { color: teal }\n" * 200,
    "srv/shop/static/favicon.ico": "icon",
    "srv/shop/media/evil.html": "<script>",
    "srv/shop/img/a.png": "picture",
    "srv/shop/public/about.txt": "about",
    "srv/shop/public/logo.PNG": "logo",
    "srv/shop/public/.env": "SECRET=1",
    "srv/shop/public/.well-known/security.txt": "Contact: us",
    "srv/shop/dist/index.html": "the page",
    "srv/shop/dist/main.js": "script",
    "srv/shop/pub/one.txt": "one",
    "srv/shop/private/report.pdf": "a report",
    "srv/shop/models/chair.glb": "model",
    "srv/shop/errors/404.html": "no such thing",
    "srv/shop/errors/50x.html": "sorry: {status}",
    "srv/shop/errors/maintenance.html": "we paint the walls",
    "srv/blog/static/x.css": "of the blog",
    "srv/shop/shop/wsgi.py": APPLICATION,
    "srv/blog/blog.py": APPLICATION,
    "var/www/certbot/.well-known/acme-challenge/token": "a token",
    "var/log/shop/.keep": "",
    "run/shop/.keep": "",
    "etc/nginx/sites-enabled/one.conf": "",
}


class World:
    """Folders, certificates, servers and pools that all snippets share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority, self.staff, self.internal = trustme.CA(), trustme.CA(), trustme.CA()
        self._nobody = socket.socket()  # bound, and listening to nobody
        self._nobody.bind(("127.0.0.1", 0))
        self.ports = {NOBODYS_PORT: self._nobody.getsockname()[1]}
        for name, text in FILES.items():
            self.write(name, text)
        self.write("etc/shop/htpasswd", f"ann:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n")
        compress(str(folder / "srv" / "shop" / "static"))
        ssl_folder = folder / "etc" / "ssl"
        ssl_folder.mkdir()
        for name in ("shop", "blog"):
            write_pair(ssl_folder, self.authority.issue_cert(f"{name}.example"), name)
        self.staff.cert_pem.write_to_path(ssl_folder / "staff-ca.pem")
        self.internal.cert_pem.write_to_path(ssl_folder / "internal-ca.pem")

    def close(self) -> None:
        self._nobody.close()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def placed(self, text: str) -> str:
        """Paths and ports of a snippet, nginx's or ours, as they are here."""
        text = re.sub(r"(?<![\w}])/(srv|etc|var|run)/", rf"{self.folder}/\1/", text)
        return re.sub(r"127\.0\.0\.1:(80\d\d)", lambda found: f"127.0.0.1:{self.ports[int(found[1])]}", text)

    def connect(self, door: BoundListener, host: str, *, as_staff: bool = False) -> Talk:
        address = door.socket.getsockname()
        if door.listen.tls is None:
            return Talk(address)
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if as_staff:
            self.staff.issue_cert("ann@shop.example", common_name="ann").configure_cert(context)
        return Talk(_Named(address, host, context))


class _Named(SecureAddress):
    """An address whose certificate must be for the name of the request."""

    def __new__(cls, address: tuple[str, int], host: str, context: ssl.SSLContext) -> "_Named":
        made = super().__new__(cls, address)
        made.host, made.context = host, context
        return made

    host: str
    context: ssl.SSLContext

    def wrap(self, sock: Any) -> ssl.SSLSocket:
        return self.context.wrap_socket(sock, server_hostname=self.host)


class Telling(BaseHTTPRequestHandler):
    """A server that is not ours: tells what it was told, unless the path has it do something else."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    go_on = threading.Event()

    def do_GET(self) -> None:
        if self.path.endswith("/early"):
            self.go_on.set()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match self.path.partition("?")[0].rsplit("/", 1)[1]:
            case "socket" if self.headers.get("Upgrade"):
                self._tunnel()
            case "stream":
                self._say_events()
            case "error":
                self._tell(500, body)
            case "auth":
                self._tell(200 if self.headers.get("Cookie") == "key=ann" else 401, body)
            case _:
                self._tell(200, body)

    do_POST = do_PUT = do_DELETE = do_OPTIONS = do_HEAD = do_GET

    def _tell(self, status: int, body: bytes) -> None:
        told = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        told |= {"PATH_INFO": self.path, "by": self.server.who, "length": len(body)}  # type: ignore[attr-defined]
        text = json.dumps(told).encode()
        self.send_response(status)
        for name, value in (
            ("Content-Length", str(len(text))), ("X-Powered-By", "them"), ("Remote-User", "ann"),
            ("Content-Security-Policy", "of the application"),
        ):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _tunnel(self) -> None:
        self.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        self.wfile.write(self.rfile.read(5).upper())
        self.close_connection = True

    def _say_events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self.go_on.wait(10)
        self.wfile.write(b"data: second\n\n")

    def log_message(self, *_: Any) -> None:
        pass


class _UnixServer(ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "unix", 0

    def get_request(self) -> tuple[Any, Any]:
        return self.socket.accept()[0], ("unix", 0)


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Everything but the proxy, which each snippet has for itself."""
    (folder / "telling.py").write_text(APPLICATION)
    made = World(folder)
    with ExitStack() as stack:
        stack.callback(made.close)
        for port in (*PORTS, SECURE_PORT):
            made.ports[port] = stack.enter_context(_server(port, made))
        stack.enter_context(_serving(_UnixServer(str(folder / "run/shop/gunicorn.sock"), Telling), "unix"))
        for name in ("web", "blog"):
            stack.enter_context(_pool(name, folder))
        yield made


@contextmanager
def _pool(name: str, folder: Path) -> Iterator[None]:
    (folder / name).mkdir()
    backend = Site(
        folder / name, f"run_dir: {folder}/run\npools: {{{name}: {pool_of(name, folder)}}}\n", "backend"
    )
    try:
        backend.start()
        yield
        assert backend.stop() == 0, backend.said()
    finally:
        if backend.process.poll() is None or backend.processes():
            backend.abandon()


@contextmanager
def _server(port: int, made: World) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Telling)
    if port == SECURE_PORT:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.internal.issue_cert("search.example").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with _serving(server, str(port)):
        yield server.server_port


@contextmanager
def _serving(server: ThreadingHTTPServer, who: str) -> Iterator[None]:
    server.who = who  # type: ignore[attr-defined]
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
