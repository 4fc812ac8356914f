"""upstreams/tls_client.py: servers over https, believed or not, through a whole exchange."""

import socket
import ssl
import threading

import pytest
import trio

from tests.proxy.fakes_pool import OK, FakeClient
from tests.proxy.fakes_tls import NAME, authority
from tests.proxy.test_handler_upstream import FakeServer, ask, fail, open_upstream, process
from trivet_common.config import ServerTls
from trivet_proxy.upstreams.tls_client import client_context

__all__ = ["open_upstream", "process"]


class SecureServer(FakeServer):
    """The same over TLS; `names` are those that were asked for."""

    def __init__(self, act=lambda peer, asked: OK, says_goodbye=True):
        super().__init__(act)
        self.text = self.text.replace("http:", "https:")
        self.names = []
        self.says_goodbye = says_goodbye

    def _serve(self, peer):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue_cert(NAME, "127.0.0.1").configure_cert(context)
        context.sni_callback = lambda sock, name, _: self.names.append(name)
        try:
            peer.sock = context.wrap_socket(peer.sock, server_side=True)
        except OSError:
            return
        super()._serve(peer)


@pytest.fixture
def server():
    server = SecureServer()
    yield server
    server.close()


@pytest.fixture
def ca(tmp_path):
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


async def test_believed_by_address_and_kept(process, server, open_upstream, ca):
    handler = open_upstream(server, tls=ServerTls(ca=ca))
    for _ in range(3):
        assert (await ask(handler, FakeClient(process))).endswith(b"ok")
    assert server.names == [None]  # RFC 6066, 3: no addresses
    assert len(server.peers) == 1


async def test_believed_by_another_name(process, server, open_upstream, ca):
    handler = open_upstream(server, tls=ServerTls(ca=ca, name=NAME))
    assert (await ask(handler, FakeClient(process))).endswith(b"ok")
    assert server.names == [NAME]


@pytest.mark.parametrize(
    ("name", "with_ca", "problem"),
    [("other.example", True, "Hostname mismatch"), (NAME, False, "local issuer")],
)
async def test_not_believed(process, server, open_upstream, ca, name, with_ca, problem):
    handler = open_upstream(server, tls=ServerTls(ca=ca if with_ca else None, name=name))
    error = await fail(handler, FakeClient(process))
    assert (error.status, error.why) == (502, "upstream_refused")
    assert problem in error.detail
    assert server.asked == []


async def test_believed_without_a_look(process, server, open_upstream):
    handler = open_upstream(server, tls=ServerTls(verify=False))
    assert (await ask(handler, FakeClient(process))).endswith(b"ok")


async def test_who_speaks_plain_http_is_refused(process, open_upstream):
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer():
            sock, _ = plain.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        handler = open_upstream(f"https://127.0.0.1:{plain.getsockname()[1]}")
        error = await fail(handler, FakeClient(process))
        thread.join(10)
    assert error.why == "upstream_refused"
    assert "no TLS handshake" in error.detail


async def test_a_handshake_has_an_end(process, open_upstream):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = f"https://127.0.0.1:{silent.getsockname()[1]}"
        error = await fail(open_upstream(text, connect_timeout=0.1), FakeClient(process))
    assert error.why == "upstream_refused"
    assert "in time" in error.detail


async def test_a_large_answer_and_a_large_body(process, open_upstream, ca):
    big = b"x" * 3_000_000

    def act(peer, asked):
        assert len(asked.body) == 1_000_000
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n" + big)
        return b""

    server = SecureServer(act)
    raw = b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n" + big[:1_000_000]
    client = FakeClient(process, raw)
    got = bytearray()

    def read():
        while len(got) < 3_000_000:
            got.extend(client.theirs.recv(1 << 20))

    reader = threading.Thread(target=read)
    reader.start()
    handler = open_upstream(server, tls=ServerTls(ca=ca))
    with trio.fail_after(20):
        await handler(client.request, client.writer)
        await trio.to_thread.run_sync(reader.join, 10)
    server.close()
    assert bytes(got).endswith(big)


async def test_an_end_nobody_announced_is_a_cut(process, open_upstream, ca):
    """RFC 9112, 9.8: of a body that ends with its connection the end must be said."""

    def act(peer, asked):
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nperhaps all")
        socket.socket.shutdown(peer.sock, socket.SHUT_RDWR)

    server = SecureServer(act)
    client = FakeClient(process)
    await ask(open_upstream(server, tls=ServerTls(ca=ca)), client)
    server.close()
    assert client.request.record.why == "upstream_bad"


def test_authorities_that_are_none(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(OSError):
        client_context(ServerTls(ca=tmp_path / "ca.pem"))


def test_a_context_of_today():
    context = client_context(ServerTls())
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert client_context(ServerTls(verify=False)).verify_mode is ssl.CERT_NONE


async def test_a_server_cannot_hold_us_up_with_messages_either(
    process, server, open_upstream, ca, monkeypatch
):
    limited = []
    monkeypatch.setattr("trivet_proxy.openssl.limit", limited.append)
    handler = open_upstream(server, tls=ServerTls(ca=ca))
    assert (await ask(handler, FakeClient(process))).endswith(b"ok")
    assert [type(one) for one in limited] == [ssl.SSLSocket]  # test_openssl.py has what that means
