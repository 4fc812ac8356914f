"""A site over TLS, as other people's clients see it: curl, openssl s_client, Python's ssl."""

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.whole.over import authority, write_pair
from tests.whole.running import Site, running, wait_until

TELLING = """
import contextlib
import json
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    names = [name for name in environ if name.startswith(("HTTP_X_SSL", "HTTP_X_FORWARDED_PROTO"))]
    told = {name: environ[name] for name in ["wsgi.url_scheme", *names]}
    return [json.dumps(told | {"https": environ.get("HTTPS")}).encode()]
"""
CONFIG = """
listen:
  - 127.0.0.1:0
  - address: 127.0.0.1:PORT1
    tls:
      - {certificate: rsa.pem, key: rsa.key}
      - {certificate: ecdsa.pem, key: ecdsa.key}
      - {certificate: wild.pem, key: wild.key}
  - address: 127.0.0.1:PORT2
    tls:
      certificate: ecdsa.pem
      key: ecdsa.key
      profile: modern
      strict: true
      client: required
      client_ca: ca.pem
log: {access: access.log}
proxy: {processes: 2}
defaults: {hsts: {age: 1y, subdomains: true}}
routes:
  - {scheme: http, host: a.example, redirect: {to: "https://{host}{uri}", permanent: true}}
  - {path: /, pool: web}
pools: {web: {app: telling, workers: 1, threads: 2}}
"""
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")


def free_ports(count: int) -> list[int]:
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def connected(port: int, context: ssl.SSLContext, **how: Any) -> ssl.SSLSocket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(sock, server_hostname="a.example", **how)


class House:
    """The site and its three ports."""

    def __init__(self, site: Site, ports: list[int]) -> None:
        self.site = site
        self.folder = site.folder
        self.many, self.strict = ports
        self.plain = int(site.said().split("http://127.0.0.1:")[1].split("/")[0])

    def curl(self, url: str, *options: str) -> subprocess.CompletedProcess[str]:
        """`a.example`, `b.wild.example` and `other.example` lead here."""
        names = [
            word
            for name in ("a.example", "b.wild.example", "other.example")
            for port in (self.many, self.strict, self.plain)
            for word in ("--resolve", f"{name}:{port}:127.0.0.1")
        ]
        command = ["curl", "-sS", "-m", "10", "--cacert", "ca.pem", *names, *options, url]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=20, check=False
        )

    def openssl(self, port: int, *options: str, said: str = "") -> str:
        """What s_client prints of a handshake, and of an answer if something is asked."""
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", "ca.pem", *options]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=20, check=False, input=said
        )
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("tls")
    ca, ports = authority(), free_ports(2)
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA):
        write_pair(folder, ca.issue_cert("a.example", "127.0.0.1", key_type=kind), kind.name.lower())
    write_pair(folder, ca.issue_cert("*.wild.example"), "wild")
    me = ca.issue_cert("me@example.org", common_name="me")
    (folder / "me.pem").write_bytes(me.private_key_and_cert_chain_pem.bytes())
    config = CONFIG.replace("PORT1", str(ports[0])).replace("PORT2", str(ports[1]))
    with running(folder, config, telling=TELLING) as site:
        yield House(site, ports)


@needs_curl
class TestCurl:
    def test_https_is_right_in_the_application(self, house: House) -> None:
        done = house.curl(f"https://a.example:{house.many}/")
        assert json.loads(done.stdout) == {
            "wsgi.url_scheme": "https",
            "HTTP_X_FORWARDED_PROTO": "https",
            "https": "on",
        }, done.stderr

    def test_names(self, house: House) -> None:
        assert house.curl(f"https://b.wild.example:{house.many}/").returncode == 0
        unknown = house.curl(f"https://other.example:{house.many}/")
        assert "no alternative certificate subject name matches" in unknown.stderr
        assert house.curl(f"https://other.example:{house.many}/", "-k").returncode == 0
        assert "unrecognized name" in house.curl(f"https://other.example:{house.strict}/", "-k").stderr

    def test_hsts_over_https_only(self, house: House) -> None:
        secure = house.curl(f"https://a.example:{house.many}/", "-D-", "-o", "/dev/null").stdout
        assert "strict-transport-security: max-age=31536000; includeSubDomains" in secure
        plain = house.curl(f"http://other.example:{house.plain}/", "-D-", "-o", "/dev/null").stdout
        assert plain.startswith("HTTP/1.1 200")
        assert "strict-transport" not in plain

    def test_http_is_sent_to_https(self, house: House) -> None:
        done = house.curl(f"http://a.example:{house.plain}/x?y", "-D-")
        assert done.stdout.startswith("HTTP/1.1 308")
        assert "location: https://a.example/x?y" in done.stdout

    def test_plain_http_on_a_tls_port_is_told_so(self, house: House) -> None:
        done = house.curl(f"http://a.example:{house.many}/", "-i")
        assert done.stdout.startswith("HTTP/1.1 400 Bad Request")
        assert "content-type: text/plain" in done.stdout
        assert "This port speaks https" in done.stdout

    def test_a_hello_on_a_plain_port_is_closed_with_one_line(self, house: House) -> None:
        lines = (house.folder / "access.log").read_text().count("why=bad_head:tls")
        done = house.curl(f"https://a.example:{house.plain}/", "--no-sessionid")
        assert done.returncode == 35
        wait_until(
            lambda: (house.folder / "access.log").read_text().count("why=bad_head:tls") == lines + 1, 5
        )

    def test_a_client_s_certificate(self, house: House) -> None:
        forged = ("-H", "X-SSL-Client-S-DN: CN=root", "-H", "X-SSL-Client-Verify: SUCCESS")
        done = house.curl(f"https://a.example:{house.strict}/", "--cert", "me.pem", *forged)
        told = json.loads(done.stdout)
        assert told["HTTP_X_SSL_CLIENT_VERIFY"] == "SUCCESS"
        assert told["HTTP_X_SSL_CLIENT_S_DN"].startswith("CN=me,")
        assert house.curl(f"https://a.example:{house.strict}/").returncode != 0
        unasked = house.curl(f"https://a.example:{house.many}/", "--cert", "me.pem", *forged)
        assert "SSL" not in unasked.stdout

    def test_protocols(self, house: House) -> None:
        done = house.curl(f"https://a.example:{house.many}/", "--http2", "-w", "%{http_version}")
        assert done.stdout.endswith("1.1"), done.stderr
        old = house.curl(f"https://a.example:{house.many}/", "--tls-max", "1.1", "--tlsv1.0")
        assert old.returncode == 35


