"""Node behind us: early hints, trailers, an upgrade to a protocol of its own, bodies both ways."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.whole.running import Site, running
from tests.whole.strangers import free_port, stranger
from tests.whole.talking import Talk

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not here")

SERVER = """
const http = require("http");
const server = http.createServer((request, response) => {
  const pieces = [];
  request.on("data", piece => pieces.push(piece));
  request.on("end", () => {
    const body = Buffer.concat(pieces);
    if (request.url === "/hints") {
      response.writeEarlyHints({link: "</style.css>; rel=preload; as=style"});
      setTimeout(() => response.end("hinted"), 20);
    } else if (request.url === "/trailers") {
      response.writeHead(200, {Trailer: "X-Length", TE: request.headers.te || "-"});
      response.write("some ");
      response.addTrailers({"X-Length": "11", "Set-Cookie": "a=b"});
      response.end("pieces");
    } else {
      response.end(`${request.method} ${request.url} ${body.length} ${request.headers["x-forwarded-for"]}`);
    }
  });
});
server.on("upgrade", (request, socket, head) => {
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: shout\\r\\n\\r\\n");
  socket.write(head.toString().toUpperCase());
  socket.on("data", data => socket.write(data.toString().toUpperCase()));
  socket.on("end", () => socket.end("GOODBYE"));
  socket.on("error", () => {});
});
server.listen({host: "127.0.0.1", port: Number(process.argv[2])});
"""
CONFIG = """
log: {access: access.log}
upstreams: {node: "http://127.0.0.1:PORT"}
routes: [{upstream: node}]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    (folder / "server.js").write_text(SERVER)
    port = free_port()
    command = ["node", "server.js", str(port)]
    with (
        stranger(command, folder, ("127.0.0.1", port)),
        running(folder, CONFIG.replace("PORT", str(port)), verb="proxy") as site,
    ):
        yield site
        assert "Traceback" not in site.said()


@pytest.fixture
def one(site: Site) -> Iterator[Talk]:
    with Talk(site.address) as talk:
        yield talk


def test_bodies(one: Talk) -> None:
    body = os.urandom(500_000)
    for _ in range(3):
        assert one.get("/a").body == b"GET /a 0 127.0.0.1"
        one.say(f"POST /b HTTP/1.1\nHost: a\nContent-Length: {len(body)}\n\n", body)
        assert one.answer().body == b"POST /b 500000 127.0.0.1"


def test_early_hints(one: Talk) -> None:
    one.say("GET /hints HTTP/1.1\nHost: a\n\n")
    _, status, reason, headers = one.head()
    assert (status, reason) == (103, "Early Hints")
    assert headers == {"link": "</style.css>; rel=preload; as=style"}
    assert one.answer().body == b"hinted"
    assert one.get("/a").status == 200


@pytest.mark.parametrize("wants", [True, False])
def test_trailers(one: Talk, wants: bool) -> None:
    one.say("GET /trailers HTTP/1.1\nHost: a\n", "Connection: TE\nTE: trailers\n\n" if wants else "\n")
    _, status, _, headers = one.head()
    assert status == 200
    if headers.get("transfer-encoding") == "chunked":
        assert b"".join(iter(lambda: chunk(one), b"")) == b"some pieces"
        trailers = one.file.readline() if wants else b""
        assert trailers == (b"x-length: 11\r\n" if wants else b"")
        assert one.file.readline() == b"\r\n"
    else:
        assert not wants
        assert one.exactly(int(headers["content-length"])) == b"some pieces"
    assert headers.get("trailer") == ("x-length" if wants else None)
    assert one.get("/a").status == 200


def chunk(one: Talk) -> bytes:
    """As one.chunk, but the end of the last one is left to whoever looks for trailers."""
    size = int(one.file.readline(), 16)
    data = one.exactly(size)
    return data if size == 0 else data + one.exactly(2)[:0]


def test_a_protocol_of_its_own(one: Talk) -> None:
    one.say("GET /any HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: Shout\n\n", b"too early ")
    _, status, _, headers = one.head()
    assert (status, headers["connection"], headers["upgrade"]) == (101, "upgrade", "shout")
    assert one.exactly(10) == b"TOO EARLY "
    one.say(b"hello")
    assert one.exactly(5) == b"HELLO"
    one.sock.shutdown(socket.SHUT_WR)
    assert one.exactly(7) == b"GOODBYE"
    assert one.is_at_end()


def test_http2_is_not_tunnelled(one: Talk) -> None:
    answer = one.get(
        "/a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"
    )
    assert (answer.status, answer.body) == (200, b"GET /a 0 127.0.0.1")
