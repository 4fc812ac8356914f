"""What comes before the first request: the handshake, who speaks plain HTTP here, whose certificate it is."""

import socket
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from trio.testing import MockClock

from tests.proxy.fakes_tls import NAME, TlsPeer, authority, client_context, raw_pair
from tests.proxy.forged_records import DATA, Forger
from tests.proxy.test_connection import GET, House
from trivet_common.certificates import CertificateError
from trivet_common.config.tls import Tls
from trivet_proxy.complaints import Complaints
from trivet_proxy.omissions import Omissions
from trivet_proxy.request import Request
from trivet_proxy.tls_connection import TlsConnection, credentials
from trivet_proxy.writer import ResponseWriter


class FakeDoor:
    """Only what a connection asks of it."""

    def __init__(self, client: str = "off") -> None:
        self.tls = Tls((), client=client, handshake_timeout=3.0)


class TlsHouse(House):
    """Clients come to it before their handshake."""

    def arrive(self, door: FakeDoor | None = None, server: ssl.SSLContext | None = None) -> Any:
        wire, theirs = raw_pair(None, server)
        complaints = Complaints(self.complaints.append)
        connection = TlsConnection(
            wire,
            door or FakeDoor(),  # type: ignore[arg-type]
            self.resources,
            self.clients,
            complaints,
            Omissions(complaints),
        )
        self.connections.append(connection)
        self._nursery.start_soon(connection.run)
        return theirs


async def greet(
    sock: Any, context: ssl.SSLContext | None = None, session: ssl.SSLSession | None = None
) -> TlsPeer:
    peer = (context or client_context()).wrap_socket(
        sock, server_hostname=NAME, do_handshake_on_connect=False, session=session
    )
    with trio.fail_after(5):
        while True:
            try:
                peer.do_handshake()
                return TlsPeer(peer)
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(peer)


@pytest.fixture
async def house(tmp_path: Path, nursery: trio.Nursery) -> TlsHouse:
    return TlsHouse(None, tmp_path, nursery)  # type: ignore[arg-type]


async def tell(request: Request, writer: ResponseWriter) -> None:
    """Who asks, as the application would be told."""
    text = request.client.scheme.encode() + request.client.credentials
    await writer.send(200, [], text.replace(b"\r\n", b"|"))


async def test_requests_follow_the_handshake(house: TlsHouse) -> None:
    house.serve(tell)
    peer = await greet(house.arrive())
    for _ in range(2):
        await peer.send(GET)
        assert (await peer.receive_answer())[2] == b"https"
    assert house.clients.connections == 1
    peer.close()
    with trio.fail_after(5):
        await house.clients.wait_until_empty()
    assert house.complaints == []