@needs_openssl
class TestOpenssl:
    @pytest.mark.parametrize("version", ["1_2", "1_3"])
    @pytest.mark.parametrize(("kind", "algorithm"), [("ECDSA", "ecdsa_secp256r1_sha256"), ("RSA", "RSA-PSS")])
    def test_both_kinds_of_key(self, house: House, version: str, kind: str, algorithm: str) -> None:
        wanted = "ECDSA+SHA256" if kind == "ECDSA" else "RSA-PSS+SHA256"
        seen = house.openssl(house.many, "-servername", "a.example", f"-tls{version}", "-sigalgs", wanted)
        assert f"Peer signature type: {kind}" in seen, seen
        assert "Verify return code: 0 (ok)" in seen
        assert f"TLSv{version.replace('_', '.')}" in seen

    def test_alpn_compression_and_renegotiation(self, house: House) -> None:
        options = ("-servername", "a.example", "-tls1_2", "-alpn", "h2,http/1.1")
        seen = house.openssl(house.many, *options, said="R\n")
        assert "ALPN protocol: http/1.1" in seen
        assert "Compression: NONE" in seen
        assert "no renegotiation" in seen

    def test_groups(self, house: House) -> None:
        for group, is_there in [("X25519", True), ("P-256", True), ("P-384", True), ("P-521", False)]:
            seen = house.openssl(house.many, "-servername", "a.example", "-groups", group)
            assert ("Peer signature type" in seen) == is_there, group

    def test_modern_is_tls_1_3_only(self, house: House) -> None:
        options = ("-servername", "a.example", "-cert", "me.pem", "-key", "me.pem")
        assert "TLSv1.3" in house.openssl(house.strict, *options)
        assert "alert protocol version" in house.openssl(house.strict, *options, "-tls1_2")


class TestPython:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_a_session_goes_on_in_every_process(self, house: House, version: ssl.TLSVersion) -> None:
        context = ssl.create_default_context(cafile=str(house.folder / "ca.pem"))
        context.maximum_version = version
        before = [process["requests"] for process in house.site.status()["proxy"]["processes"]]
        session, resumed = None, []
        for _ in range(24):
            with connected(house.many, context, session=session) as secure:
                secure.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
                answer = b"".join(iter(lambda secure=secure: secure.recv(65536), b""))
                assert answer.startswith(b"HTTP/1.1 200")
                resumed.append(secure.session_reused)
                session = session or secure.session
        assert resumed == [False] + [True] * 23
        wait_until(
            lambda: all(
                process["requests"] > were
                for process, were in zip(house.site.status()["proxy"]["processes"], before, strict=True)
            ),
            5,
            "both processes to have served some",
        )

    def test_an_end_is_announced(self, house: House) -> None:
        context = ssl.create_default_context(cafile=str(house.folder / "ca.pem"))
        with connected(house.many, context, suppress_ragged_eofs=False) as secure:
            secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while secure.recv(65536):
                pass  # an end without close_notify would raise

    def test_garbage_is_closed_and_the_site_goes_on(self, house: House) -> None:
        for said in (
            b"\x16\x03\x01\xff\xff" + bytes(200),
            b"\x80\x2e\x01\x00\x02",
            bytes(1000),
            b"SSH-2.0-x\r\n",
        ):
            sock = socket.create_connection(("127.0.0.1", house.many), timeout=10)
            with sock, contextlib.suppress(OSError):  # it may be closed before we have said all of it
                sock.sendall(said)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
        with connected(house.many, ssl._create_unverified_context()) as secure:
            secure.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert secure.recv(15) == b"HTTP/1.1 200 OK"
