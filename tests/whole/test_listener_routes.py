"""What only one listener leads to: an application for who has a certificate, and nothing of it elsewhere."""

import re
import socket
import ssl
from pathlib import Path

import pytest

from tests.whole.over import authority, client_context, put, write_pair
from tests.whole.running import Site, running

CONFIG = """
listen:
  - 127.0.0.1:0
  - address: "127.0.0.2:0"
    name: admin
    tls: {certificate: site.pem, key: site.key, client: required, client_ca: ca.pem}
run_dir: run
proxy: {processes: 1}
routes:
  - {path: /admin/, listener: admin, respond: secret}
  - {path: /files/, listener: admin, files: {root: public, fallback: next}}
  - {path: /files/, listener: admin, respond: behind}
  - {path: /, listener: "127.0.0.1:0", respond: everybody}
"""


def asked(site: Site, host: str, path: str, client: ssl.SSLContext | None = None) -> bytes:
    """The status and the body."""
    port = re.findall(rf"https?://{host}:(\d+)/", site.said())[-1]
    with socket.create_connection((host, int(port)), 10) as plain:
        sock = client.wrap_socket(plain, server_hostname="a.example") if client else plain
        with sock:
            sock.sendall(f"GET {path} HTTP/1.0\r\nHost: a.example\r\n\r\n".encode())
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
    return answer[9:12] + b" " + answer.partition(b"\r\n\r\n")[2]


def is_refused(site: Site, host: str, client: ssl.SSLContext) -> bool:
    """A client learns that after its own handshake (TLS 1.3): by a reset, or by the end."""
    try:
        return not asked(site, host, "/admin/", client).strip()
    except OSError:
        return True


@pytest.fixture
def known() -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    authority().issue_cert("someone@example.org").configure_cert(context)
    return context


def test_a_route_is_there_for_its_listener_only(tmp_path: Path, known: ssl.SSLContext) -> None:
    write_pair(tmp_path)
    (tmp_path / "public").mkdir()
    put(tmp_path / "ca.pem", authority().cert_pem.bytes())
    with running(tmp_path, CONFIG) as site:
        assert asked(site, "127.0.0.2", "/admin/", known) == b"200 secret"
        assert asked(site, "127.0.0.1", "/admin/") == b"200 everybody"
        assert asked(site, "127.0.0.2", "/files/none", known) == b"200 behind"
        assert asked(site, "127.0.0.2", "/", known).startswith(b"404 ")
        assert is_refused(site, "127.0.0.2", client_context())
        # A reload moves it, also where the name is another one.
        moved = CONFIG.replace("name: admin", "name: staff").replace("listener: admin", "listener: staff")
        site.configure(moved.replace("respond: secret", "respond: new"))
        assert site.command("reload").returncode == 0
        assert asked(site, "127.0.0.2", "/admin/", known) == b"200 new"
        assert asked(site, "127.0.0.1", "/admin/") == b"200 everybody"