async def test_plain_http_is_told_to_come_back(house: TlsHouse) -> None:
    sock = trio.socket.from_stdlib_socket(house.arrive())
    await sock.send(b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 100000\r\n\r\n" + bytes(100_000))
    answer = b""
    with trio.fail_after(5):
        while piece := await sock.recv(65536):
            answer += piece
        sock.close()
        await house.clients.wait_until_empty()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain")
    assert b"This port speaks https" in answer
    assert [record.why for record in house.log.records] == ["plain_http"]


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01", b"SSH-2.0-OpenSSH_9\r\n", bytes(40)])
async def test_who_shakes_no_hands_is_let_go(house: TlsHouse, autojump_clock: MockClock, said: bytes) -> None:
    sock = trio.socket.from_stdlib_socket(house.arrive())
    began = trio.current_time()
    if said:
        await sock.send(said)
    with trio.fail_after(10):
        await house.clients.wait_until_empty()
    assert trio.current_time() - began < 3.1
    assert house.log.records == []
    sock.close()


async def test_the_head_has_its_own_time_after_it(house: TlsHouse, autojump_clock: MockClock) -> None:
    sock = house.arrive()
    await trio.sleep(2.5)
    peer = await greet(sock)
    await trio.sleep(9.5)
    await peer.send(GET)
    assert (await peer.receive_answer())[0] == 200
    peer.close()


async def test_bytes_of_a_record_do_not_keep_an_idle_connection(
    house: TlsHouse, autojump_clock: MockClock
) -> None:
    """Nothing is asked by them: idle_timeout (75 s) runs on."""
    peer = await greet(house.arrive())
    await peer.send(GET)
    await peer.receive_answer()
    await trio.testing.wait_all_tasks_blocked()
    began = trio.current_time()
    for byte in b"\x17\x03\x03\x40\x00" + bytes(10):
        if house.clients.connections:
            socket.socket.send(peer.raw, bytes([byte]))
            await trio.sleep(20)
    assert house.clients.connections == 0
    assert trio.current_time() - began < 75 + 20 + 1
    peer.close()


async def test_messages_without_end_are_a_line_in_the_log(house: TlsHouse) -> None:
    sock = house.arrive()
    sock.settimeout(5)
    context = ssl.create_default_context()
    authority().configure_trust(context)
    forger = await trio.to_thread.run_sync(Forger, sock, context, NAME, "1.3")
    sock.sendall(forger.seal(DATA, GET) + forger.key_updates(100))
    with trio.fail_after(5):
        await house.clients.wait_until_empty()
    assert [record.why for record in house.log.records] == ["", "tls_flood"]
    sock.close()


class TestCredentials:
    def context(self, rule: ssl.VerifyMode) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue_cert(NAME).configure_cert(context)
        authority().configure_trust(context)
        context.verify_mode = rule
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority().configure_trust(context)
        authority().issue_cert("me@example.org", common_name="me").configure_cert(context)
        return context

    async def test_a_certificate_is_described(self, house: TlsHouse) -> None:
        house.serve(tell)
        server = self.context(ssl.CERT_REQUIRED)
        peer = await greet(house.arrive(FakeDoor("required"), server), self.client())
        await peer.send(GET)
        said = (await peer.receive_answer())[2].decode().split("|")
        assert said[:2] == ["https", "x-ssl-client-verify: SUCCESS"]
        assert said[2].startswith("x-ssl-client-s-dn: CN=me,")
        assert [line.partition(":")[0] for line in said[3:]] == [
            "x-ssl-client-i-dn",
            "x-ssl-client-serial",
            "x-ssl-client-fingerprint",
        ]
        peer.close()

    async def test_so_is_none(self, house: TlsHouse) -> None:
        house.serve(tell)
        peer = await greet(house.arrive(FakeDoor("optional"), self.context(ssl.CERT_OPTIONAL)))
        await peer.send(GET)
        assert (await peer.receive_answer())[2] == b"https|x-ssl-client-verify: NONE"
        peer.close()

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_a_session_does_not_outlive_it(
        self, house: TlsHouse, monkeypatch: pytest.MonkeyPatch, version: ssl.TLSVersion
    ) -> None:
        house.serve(tell)
        server, client = self.context(ssl.CERT_REQUIRED), self.client()
        server.set_alpn_protocols(["http/1.1"])
        client.maximum_version = version
        session = None
        for is_resumed in (False, True):
            peer = await greet(house.arrive(FakeDoor("required"), server), client, session)
            await peer.send(GET)
            assert b"SUCCESS" in (await peer.receive_answer())[2]
            assert peer.raw.session_reused == is_resumed
            session = peer.raw.session
            peer.close()
        monkeypatch.setattr("trivet_proxy.tls_connection.time", SimpleNamespace(time=lambda: 1e12))
        peer = await greet(house.arrive(FakeDoor("required"), server), client, session)
        await peer.send(GET)
        assert await peer.receive() == b""
        assert house.complaints == [
            "192.0.2.7 has a certificate that has expired since its session began: closed"
        ]
        peer.close()

    async def test_a_missing_one_is_a_line_in_the_log(self, house: TlsHouse) -> None:
        peer = await greet(house.arrive(FakeDoor("required"), self.context(ssl.CERT_REQUIRED)))
        with pytest.raises(ssl.SSLError):
            await peer.receive()
        assert house.complaints == ["no handshake with 192.0.2.7: peer did not return a certificate"]
        peer.close()

    def test_a_name_that_is_too_long_is_not_cut(self) -> None:
        units = ["x" * 64] * 100
        leaf = trustme.CA().issue_cert("me@example.org")
        der = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_bytes(Encoding.DER)
        assert credentials(der).startswith(b"\r\nx-ssl-client-verify: SUCCESS\r\n")
        own = trustme.CA(organization_unit_name="x" * 64)
        long = own.issue_cert("me@example.org", organization_unit_name=units[0])
        der = x509.load_pem_x509_certificate(long.cert_chain_pems[0].bytes()).public_bytes(Encoding.DER)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trivet_proxy.tls_connection._LONGEST_NAME", 80)
            with pytest.raises(CertificateError, match="too long"):
                credentials(der)
