"""Over which kind of connection a whole-system test runs; the certificate and client of the encrypted one.

A test file with `pytestmark = pytest.mark.usefixtures("over")` runs twice: plainly, and over TLS.
"""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import trustme

LISTEN = "listen: 127.0.0.1:0\n"
# As a client would use it; the names are what the tests' requests say.
NAMES = ("127.0.0.1", "localhost", "a.example")


class Choice:
    """What `over` has chosen for the tests that run now."""

    is_secure = False


class SecureAddress(tuple[str, int]):
    """An address to speak TLS to: clients of ours see that by its type."""

    __slots__ = ()

    def wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        return client_context().wrap_socket(sock, server_hostname=self[0])


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


@cache
def usual_pair() -> trustme.LeafCert:
    return authority().issue_cert(
        *NAMES,
        not_before=datetime.now(UTC) - timedelta(days=1),
        not_after=datetime.now(UTC) + timedelta(days=90),
    )


def write_pair(folder: Path, leaf: trustme.LeafCert | None = None, name: str = "site") -> str:
    """Both files, each put in place at once; what to write below `tls:`."""
    leaf = leaf or usual_pair()
    put(folder / f"{name}.pem", b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    put(folder / f"{name}.key", leaf.private_key_pem.bytes())
    return f"{{certificate: {name}.pem, key: {name}.key}}"


def put(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}")
    fresh.write_bytes(content)
    fresh.chmod(0o600)
    fresh.rename(path)


def listen_over(folder: Path) -> str:
    """The line of the file for the kind of connection that was chosen."""
    if not Choice.is_secure:
        return LISTEN
    return f"listen: {{address: 127.0.0.1:0, tls: {write_pair(folder)}}}\n"


def connected(address: tuple[str, int], sock: socket.socket) -> socket.socket:
    """The same socket, or its encrypted face, after connect()."""
    return address.wrap(sock) if isinstance(address, SecureAddress) else sock
